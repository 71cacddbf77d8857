"""The agent's loop: what comes first, what waits, and what the node is told of it."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, cast

import pytest

from labctl.overlay.agent import loop as room
from labctl.overlay.agent.loop import Loop
from labctl.overlay.datapath.channel import NO_OFFLOAD, Upcall
from labctl.overlay.simulation.topology import VirtualTopology

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

COMPLETE = VirtualTopology(complete=True)


class Readable:
    """A descriptor that can be read from once it was written to."""

    def __init__(self) -> None:
        self._event = os.eventfd(0, os.EFD_NONBLOCK)

    def fileno(self) -> int:
        return self._event

    def ring(self) -> None:
        os.eventfd_write(self._event, 1)

    def quiet(self) -> None:
        os.eventfd_read(self._event)

    def close(self) -> None:
        os.close(self._event)


class Guests(Readable):
    """Machines of which one's interface has come."""

    def __init__(self, log: list[str]) -> None:
        super().__init__()
        self._log = log

    def take_notices(self) -> None:
        self.quiet()
        self._log.append("notices")


@dataclass
class World:
    """Everything that a loop drives, and a log of what it did, in order."""

    topology: VirtualTopology = COMPLETE
    missing: str = ""
    settled: bool = True
    adopting: int = 0
    guests: Guests | None = None
    fresh: bool = True
    log: list[str] = field(default_factory=list)
    channel: Readable = field(default_factory=Readable)
    feed: Readable = field(default_factory=Readable)
    control: Readable = field(default_factory=Readable)
    up: list[Upcall] = field(default_factory=list)
    chunks: list[list[tuple[bytes, Any]]] = field(default_factory=list)
    served: list[list[int]] = field(default_factory=list)
    news: VirtualTopology | None = None
    at_end: Callable[[], None] = lambda: None

    def host(self) -> Any:
        world = self

        class Host:
            topology = property(lambda _: world.topology)
            missing = property(lambda _: world.missing)
            settled = property(lambda _: world.settled)
            adopting = property(lambda _: bool(world.adopting))
            guests = world.guests

            def change(self, topology: VirtualTopology, tags: object, _now: int, *, fresh: bool) -> int:
                world.topology = topology
                world.log.append(f"change {sorted(cast('Any', tags))} fresh={fresh}")
                world.at_end()
                return 0

            def adopt(self, most: int, _now: int) -> None:
                world.adopting -= 1
                world.log.append(f"adopt {most}")
                world.at_end()

            def tend(self) -> None:
                world.log.append("tend")
                world.at_end()

            def advertise(self) -> None:
                world.log.append("advertise")

        return Host()

    def engine(self) -> Any:
        world = self

        class Engine:
            def serve(self, upcalls: Sequence[Upcall], _now: int) -> None:
                world.served.append([upcall.origin for upcall in upcalls])
                world.log.append(f"serve {len(upcalls)}")
                world.at_end()

            def upcall(self, upcall: Upcall, _now: int) -> None:
                world.log.append(f"upcall {upcall.origin}")

            def tick(self, _now: int) -> None:
                world.log.append("tick")

            def scan_begins(self) -> None:
                world.log.append("scan begins")

            def scan_ends(self) -> None:
                world.log.append("scan ends")

            def seen(self, rows: Sequence[object], _now: int) -> None:
                world.log.append(f"seen {len(rows)}")

        return Engine()

    def loop(self, folder: Path) -> Loop:
        world = self

        class Cache:
            def scan(self, _rows: int) -> Iterator[list[tuple[bytes, Any]]]:
                return iter(world.chunks)

        def receive(most: int) -> Iterator[Upcall]:
            self.channel.quiet()
            some, self.up = self.up[:most], self.up[most:]
            yield from some

        def take() -> tuple[VirtualTopology, set[str]] | None:
            self.feed.quiet()
            return None if self.news is None else (self.news, {"b", "a"})

        def serve() -> None:
            self.control.quiet()
            self.log.append("asked")
            self.at_end()

        vars(self.channel)["receive"] = receive
        vars(self.feed).update(take=take, fresh=self.fresh)
        vars(self.control)["serve"] = serve
        made = Loop(
            host=self.host(),
            engine=self.engine(),
            cache=cast("Any", Cache()),
            channel=cast("Any", self.channel),
            feed=cast("Any", self.feed),
            control=cast("Any", self.control),
            standing=folder / "agent",
        )
        made.go_first = lambda: None  # type: ignore[method-assign]
        return made

    def stop_after(self, loop: Loop, entries: int) -> None:
        """Let the loop end once so many things were done."""

        def check() -> None:
            if len(self.log) >= entries:
                loop.stop()

        self.at_end = check


