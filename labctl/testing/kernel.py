"""A kernel in memory, as far as faults need one: namespaces, pairs of interfaces, carrier, processes.

It stands in for :mod:`labctl.linux`; :attr:`FakeKernel.replacements` says what for what. Process ids
are larger than any that a machine gives, so that a call that goes past it reaches nobody.
"""

from __future__ import annotations

import errno
import os
import signal
import threading
from collections import deque
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labctl.lab.runtime import NodeState, NodeStatus
from labctl.testing.runtime import FakeRuntime

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from labctl.clab.definition import Definition
    from labctl.events import Listener
    from labctl.lab.state import LabDir

__all__ = ["FakeKernel", "KernelRuntime"]

NO_PROCESS = 2**22
"""Larger than any process id (PID_MAX_LIMIT, linux/threads.h)."""


@dataclass(frozen=True, slots=True)
class FakeLink:
    """What the kernel tells of an interface; the part of LinkInfo that faults look at."""

    name: str
    index: int
    up: bool = False
    carrier: bool = False


@dataclass
class _Side:
    """One side of a pair of interfaces."""

    node: str
    interface: str
    index: int
    space: int
    up: bool = True
    other: _Side | None = None

    @property
    def carrier(self) -> bool:
        return self.up and self.other is not None and self.other.up

    def link(self) -> FakeLink:
        return FakeLink(self.interface, self.index, self.up, self.carrier)


@dataclass
class _Process:
    room: int
    space: int
    command_line: bytes = b""
    stopped: bool = False


