"""Observes when each peer's kernel reports a change of carrier: one link monitor in each peer's namespace."""

from __future__ import annotations

import contextlib
import os
import select
import threading
from typing import TYPE_CHECKING, Self

from labctl.events import now_ns
from labctl.fault.types import CarrierChange
from labctl.linux import netlink
from labctl.linux.netns import inside

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path
    from types import TracebackType

    from labctl.model.lab import Endpoint


__all__ = ["CarrierWatch"]

_PRIORITY = 10


class CarrierWatch:
    """Watches link ends from its creation on; a context manager.

    Args:
        ends: each link end with the namespace that it is in.
        carrier: what is awaited: True for found, False for lost. An end that has it (or is without
            it) already is not awaited.
    """

    def __init__(self, ends: Sequence[tuple[Endpoint, Path]], *, carrier: bool) -> None:
        self._carrier = carrier
        self._seen: dict[tuple[str, str], int] = {}
        self._monitors: dict[int, tuple[netlink.Route, dict[str, tuple[str, str]]]] = {}
        self.awaited: tuple[Endpoint, ...] = ()
        self.settled: tuple[Endpoint, ...] = ()
        self._stop_out, self._stop_in = os.pipe2(os.O_CLOEXEC)
        self._done = threading.Event()
        try:
            self._open(ends)
        except BaseException:
            self._close()
            raise
        self._thread = threading.Thread(target=self._watch, name="labctl-carrier", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.write(self._stop_in, b"x")
        self._thread.join()
        self._close()

    def wait(self, timeout_s: float) -> tuple[CarrierChange, ...]:
        """Wait until every awaited end has reported; ends that have not in time get ``t_ns`` 0."""
        self._done.wait(timeout_s)
        return tuple(
            CarrierChange(end.node, end.interface, self._seen.get((end.node, end.interface), 0))
            for end in self.awaited
        )

    def _open(self, ends: Iterable[tuple[Endpoint, Path]]) -> None:
        by_space: dict[Path, list[Endpoint]] = {}
        for end, space in ends:
            by_space.setdefault(space, []).append(end)
        awaited: list[Endpoint] = []
        settled: list[Endpoint] = []
        for space, there in by_space.items():
            monitor, now = inside(space, _monitor)
            names = {}
            for end in there:
                link = now.get(end.interface)
                has = link is not None and link.carrier
                if has == self._carrier:
                    settled.append(end)
                else:
                    awaited.append(end)
                    names[end.interface] = (end.node, end.interface)
            self._monitors[monitor.fileno()] = (monitor, names)
        self.awaited, self.settled = tuple(awaited), tuple(settled)
        if not awaited:
            self._done.set()

    def _watch(self) -> None:
        # The time of a change is when we are told: nobody else's work shall come before.
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(_PRIORITY))
        with select.epoll() as poll:
            poll.register(self._stop_out, select.EPOLLIN)
            for handle in self._monitors:
                poll.register(handle, select.EPOLLIN)
            while True:
                ready = poll.poll()
                now = now_ns()
                for handle, _ in ready:
                    if handle == self._stop_out:
                        return
                    self._read(handle, now)
                if len(self._seen) == len(self.awaited):
                    self._done.set()

    def _read(self, handle: int, now: int) -> None:
        monitor, names = self._monitors[handle]
        with contextlib.suppress(OSError):  # an overrun: what is lost is told as unseen
            for link in netlink.link_changes(monitor):
                key = names.get(link.name)
                if key and key not in self._seen and link.carrier == self._carrier:
                    self._seen[key] = now

    def _close(self) -> None:
        for monitor, _ in self._monitors.values():
            monitor.close()
        os.close(self._stop_out)
        os.close(self._stop_in)


def _monitor() -> tuple[netlink.Route, dict[str, netlink.LinkInfo]]:
    monitor = netlink.Route(netlink.RTMGRP_LINK)
    with contextlib.closing(netlink.Route()) as asking:
        return monitor, netlink.links(asking)