@pytest.fixture(autouse=True)
def signals() -> Iterator[None]:
    """The loop's handlers of signals are its own process's."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def upcall(origin: int) -> Upcall:
    return Upcall(origin, NO_OFFLOAD, b"")


def test_changes_come_before_packets_that_came_at_the_same_moment(tmp_path: Path) -> None:
    world = World(up=[upcall(1)], news=replace(COMPLETE))
    loop = world.loop(tmp_path)
    world.channel.ring()
    world.feed.ring()
    world.stop_after(loop, 2)
    loop.run()
    assert world.log == ["change ['a', 'b'] fresh=True", "serve 1"]


def test_a_flood_of_one_origin_is_served_a_part_at_a_time_and_changes_get_in_between(tmp_path: Path) -> None:
    world = World(up=[upcall(1)] * 200, news=replace(COMPLETE))
    loop = world.loop(tmp_path)
    world.channel.ring()

    def after_each() -> None:
        if world.log == ["serve 64"]:
            world.feed.ring()
        if len(world.log) == 5:
            loop.stop()

    world.at_end = after_each
    loop.run()
    assert world.log == ["serve 64", "change ['a', 'b'] fresh=True", "serve 64", "serve 64", "serve 8"]


def test_of_two_origins_none_waits_for_all_of_the_other_one(tmp_path: Path) -> None:
    world = World(up=[upcall(1)] * 100 + [upcall(2)] * 3)
    loop = world.loop(tmp_path)
    world.channel.ring()
    world.stop_after(loop, 1)
    loop.run()
    assert world.served[0][:6] == [1, 2, 1, 2, 1, 2]


def test_packets_that_come_before_anything_is_known_are_answered_once_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 10**12
    monkeypatch.setattr(room, "monotonic_ns", lambda: now)
    world = World(topology=VirtualTopology(), up=[upcall(1)], news=COMPLETE)
    loop = world.loop(tmp_path)
    world.channel.ring()
    loop._upcalls()
    now += room.EARLY_NS + 1  # its sender has given the first one up by then
    world.up = [upcall(2)]
    world.channel.ring()
    loop._upcalls()
    loop._serve()
    assert world.log == []
    world.feed.ring()
    loop._changes()
    assert world.log == ["change ['a', 'b'] fresh=True", "upcall 2"]


def test_an_earlier_agents_entries_are_adopted_between_events_and_nobody_waits_for_all(
    tmp_path: Path,
) -> None:
    world = World(adopting=2, up=[upcall(1)])
    loop = world.loop(tmp_path)
    world.channel.ring()
    world.stop_after(loop, 3)
    loop.run()
    assert world.log == ["serve 1", f"adopt {room.ADOPT_AT_ONCE}", f"adopt {room.ADOPT_AT_ONCE}"]


def test_a_question_of_the_operator_and_a_machines_interface_wake_the_loop(tmp_path: Path) -> None:
    world = World()
    world.guests = Guests(world.log)
    loop = world.loop(tmp_path)
    world.control.ring()
    world.guests.ring()
    world.stop_after(loop, 3)
    loop.run()
    assert sorted(world.log) == ["asked", "notices", "tend"]


def test_the_state_is_written_to_a_file_when_it_changes_and_at_no_other_time(tmp_path: Path) -> None:
    world = World(missing="no uplink yet", news=COMPLETE)
    loop = world.loop(tmp_path)
    file = tmp_path / "agent"
    loop._report()
    assert file.read_text() == "no uplink yet\n"
    file.unlink()
    loop._report()
    assert not file.exists(), "nothing is new"
    world.missing = ""
    world.feed.ring()
    loop._changes()
    assert file.read_text() == "ready\n"
    assert [path.name for path in tmp_path.iterdir()] == ["agent"]


def clock(world: World, loop: Loop, *, times: int = 1) -> list[str]:
    """What a second, or several, add to the log."""
    count = len(world.log)
    for _ in range(times):
        loop._next_tick = 0.0
        loop._clock()
    return world.log[count:]


def test_once_a_second_time_goes_by_and_a_part_of_all_entries_is_looked_through(tmp_path: Path) -> None:
    world = World(chunks=[[(b"a", None)] * 3, [(b"b", None)]])
    loop = world.loop(tmp_path)
    assert clock(world, loop) == ["tick", "tend", "advertise", "scan ends", "scan begins"]
    assert clock(world, loop) == ["tick", "tend", "seen 3"]
    assert clock(world, loop) == ["tick", "tend", "seen 1"]
    assert clock(world, loop) == ["tick", "tend", "scan ends", "scan begins"]
    count = len(world.log)
    loop._clock()
    assert world.log[count:] == [], "a second has not gone by"


def test_no_entry_is_called_idle_while_an_earlier_agents_wait_to_be_decided(tmp_path: Path) -> None:
    world = World(settled=False, chunks=[[(b"a", None)]])
    loop = world.loop(tmp_path)
    assert not [line for line in clock(world, loop, times=3) if line.startswith(("seen", "scan"))]
    world.settled = True
    assert clock(world, loop, times=2)[-1] == "seen 1"


def test_routers_are_advertised_every_ten_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("labctl.overlay.agent.loop.time.monotonic", lambda: now)
    world = World()
    loop = world.loop(tmp_path)
    advertised = []
    for second in range(25):
        now = 1000.0 + second
        if "advertise" in clock(world, loop):
            advertised.append(second)
    assert advertised == [0, 10, 20]


def test_sigterm_ends_the_loop_after_the_event_at_hand(tmp_path: Path) -> None:
    world = World(up=[upcall(1), upcall(2)])
    loop = world.loop(tmp_path)
    world.channel.ring()
    world.at_end = lambda: signal.raise_signal(signal.SIGTERM)
    loop.run()
    assert world.log == ["serve 2"]
