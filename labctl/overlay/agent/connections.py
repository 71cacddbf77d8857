"""Connections that the firewalls of this host's ports know: stored in a kernel map and nowhere else.

The kernel creates connections itself (with the entries that it creates from megaflows), refreshes those of
flows in use, and looks them up; so its map is the only copy, and outlives the agent. The time-outs
are those of the kernel's own connection tracking, shortened where a lab gains nothing by their length.

Each port has a quota, so that no port takes the place of another one's connections. When a port nears its
quota its own oldest unanswered connections are removed; where all are answered, new ones are refused. The
kernel counts what it opened for a port, and stops at a ceiling; the agent lowers the ceiling by what it opens
itself and raises it by what it removes. So both open connections at once, and neither waits for the other.
"""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

from labctl.overlay.datapath.cache import MOST_FLOWS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from labctl.overlay.flow import ConnKey

__all__ = ["ConnectionMemory", "ConnectionUse", "Connections"]

_TCP = 6
_PROTO_AT = 4
_TCP_IDLE_NS = 3_600_000_000_000
_OTHER_IDLE_NS = 180_000_000_000
_PORT_BITS = 0xFFFFFF
_ANSWERED = 1
"""In the time of a connection (CONN_ANSWERED in tables.h)."""
_FEWEST_SHARES = 8
_LEAST_QUOTA = 256
_CHUNKS_UNDER_PRESSURE = 8


class ConnectionMemory(Protocol):
    """Where connections are; :class:`labctl.overlay.datapath.cache.FlowCache` is one."""

    def remember_connections(self, rows: Sequence[tuple[bytes, int]]) -> None:
        """Add packed keys, with the time they were last seen."""

    def forget_connections(self, keys: Iterable[bytes]) -> None:
        """Remove packed keys."""

    def knows(self, conn: bytes) -> bool:
        """Whether a packed key is known."""

    def connections(self) -> Iterator[list[tuple[bytes, int]]]:
        """All of them, some at a time."""

    def connection_quotas(self) -> Mapping[int, tuple[int, int]]:
        """By port: connections that the kernel opened so far, and refused."""

    def connections_opened(self, port: int) -> int:
        """How many the kernel opened for a port so far."""

    def limit_connections(self, port: int, ceiling: int) -> None:
        """Let the kernel open connections for a port until it has opened ``ceiling``, all in all."""

    def forget_quota(self, port: int) -> None:
        """The port is none of this host's any more; what was counted for it is gone."""


class ConnectionUse(NamedTuple):
    """What a port has of its quota.

    Attributes:
        limit: connections that it may have.
        used: that it has; those for later fragments count.
        refused: packets whose connection was refused since the port came.
    """

    limit: int
    used: int
    refused: int


@dataclass(slots=True)
class _Quota:
    """One port's; ``since`` is what the kernel had opened when the count at hand began."""

    limit: int
    ceiling: int
    since: int = 0
    counted: int = 0
    refused: int = 0


