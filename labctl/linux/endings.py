"""Ends everything in a node: PID 1 with all that it started, and processes that entered from outside.

A process that entered from outside (``labctl exec``, ``nsenter``) has its parent outside. PID 1 of a
PID namespace does not end before each process in it is reaped, including these: so the parents outside are
left alive until their children are gone, and resumed if they were stopped.
"""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

from labctl.linux import processes

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from labctl.linux.freezer import Freezer
    from labctl.linux.processes import Namespace

__all__ = ["end_inhabitants"]

_ROUNDS = 5
_REAP_S = 1.0


def end_inhabitants(
    spaces: Collection[Namespace], inits: Iterable[int], freezers: Iterable[Freezer], timeout_s: float
) -> list[int]:
    """Kill every process in some network namespaces and in the PID namespaces that belong to them.

    Args:
        spaces: the network namespaces.
        inits: PID 1 of each node that runs, in the host's numbering.
        freezers: of the nodes. They are thawed: a frozen process of control groups version 1 does not die.
        timeout_s: seconds to wait for all of them.

    Returns:
        Those that have not ended in time.
    """
    deadline = time.monotonic() + timeout_s
    rooms = {room for init in inits if (room := processes.namespace_of(init, "pid"))}
    inside = processes.members("pid", rooms)
    processes.signal_all(inside, signal.SIGKILL)
    for freezer in freezers:
        freezer.thaw()
    processes.signal_all(set(processes.members("net", spaces)) - set(inside), signal.SIGCONT)
    left = processes.end(inside, min(_REAP_S, timeout_s))
    # Again, since a process may come in while the others are being killed.
    for _ in range(_ROUNDS):
        found = {*processes.members("net", spaces), *left}
        if not found:
            break
        left = processes.end(found, deadline - time.monotonic())
        if left:
            break
    return left
