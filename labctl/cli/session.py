"""A command in a node on the caller's own streams, from its start to the exit code that it ends with."""

from __future__ import annotations

import os
import signal
import subprocess
from typing import TYPE_CHECKING

from labctl.linux import syscalls

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["run_session"]

_PASSED_ON = frozenset({signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP})


def run_session(line: Sequence[str]) -> int:
    """Run a command line of the host's with this process's streams, terminal and process group.

    Signals that somebody sends to this process are passed on to it. Those that the terminal sends
    reach it anyhow, since both are in one process group.

    Args:
        line: the program and its arguments.

    Returns:
        Its exit code; 128 and the number of the signal that ended it.
    """
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {*_PASSED_ON, signal.SIGCHLD})
    try:
        child = subprocess.Popen(line, preexec_fn=lambda: _in_child(mask))  # noqa: PLW1509 - one thread
        while child.poll() is None:
            told = signal.sigwaitinfo({*_PASSED_ON, signal.SIGCHLD})
            # si_code: 0 (SI_USER) and below if a process sent it, above if the kernel did.
            if told.si_signo in _PASSED_ON and told.si_code <= 0:
                child.send_signal(told.si_signo)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    return 128 - child.returncode if child.returncode < 0 else child.returncode


def _in_child(mask: set[int | signal.Signals]) -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    parent = os.getppid()
    syscalls.die_with_parent(signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