@dataclass
class FakeKernel:
    """The state of the kernel, and what tests look at.

    Attributes:
        done: what was done to it, in order, such as ``down a:x1`` or ``stop a``.
        before_change: called before each of them with its text: a test reads the registry there.
        silent: interfaces, such as ``a:x1``, whose changes no monitor is told of.
    """

    done: list[str] = field(default_factory=list)
    before_change: Callable[[str], None] = lambda _text: None
    silent: set[str] = field(default_factory=set)
    _sides: list[_Side] = field(default_factory=list)
    _places: dict[str, int] = field(default_factory=dict)
    _processes: dict[int, _Process] = field(default_factory=dict)
    _names: dict[int, str] = field(default_factory=dict)
    _groups: dict[int, set[int]] = field(default_factory=dict)
    _monitors: list[_FakeRoute] = field(default_factory=list)
    _here: threading.local = field(default_factory=threading.local)
    _spaces: int = 0
    _last_pid: int = 2 * NO_PROCESS

    # What a test does and sees.

    def lay(self, definition: Definition, lab: LabDir) -> None:
        """Lay every link of a definition between the nodes' namespaces."""
        for number, link in enumerate(definition.links):
            a, b = (
                _Side(end.node, end.interface, 100 + 2 * number + side, self.space_at(lab.netns / end.node))
                for side, end in enumerate(link.ends)
            )
            a.other, b.other = b, a
            self._sides += [a, b]

    def add(self, end: str, place: Path, *, up: bool = True) -> None:
        """One more pair of interfaces; its other side, always up, is nobody's."""
        node, _, interface = end.partition(":")
        here = _Side(node, interface, 1000 + len(self._sides), self.space_at(place), up)
        here.other = _Side("", "", here.index + 1, -1, other=here)
        self._sides += [here, here.other]

    def take_away(self, end: str) -> None:
        """Delete an interface, such as ``a:x1``."""
        self._sides.remove(self._side(end))

    def start(self, node: str, netns: Path, pid: int) -> None:
        """A node boots: a fresh namespace at its place, and its first process."""
        netns.parent.mkdir(parents=True, exist_ok=True)
        netns.touch()
        self._spaces += 1
        self._places[os.fspath(netns)] = self._spaces
        self._names[pid] = node
        self._processes[pid] = _Process(pid, self._spaces, b"tini\0")

    def run(self, init: int, command_line: bytes) -> int:
        """One more process of a node; its id."""
        self._last_pid += 1
        pid = self._last_pid
        first = self._processes[init]
        self._names[pid] = f"{self._names[init]}/{command_line.split(bytes(1))[0].decode()}"
        self._processes[pid] = replace(first, command_line=command_line, stopped=False)
        return pid

    def kill(self, init: int) -> None:
        """Every process of a node ends."""
        self._change(f"kill {self._names.get(init, init)}")
        for pid in [pid for pid, process in self._processes.items() if process.room == init]:
            del self._processes[pid]

    def lose(self, place: Path) -> None:
        """A namespace is held by nobody any more."""
        del self._places[os.fspath(place)]

    def carrier(self, end: str) -> bool:
        """Whether an interface, such as ``a:x1``, has carrier."""
        return self._side(end).carrier

    def up(self, end: str) -> bool:
        """Whether an interface is administratively up."""
        return self._side(end).up

    def holder(self, end: str) -> int:
        """The namespace that an interface is in."""
        return self._side(end).space

    def space_at(self, place: Path) -> int:
        """The namespace at a path."""
        return self._places[os.fspath(place)]

    def stopped(self, init: int) -> bool:
        """Whether a process is stopped."""
        return self._processes[init].stopped

    def command_line(self, pid: int) -> bytes:
        """As in /proc/PID/cmdline."""
        found = self._processes.get(pid)
        return found.command_line if found else b""

    @property
    def replacements(self) -> Mapping[str, Callable[..., Any]]:
        """By dotted name of what it replaces."""
        here = "labctl.linux."
        return {
            f"{here}syscalls.setns": self._setns,
            f"{here}syscalls.mount": self._mount,
            f"{here}syscalls.umount": self._umount,
            f"{here}netlink.Route": lambda groups=0: _FakeRoute(self, bool(groups)),
            f"{here}netlink.links": lambda route: route.links(),
            f"{here}netlink.link_changes": lambda route: route.changes(),
            f"{here}netlink.index_of": self._index_of,
            f"{here}netlink.set_link": lambda index, *, up=None, group=None: ("set", index, up, group),
            f"{here}netlink.group_flags": lambda group, *, up: ("group", group, up),
            f"{here}netlink.move": lambda *words: ("move", *words),
            f"{here}processes.pinned": self._pinned,
            f"{here}processes.namespace_of": self._namespace_of,
            f"{here}processes.members": self._members,
            f"{here}processes.signal_all": self._signal_all,
            f"{here}processes.halted": lambda pid: pid not in self._processes or self.stopped(pid),
            f"{here}processes.frozen": lambda pid: pid in self._processes and self.stopped(pid),
            f"{here}processes.end": self._end,
        }

    # What stands in for labctl.linux.

    def _setns(self, handle: int, kind: int = 0) -> None:
        del kind
        place = _place(handle)
        if place not in self._places:
            raise OSError(errno.EINVAL, "no namespace", place)
        self._here.space = self._places[place]

    def _mount(self, source: str, target: str, kind: str = "", flags: int = 0, data: str = "") -> None:
        del kind, flags, data
        self._places[target] = self._places[source]

    def _umount(self, target: str, flags: int = 0) -> None:
        del flags
        if self._places.pop(target, None) is None:
            raise OSError(errno.EINVAL, "not mounted", target)

    def _pinned(self, place: Path) -> tuple[int, int] | None:
        space = self._places.get(os.fspath(place))
        return None if space is None else (0, space)

    def _namespace_of(self, pid: int, kind: str) -> tuple[int, int] | None:
        process = self._processes.get(pid)
        if process is None:
            return None
        return (0, process.space) if kind == "net" else (1, process.room)

    def _members(self, kind: str, namespaces: Collection[tuple[int, int]]) -> list[int]:
        return [pid for pid in self._processes if self._namespace_of(pid, kind) in namespaces]

    def _signal_all(self, pids: Iterable[int], number: signal.Signals) -> None:
        words = {signal.SIGSTOP: "stop", signal.SIGCONT: "continue"}
        for pid in sorted(pids):
            self._change(f"{words[number]} {self._names[pid]}")
            self._processes[pid].stopped = number == signal.SIGSTOP

    def _end(self, pids: Iterable[int], timeout_s: float) -> list[int]:
        del timeout_s
        for pid in sorted(pids):
            self._change(f"end {self._names[pid]}")
            del self._processes[pid]
        return []

    def _index_of(self, interface: str) -> int:
        return next(
            side.index for side in self._sides if (side.space, side.interface) == (self.here(), interface)
        )

    def here(self) -> int:
        """The namespace of the calling thread; 0 is the machine's own."""
        return int(getattr(self._here, "space", 0))

    def watch(self, monitor: _FakeRoute) -> None:
        """Tell a monitor of changes from now on."""
        self._monitors.append(monitor)

    def forget(self, monitor: _FakeRoute) -> None:
        """Tell it of nothing any more."""
        if monitor in self._monitors:
            self._monitors.remove(monitor)

    def links_in(self, space: int) -> dict[str, FakeLink]:
        """Every interface of a namespace."""
        return {side.interface: side.link() for side in self._sides if side.space == space}

    def apply(self, message: tuple[Any, ...], space: int) -> None:
        """Do what one message to the kernel asks for, in a namespace."""
        here = [side for side in self._sides if side.space == space]
        match message:
            case ("set", index, up, group):
                side = next(side for side in here if side.index == index)
                self._groups = {key: members - {index} for key, members in self._groups.items()}
                self._groups.setdefault(group or 0, set()).add(index)
                if up is not None:
                    self._set([side], up=up)
            case ("group", group, up):
                self._set([side for side in here if side.index in self._groups.get(group, ())], up=up)
            case ("move", index, handle, _, _):
                side = next(side for side in here if side.index == index)
                self._change(f"move {side.node}:{side.interface}")
                side.space = self._places[_place(handle)]

    def _set(self, sides: list[_Side], *, up: bool) -> None:
        both = [*sides, *(side.other for side in sides if side.other)]
        before = [side.link() for side in both]
        for side in sides:
            if side.up != up:
                self._change(f"{'up' if up else 'down'} {side.node}:{side.interface}")
                side.up = up
        for side, old in zip(both, before, strict=True):
            if side.link() != old and f"{side.node}:{side.interface}" not in self.silent:
                for monitor in self._monitors:
                    monitor.tell(side.space, side.link())

    def _change(self, text: str) -> None:
        self.before_change(text)
        self.done.append(text)

    def _side(self, end: str) -> _Side:
        return next(side for side in self._sides if f"{side.node}:{side.interface}" == end)