class Connections:
    """The set of known connections."""

    def __init__(self, memory: ConnectionMemory, capacity: int = MOST_FLOWS) -> None:
        """What is known already stays known.

        Args:
            memory: where connections are.
            capacity: connections that it holds; shared by the ports.
        """
        self._memory = memory
        self._capacity = capacity
        self._fresh: dict[ConnKey, int] = {}
        self._round: Iterator[list[tuple[bytes, int]]] | None = None
        self._quotas: dict[int, _Quota] = {}

    def established(self, conn: ConnKey) -> bool:
        """Whether the connection is known."""
        return conn in self._fresh or self._memory.knows(conn.pack())

    def share_among(self, ports: Collection[int]) -> None:
        """Give each of this host's ports the same quota, such that all of them together fit."""
        limit = max(_LEAST_QUOTA, self._capacity // max(_FEWEST_SHARES, len(ports)))
        for port in self._memory.connection_quotas().keys() - set(ports):
            self._memory.forget_quota(port)
            self._quotas.pop(port, None)
        for quota in self._quotas.values():
            quota.ceiling += limit - quota.limit
            quota.limit = limit
        new = set(ports) - self._quotas.keys()
        if new:
            # Those of an earlier agent, or of the port's earlier stay on this host.
            self.write()
            opened = {port: self._memory.connections_opened(port) for port in new}
            there = Counter(_port(key) for rows in self._memory.connections() for key, _ in rows)
            for port in new:
                self._quotas[port] = _Quota(limit, opened[port] + limit - there[port], opened[port])
            self._round = None
        self._tell(self._quotas)

    def record(self, conns: Iterable[ConnKey], now_ns: int) -> bool:
        """Open the connections that are not known; False, and none opened, where a port has no room."""
        new = [conn for conn in dict.fromkeys(conns) if not self.established(conn)]
        for port, wanted in Counter(conn.port for conn in new).items():
            quota = self._quotas.get(port)
            if quota is not None and self._room(port, quota) < wanted:
                quota.refused += 1
                return False
        for conn in new:
            self._fresh[conn] = now_ns & ~_ANSWERED
            self._moved(conn.port, -1)
        return True

    def write(self) -> None:
        """Write what was recorded to the kernel."""
        if self._fresh:
            self._memory.remember_connections([(conn.pack(), seen) for conn, seen in self._fresh.items()])
            self._tell({conn.port for conn in self._fresh})
            self._fresh = {}

    def use(self) -> dict[int, ConnectionUse]:
        """What each port has of its quota."""
        counts = self._memory.connection_quotas()
        return {
            port: ConnectionUse(
                quota.limit,
                quota.limit - (quota.ceiling - counts.get(port, (0, 0))[0]),
                quota.refused + counts.get(port, (0, 0))[1],
            )
            for port, quota in self._quotas.items()
        }

    def expire(self, now_ns: int) -> int:
        """Scan some of them, the rest next time: remove those idle for too long; returns how many.

        No flow in use can hang on one that goes: each refreshes its own once a second, in the kernel.
        Where a port nears its quota more are scanned, and its oldest unanswered are removed.
        """
        self.write()
        removed = 0
        for _ in range(_CHUNKS_UNDER_PRESSURE):
            wanted = self._wanted()
            some = self._next_chunk()
            if some is None:
                break
            gone = [key for key, seen in some if now_ns - seen > _idle_ns(key)]
            if wanted:
                gone += _oldest_unanswered(some, wanted, set(gone))
            self._memory.forget_connections(gone)
            for key in gone:
                self._moved(_port(key), +1)
            self._tell({_port(key) for key in gone})
            removed += len(gone)
            if not wanted:
                break
        return removed

    def _wanted(self) -> dict[int, int]:
        """Ports that have used 7/8 of their quotas, and how many should go until a quarter is free."""
        rooms = {port: (self._room(port, quota), quota.limit) for port, quota in self._quotas.items()}
        return {port: limit // 4 - room for port, (room, limit) in rooms.items() if room <= limit // 8}

    def _next_chunk(self) -> list[tuple[bytes, int]] | None:
        """Some connections; None at the end of a round, when each port's are counted anew."""
        if self._round is None:
            self._round = self._memory.connections()
            for port, quota in self._quotas.items():
                quota.since, quota.counted = self._memory.connections_opened(port), 0
        some = next(self._round, None)
        if some is not None:
            for key, _ in some:
                quota_of = self._quotas.get(_port(key))
                if quota_of is not None:
                    quota_of.counted += 1
            return some
        self._round = None
        for quota in self._quotas.values():
            quota.ceiling = quota.since + quota.limit - quota.counted
        self._tell(self._quotas)
        return None

    def _room(self, port: int, quota: _Quota) -> int:
        return quota.ceiling - self._memory.connections_opened(port)

    def _moved(self, port: int, by: int) -> None:
        """The agent removed a connection of a port (+1) or opened one (-1)."""
        quota = self._quotas.get(port)
        if quota is not None:
            quota.ceiling += by
            # The count at hand may have seen it or not: it is right after the next one.
            quota.counted -= by

    def _tell(self, ports: Iterable[int]) -> None:
        for port in ports:
            quota = self._quotas.get(port)
            if quota is not None:
                self._memory.limit_connections(port, quota.ceiling)


def _port(key: bytes) -> int:
    return int.from_bytes(key[:4], sys.byteorder) & _PORT_BITS


def _oldest_unanswered(
    rows: Iterable[tuple[bytes, int]], wanted: Mapping[int, int], but: Collection[bytes]
) -> list[bytes]:
    """Of each port as many as wanted of the connections that nobody answered, least recently seen first."""
    found: dict[int, list[tuple[int, bytes]]] = {port: [] for port in wanted}
    for key, seen in rows:
        of_port = found.get(_port(key))
        if of_port is not None and not seen & _ANSWERED and key not in but:
            of_port.append((seen, key))
    return [key for port, of_port in found.items() for _, key in sorted(of_port)[: wanted[port]]]


def _idle_ns(key: bytes) -> int:
    return _TCP_IDLE_NS if key[_PROTO_AT] == _TCP else _OTHER_IDLE_NS
