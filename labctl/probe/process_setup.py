"""Process setup for helpers: parent-death signal, scheduling priority, resource limits."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import signal
import sys
from typing import Any

from labctl.linux.syscalls import die_with_parent

__all__ = ["die_with", "libc", "raise_file_limit", "say", "urgent"]

_PR_SET_NAME = 15
_PR_SET_TIMERSLACK = 29


def libc() -> ctypes.CDLL:
    """The C library with errno kept per call."""
    return ctypes.CDLL(None, use_errno=True)


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
    die_with_parent(signal.SIGUSR1)
    libc().prctl(_PR_SET_NAME, name.encode(), 0, 0, 0)
    look(0, None)


def say(message: dict[str, Any]) -> None:
    """One JSON line to the parent."""
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


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
