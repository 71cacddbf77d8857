"""Stopping every process of a node, so that nothing in it can say a word, and letting them go on."""

from __future__ import annotations

import signal
import time

from labctl.errors import ActionError
from labctl.linux import processes

__all__ = ["freeze", "thaw"]

_ROUNDS = 20
_STOPPED_S = 1.0


def freeze(init_pid: int) -> int:
    """SIGSTOP every process of a PID namespace and wait until each has stopped.

    Args:
        init_pid: its PID 1, in the host's numbering.

    Returns:
        How many were stopped.

    Raises:
        ActionError: they fork faster than they can be stopped, or one does not stop.
    """
    space = processes.namespace_of(init_pid, "pid")
    if space is None:
        return 0
    known: set[int] = set()
    for _ in range(_ROUNDS):
        fresh = set(processes.members("pid", {space})) - known
        if not fresh:
            break
        processes.signal_all(fresh, signal.SIGSTOP)
        known |= fresh
    else:
        raise ActionError("processes of the node fork faster than they can be stopped")
    end = time.monotonic() + _STOPPED_S
    while moving := [pid for pid in known if not processes.halted(pid)]:
        if time.monotonic() > end:
            raise ActionError(f"processes {moving} have not stopped within {_STOPPED_S:g} s")
        time.sleep(0.0005)
    return len(known)


def thaw(init_pid: int) -> int:
    """SIGCONT every process of a PID namespace; how many there were."""
    space = processes.namespace_of(init_pid, "pid")
    if space is None:
        return 0
    found = processes.members("pid", {space})
    processes.signal_all(found, signal.SIGCONT)
    return len(found)
