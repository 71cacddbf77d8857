"""Into a node's network namespace and out again, and the manners of our helper processes there."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["die_with", "inside", "libc", "raise_file_limit", "urgent"]

_CLONE_NEWNET = 0x40000000
_PR_SET_PDEATHSIG = 1
_PR_SET_NAME = 15
_PR_SET_TIMERSLACK = 29


def libc() -> ctypes.CDLL:
    """The C library with errno kept per call."""
    return ctypes.CDLL(None, use_errno=True)


@contextlib.contextmanager
def inside(netns_fd: int) -> Iterator[None]:
    """The calling thread is in that network namespace; sockets opened here stay in it for good.

    Raises:
        OSError: setns() is not allowed or the descriptor is no network namespace.
    """
    library = libc()
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        _setns(library, netns_fd)
        try:
            yield
        finally:
            _setns(library, home)
    finally:
        os.close(home)


def _setns(library: ctypes.CDLL, fd: int) -> None:
    if library.setns(fd, _CLONE_NEWNET) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"setns: {os.strerror(number)}")


def die_with(parent: int, name: str) -> None:
    """End when the process that started this one ends, however it ends.

    The kernel signals the death of the parent's *thread*: it may well be a passing one, so the
    signal only makes this process look whether it was adopted.
    """

    def look(_number: int, _frame: object) -> None:
        if os.getppid() != parent:
            os._exit(1)

    signal.signal(signal.SIGUSR1, look)
    # A Ctrl-C is for the parent, who then stops this process in order.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    library = libc()
    library.prctl(_PR_SET_PDEATHSIG, signal.SIGUSR1, 0, 0, 0)
    library.prctl(_PR_SET_NAME, name.encode(), 0, 0, 0)
    look(0, None)


def urgent(*, realtime: bool) -> str:
    """Timer slack of 1 ns and the highest priority that is allowed.

    Args:
        realtime: ask for SCHED_FIFO 1; a process that may use a whole core must not.

    Returns:
        what was granted: ``fifo``, ``nice -20`` or ``normal``.
    """
    libc().prctl(_PR_SET_TIMERSLACK, 1, 0, 0, 0)
    if realtime:
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
            return "fifo"
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, -20)
        return "nice -20"
    return "normal"


def raise_file_limit() -> None:
    """As many descriptors as the hard limit allows: one socket a flow."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
