"""Quotas of connections: what one port opens takes no place from another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from labctl.overlay.agent.connections import Connections
from labctl.overlay.flow import ConnKey

if TYPE_CHECKING:
    from collections.abc import Iterator

FLOODER, VICTIM = 7, 8
CAPACITY = 8 * 1024
QUOTA = 1024
S = 1_000_000_000
ANSWERED = 1


class Kernel:
    """The kernel's maps, and what the kernel does with them."""

    def __init__(self) -> None:
        self.known: dict[bytes, int] = {}
        self.opened: dict[int, int] = {}
        self.refused: dict[int, int] = {}
        self.ceilings: dict[int, int] = {}

    def open(self, conn: ConnKey, now: int) -> bool:
        if self.opened.get(conn.port, 0) >= self.ceilings[conn.port]:
            self.refused[conn.port] = self.refused.get(conn.port, 0) + 1
            return False
        self.opened[conn.port] = self.opened.get(conn.port, 0) + 1
        self.known[conn.pack()] = now & ~ANSWERED
        return True

    def remember_connections(self, rows: Any) -> None:
        self.known |= dict(rows)

    def forget_connections(self, keys: Any) -> None:
        for key in keys:
            del self.known[key]

    def knows(self, conn: bytes) -> bool:
        return conn in self.known

    def connections(self) -> Iterator[list[tuple[bytes, int]]]:
        rows = list(self.known.items())
        for at in range(0, len(rows), 300):
            yield rows[at : at + 300]

    def connection_quotas(self) -> dict[int, tuple[int, int]]:
        return {port: (self.connections_opened(port), self.refused.get(port, 0)) for port in self.ceilings}

    def connections_opened(self, port: int) -> int:
        return self.opened.get(port, 0)

    def limit_connections(self, port: int, ceiling: int) -> None:
        self.ceilings[port] = ceiling

    def forget_quota(self, port: int) -> None:
        self.ceilings.pop(port, None)
        self.opened.pop(port, None)

    def of(self, port: int) -> int:
        return sum(ConnKey.unpack(key).port == port for key in self.known)


def conn(port: int, number: int, proto: int = 17) -> ConnKey:
    return ConnKey(port, proto, number & 0xFFFF, number >> 16, bytes(16), bytes(16), inbound=False)


@pytest.fixture
def kernel() -> Kernel:
    return Kernel()


@pytest.fixture
def connections(kernel: Kernel) -> Connections:
    made = Connections(kernel, CAPACITY)
    made.share_among((FLOODER, VICTIM))
    return made


@pytest.mark.slow
@pytest.mark.parametrize("by_kernel", [False, True])
def test_a_flood_of_one_port_leaves_another_ports_idle_connection(
    kernel: Kernel, connections: Connections, *, by_kernel: bool
) -> None:
    idle = conn(VICTIM, 1, proto=6)
    assert connections.record([idle], 0)
    connections.write()
    for number in range(5 * CAPACITY):
        now = number * S // 1000
        flood = conn(FLOODER, number)
        opened = kernel.open(flood, now) if by_kernel else connections.record([flood], now)
        connections.write()
        assert not opened or kernel.knows(flood.pack())
        if number % 1000 == 0:
            connections.expire(now)
            assert kernel.of(FLOODER) <= QUOTA
    assert connections.established(idle)
    assert connections.record([conn(VICTIM, 2)], 0)
    assert connections.use()[FLOODER].refused > 0
    assert connections.use()[VICTIM].refused == 0


def test_a_ports_own_oldest_unanswered_go_first_and_its_answered_stay(
    kernel: Kernel, connections: Connections
) -> None:
    answered = [conn(FLOODER, number) for number in range(100)]
    for one in answered:
        kernel.open(one, 0)
        kernel.known[one.pack()] |= ANSWERED
    unanswered = [conn(FLOODER, number) for number in range(100, 2000)]
    opened = [one for at, one in enumerate(unanswered) if kernel.open(one, at * 2)]
    assert len(opened) == QUOTA - len(answered)
    for _ in range(3):
        connections.expire(S)
    assert all(connections.established(one) for one in answered)
    assert kernel.of(FLOODER) < QUOTA
    assert connections.established(opened[-1])
    assert not connections.established(opened[0])
    assert connections.record([conn(FLOODER, 5000)], S)


def test_where_all_are_answered_new_ones_are_refused_and_shown(
    kernel: Kernel, connections: Connections
) -> None:
    for number in range(QUOTA):
        assert kernel.open(conn(FLOODER, number), 0)
        kernel.known[conn(FLOODER, number).pack()] |= ANSWERED
    for _ in range(20):
        connections.expire(S)
    assert not connections.record([conn(FLOODER, 5000)], S)
    assert not kernel.open(conn(FLOODER, 5001), S)
    assert connections.use()[FLOODER] == (QUOTA, QUOTA, 2)
    # Once they have been idle for too long there is room.
    for _ in range(20):
        connections.expire(200 * S)
    assert connections.record([conn(FLOODER, 5000)], 200 * S)


def test_an_agent_started_anew_counts_what_is_there(kernel: Kernel, connections: Connections) -> None:
    for number in range(100):
        kernel.open(conn(FLOODER, number), 0)
    connections.record([conn(FLOODER, number) for number in range(200, 250)], 0)
    connections.write()
    again = Connections(kernel, CAPACITY)
    again.share_among((FLOODER, VICTIM))
    assert again.use()[FLOODER].used == 150
    for _ in range(5):
        again.expire(S)
    assert again.use()[FLOODER].used == 150


def test_the_quotas_of_all_ports_fit_together(kernel: Kernel, connections: Connections) -> None:
    connections.share_among(range(1, 33))
    assert {use.limit for use in connections.use().values()} == {CAPACITY // 32}


def test_a_port_that_comes_back_is_counted_with_what_it_left(
    kernel: Kernel, connections: Connections
) -> None:
    for number in range(100):
        kernel.open(conn(FLOODER, number), 0)
    connections.share_among((VICTIM,))
    assert FLOODER not in kernel.ceilings
    connections.share_among((FLOODER, VICTIM))
    assert connections.use()[FLOODER] == (QUOTA, 100, 0)