def _place(handle: int) -> str:
    """The path that a handle was opened by."""
    return os.fspath(Path(f"/proc/self/fd/{handle}").readlink())


class _FakeRoute:
    """A socket of rtnetlink in the namespace of the thread that opened it."""

    def __init__(self, kernel: FakeKernel, watches: bool) -> None:  # noqa: FBT001
        self._kernel = kernel
        self._space = kernel.here()
        self._handle = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._told: deque[FakeLink] = deque()
        if watches:
            kernel.watch(self)

    def fileno(self) -> int:
        """What can be polled."""
        return self._handle

    def close(self) -> None:
        """Be told of nothing any more."""
        self._kernel.forget(self)
        os.close(self._handle)

    def batch(self, messages: list[tuple[Any, ...]]) -> None:
        """Send messages, one after the other."""
        for message in messages:
            self._kernel.apply(message, self._space)

    def prepare(self, messages: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        """What :meth:`send` takes."""
        return messages

    def send(self, prepared: list[tuple[Any, ...]]) -> None:
        """Send what was prepared."""
        self.batch(prepared)

    def links(self) -> dict[str, FakeLink]:
        """Every interface of the namespace."""
        return self._kernel.links_in(self._space)

    def tell(self, space: int, link: FakeLink) -> None:
        """A change of an interface."""
        if space == self._space:
            self._told.append(link)
            os.eventfd_write(self._handle, 1)

    def changes(self) -> list[FakeLink]:
        """Every change since the last call."""
        os.eventfd_read(self._handle)
        found = []
        while self._told:
            found.append(self._told.popleft())
        return found


@dataclass
class KernelRuntime(FakeRuntime):
    """A runtime whose nodes have namespaces and processes in a :class:`FakeKernel`."""

    kernel: FakeKernel = field(default_factory=FakeKernel)
    _last_pid: int = NO_PROCESS

    def up(self, lab: LabDir, definition: Definition, listen: Listener) -> None:
        """Every node runs, every link is laid."""
        super().up(lab, definition, listen)
        for node, state in super().states(lab).items():
            self.kernel.start(node, lab.netns / node, state.init_pid)
        self.kernel.lay(definition, lab)
        self.calls.clear()

    def states(self, lab: LabDir) -> Mapping[str, NodeState]:
        """As the processes are."""
        found = super().states(lab)
        return {
            node: NodeState(NodeStatus.FROZEN, state.init_pid)
            if state.init_pid and self.kernel.stopped(state.init_pid)
            else state
            for node, state in found.items()
        }

    def kill(self, lab: LabDir, node: str) -> None:
        """The node's processes end, and with them its hold of its namespace stays at its place."""
        pid = super().states(lab)[node].init_pid
        super().kill(lab, node)
        if pid:
            self.kernel.kill(pid)

    def boot(self, lab: LabDir, node: str) -> None:
        """The node runs in a fresh namespace."""
        was = super().states(lab)[node].init_pid
        super().boot(lab, node)
        if not was:
            self.kernel.start(node, lab.netns / node, super().states(lab)[node].init_pid)
