"""Real-time priority for a short piece of work that no ordinary thread may delay."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["realtime"]


@contextlib.contextmanager
def realtime(priority: int) -> Iterator[None]:
    """Run the calling thread, and the threads that it starts meanwhile, before all ordinary ones.

    For work of milliseconds: it comes before packets that are being sent, too. Where the machine does
    not let us, the work is done at the priority that the thread has.

    Args:
        priority: of SCHED_FIFO, from 1 to 99: sched(7).
    """
    policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(priority))
        yield
    finally:
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, policy, parameters)
