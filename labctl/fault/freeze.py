"""Stops every process of a node, so that none of them can send anything, and resumes them.

The kernel's freezer stops the processes where the node has one (:mod:`labctl.linux.freezer`), otherwise
SIGSTOP does. Either way no process runs its own code from the moment of the request. The wait for the
kernel's confirmation that all processes have stopped is bounded.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from labctl.errors import ActionError
from labctl.events import now_ns
from labctl.lab.node_groups import freezer_of
from labctl.linux import processes

if TYPE_CHECKING:
    from types import TracebackType

    from labctl.linux.freezer import Freezer

__all__ = ["BoundedFreeze", "Stopped", "freeze", "thaw"]

_ROUNDS = 20
_ROUNDS_BEFORE = 3
_STOPPED_S = 1.0
_POLL_S = 0.0002
_AGAIN_S = 0.002
_MOVING = f"the node's processes have not stopped within {_STOPPED_S:g} s"
_TOO_FAST = "processes of the node fork faster than they can be stopped"


@dataclass(slots=True)
class Stopped:
    """What a freeze has done so far; another thread may still be adding to it.

    Attributes:
        pids: processes that were told to stop.
        whole: whether all of them have stopped.
        moving: why not, if the freeze has given up.
    """

    pids: set[int] = field(default_factory=set)
    whole: bool = False
    moving: str = ""


def freeze(init_pid: int) -> int:
    """Stop every process of a PID namespace and wait until each has stopped.

    Args:
        init_pid: its PID 1, in the host's numbering.

    Returns:
        How many were stopped.

    Raises:
        ActionError: they fork faster than they can be stopped, or one does not stop.
    """
    done = Stopped()
    room, freezer = processes.namespace_of(init_pid, "pid"), freezer_of(init_pid)
    if room is None:
        return 0
    end = time.monotonic() + _STOPPED_S
    if freezer is None or not _frozen_by(freezer, end, done):
        _stop_each(room, end, done)
    elif done.whole:
        # Whoever is moved into a frozen group freezes there.
        done.whole = _gather(freezer, room, done, _ROUNDS) and _frozen_by(freezer, end, done)
        done.moving = done.moving or _TOO_FAST
    if not done.whole:
        raise ActionError(done.moving)
    return len(done.pids)


class BoundedFreeze:
    """A freeze with a bounded wait, so that it cannot delay the fault; a context manager.

    Whoever came into the node from outside is moved into its control group beforehand, which does not
    disturb them; the freeze itself is then a word to the kernel. On exit it has ended, in success or
    not: who kills or thaws afterwards has the last word.

    Args:
        init_pid: PID 1 of the node, in the host's numbering.
    """

    def __init__(self, init_pid: int) -> None:
        self._done = Stopped()
        self._ended = threading.Event()
        self._room = processes.namespace_of(init_pid, "pid")
        self._freezer = freezer_of(init_pid)
        self._thread: threading.Thread | None = None
        if self._room and self._freezer:
            _gather(self._freezer, self._room, self._done, _ROUNDS_BEFORE)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._thread is not None:
            self._thread.join()

    def within(self, bound_s: float) -> tuple[bool, int]:
        """Begin to freeze, and wait until all have stopped, but no longer than the bound.

        Args:
            bound_s: seconds.

        Returns:
            Whether every process has stopped, and nanoseconds that this took.
        """
        begin = now_ns()
        self._thread = threading.Thread(target=self._run, args=(bound_s,), name="labctl-freeze", daemon=True)
        self._thread.start()
        self._ended.wait(bound_s)
        return self._done.whole, now_ns() - begin

    @property
    def processes(self) -> int:
        """Number of processes that received the stop request."""
        return len(self._done.pids)

    def _run(self, bound_s: float) -> None:
        # In a thread of its own: the kernel may keep even the word to it waiting, behind others.
        try:
            end = time.monotonic() + bound_s
            if self._room is None:
                self._done.whole = True
            elif self._freezer is None or not _frozen_by(self._freezer, end, self._done):
                _stop_each(self._room, end, self._done)
        finally:
            self._ended.set()


def thaw(init_pid: int) -> int:
    """Resume every process of a node; returns their number."""
    room = processes.namespace_of(init_pid, "pid")
    space = processes.namespace_of(init_pid, "net")
    if room is None or space is None:
        return 0
    freezer = freezer_of(init_pid)
    if freezer is not None:
        freezer.thaw()
    found = processes.members("pid", {room})
    # Who brought a command into the node has stopped with it: see labctl.linux.endings.
    processes.signal_all({*found, *processes.members("net", {space})}, signal.SIGCONT)
    return len(found)


def _gather(freezer: Freezer, room: processes.Namespace, done: Stopped, rounds: int) -> bool:
    """Move processes that entered from outside into the node's control group; whether all are in it."""
    for _ in range(rounds):
        done.pids |= freezer.pids()
        fresh = set(processes.members("pid", {room})) - done.pids
        if not fresh:
            return True
        for pid in fresh:
            try:
                freezer.adopt(pid)
            except OSError:
                continue
        done.pids |= fresh
    return False


def _frozen_by(freezer: Freezer, end: float, done: Stopped) -> bool:
    """Freeze the group, and wait for that until ``end``; False if the kernel refuses to."""
    try:
        freezer.freeze()
    except OSError:
        return False
    again = time.monotonic() + _AGAIN_S
    while not freezer.frozen():
        now = time.monotonic()
        if now > end:
            done.moving = _MOVING + _who(freezer)
            return True
        if now > again:
            # A process that was between two states when it was asked, as in exec, is asked once more: the
            # freezer of version 1 forgets it, as long as nobody writes to it again.
            again = now + _AGAIN_S
            with contextlib.suppress(OSError):
                freezer.freeze()
        time.sleep(_POLL_S)
    done.whole = True
    return True


def _who(freezer: Freezer) -> str:
    """Which processes still move, for the message."""
    moving = sorted(pid for pid in freezer.pids() if not _still(pid))
    return f" (processes {', '.join(map(str, moving[:5]))})" if moving else ""


def _stop_each(room: processes.Namespace, end: float, done: Stopped) -> None:
    """SIGSTOP every process, and wait until ``end`` for that."""
    signalled: set[int] = set()
    for _ in range(_ROUNDS):
        fresh = set(processes.members("pid", {room})) - signalled
        if not fresh:
            break
        processes.signal_all(fresh, signal.SIGSTOP)
        signalled |= fresh
        done.pids |= fresh
    else:
        done.moving = _TOO_FAST
        return
    while not all(_still(pid) for pid in signalled):
        if time.monotonic() > end:
            done.moving = _MOVING
            return
        time.sleep(_POLL_S)
    done.whole = True


def _still(pid: int) -> bool:
    """Whether a process that got SIGSTOP runs none of its own code any more.

    One that the kernel does not let be interrupted, as in vfork() until the child has become another
    program, stops on its way back to its own code.
    """
    return processes.halted(pid) or processes.uninterruptible(pid)
