"""The agent's event loop: upcalls, changes, queries and timers, in one thread.

Input from another thread (the state database's client) arrives through a queue and an
eventfd, so nothing here needs a lock.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import sys
import time
from collections import deque
from typing import TYPE_CHECKING, Protocol

from labctl.overlay.agent.fair_queue import RoundRobinQueue

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from pathlib import Path

    from labctl.overlay.agent.control_socket import Control
    from labctl.overlay.agent.engine import FlowEngine
    from labctl.overlay.agent.host import OverlayHost
    from labctl.overlay.datapath.cache import FlowCache
    from labctl.overlay.datapath.channel import Channel, Upcall
    from labctl.overlay.datapath.layout import FlowEntry
    from labctl.overlay.simulation.topology import VirtualTopology

__all__ = ["Feed", "Loop", "monotonic_ns"]

_NICE = -10
UPCALLS_AT_ONCE = 64
RECEIVED_AT_ONCE = 512
TICK_S = 1.0
ADVERTISE_S = 10.0
SCAN_ROWS = 2048
ADOPT_AT_ONCE = 256
EARLY = 1000
EARLY_NS = 5_000_000_000


class Feed(Protocol):
    """Where snapshots come from.

    Attributes:
        fresh: whether the one that was taken last came from the state database, not from a copy.
    """

    fresh: bool

    def fileno(self) -> int:
        """Readable when :meth:`take` has something."""

    def take(self) -> tuple[VirtualTopology, Collection[str]] | None:
        """The newest snapshot and the tags of all that differs from the one taken before."""


def monotonic_ns() -> int:
    """CLOCK_MONOTONIC: the same clock as the kernel's ``last_ns``."""
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC)


class Loop:
    """Handles one event after the other until it is stopped."""

    def __init__(
        self,
        *,
        host: OverlayHost,
        engine: FlowEngine,
        cache: FlowCache,
        channel: Channel,
        feed: Feed,
        control: Control,
        standing: Path,
    ) -> None:
        """Everything is made already; ``standing`` is the file that the state is reported in."""
        self._host = host
        self._engine = engine
        self._cache = cache
        self._channel = channel
        self._feed = feed
        self._control = control
        self._stopping = False
        self._queue = RoundRobinQueue()
        self._scan: Iterator[list[tuple[bytes, FlowEntry]]] = iter(())
        self._next_tick = time.monotonic() + TICK_S
        self._next_advertisement = time.monotonic()
        self._standing = standing
        self._reported = ""
        self._early: deque[tuple[Upcall, int]] = deque(maxlen=EARLY)

    @staticmethod
    def go_first() -> None:
        """Ask the scheduler to run this process before others: first packets wait for nobody else.

        Where that is not allowed everything works all the same.
        """
        with contextlib.suppress(PermissionError):
            os.setpriority(os.PRIO_PROCESS, 0, _NICE)

    def stop(self, *_: object) -> None:
        """End after the event at hand."""
        self._stopping = True

    def run(self) -> None:
        """Until SIGTERM or SIGINT. Entries stay in the kernel: flows go on without an agent."""
        self.go_first()
        signal.signal(signal.SIGTERM, self.stop)
        signal.signal(signal.SIGINT, self.stop)
        with selectors.DefaultSelector() as selector:
            handlers: tuple[tuple[Channel | Feed | Control, Callable[[], None]], ...] = (
                (self._channel, self._upcalls),
                (self._feed, self._changes),
                (self._control, self._control.serve),
            )
            for source, handler in handlers:
                selector.register(source, selectors.EVENT_READ, handler)
            if self._host.guests is not None:
                selector.register(self._host.guests, selectors.EVENT_READ, self._guests)
            while not self._stopping:
                at_once = self._host.adopting or self._queue
                timeout = 0.0 if at_once else max(0.0, self._next_tick - time.monotonic())
                # Changes before upcalls: what a packet meets should be as new as can be.
                ready = sorted(selector.select(timeout), key=lambda pair: pair[0].data == self._upcalls)
                for key, _mask in ready:
                    key.data()
                self._serve()
                if self._host.adopting:
                    self._host.adopt(ADOPT_AT_ONCE, monotonic_ns())
                self._clock()

    def _upcalls(self) -> None:
        now = monotonic_ns()
        if not self._host.topology.complete:
            # Nothing can be decided yet. The latest are kept: they are worth an answer still.
            self._early.extend((upcall, now) for upcall in self._channel.receive(RECEIVED_AT_ONCE))
            return
        for upcall in self._channel.receive(RECEIVED_AT_ONCE):
            self._queue.push(upcall)

    def _guests(self) -> None:
        if self._host.guests is not None:
            self._host.guests.take_notices()
            self._host.tend()

    def _serve(self) -> None:
        """Serve some of the queue; then it is time to look for changes again."""
        queue = self._queue
        if queue:
            some = [queue.take() for _ in range(min(len(queue), UPCALLS_AT_ONCE))]
            self._engine.serve(some, monotonic_ns())

    def _catch_up(self) -> None:
        """Serve upcalls that arrived before the first snapshot, except those too old for their sender."""
        now = monotonic_ns()
        while self._early:
            upcall, since = self._early.popleft()
            if now - since <= EARLY_NS:
                self._engine.upcall(upcall, now)

    def _changes(self) -> None:
        taken = self._feed.take()
        if taken is not None:
            topology, tags = taken
            self._host.change(topology, tags, monotonic_ns(), fresh=self._feed.fresh)
            if topology.complete:
                self._catch_up()
            self._report()

    def _report(self) -> None:
        """Write the state to a file, in one line; the node's readiness is read from it."""
        line = self._host.missing or "ready"
        if line == self._reported:
            return
        self._reported = line
        sys.stdout.write(f"agent: {line}\n")
        sys.stdout.flush()
        fresh = self._standing.with_name(self._standing.name + ".new")
        fresh.write_text(line + "\n")
        fresh.replace(self._standing)

    def _clock(self) -> None:
        now = time.monotonic()
        if now < self._next_tick:
            return
        self._next_tick = now + TICK_S
        self._engine.tick(monotonic_ns())
        self._host.tend()
        self._report()
        if now >= self._next_advertisement:
            self._next_advertisement = now + ADVERTISE_S
            self._host.advertise()
        if not self._host.settled:
            return
        # A part of all entries each second, so that no packet waits for a long scan.
        rows = next(self._scan, None)
        if rows is None:
            self._engine.scan_ends()
            self._scan = self._cache.scan(SCAN_ROWS)
            self._engine.scan_begins()
        else:
            self._engine.seen(rows, monotonic_ns())
