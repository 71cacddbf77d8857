"""Kills the processes of a node that have one name; the node's own supervisor may start them again."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import TYPE_CHECKING

from labctl.errors import ActionError
from labctl.events import now_ns
from labctl.fault.effects import effect_of
from labctl.fault.ends import known_node
from labctl.fault.registry import lock_nodes
from labctl.linux import processes

if TYPE_CHECKING:
    from labctl.events import Listener
    from labctl.fault.types import Effect
    from labctl.lab.runtime import Runtime
    from labctl.lab.state import LabDir

__all__ = ["ACTION", "is_called", "kill_process"]

ACTION = "kill"
_END_S = 5.0
_BACK_S = 5.0
_POLL_S = 0.05


def kill_process(runtime: Runtime, lab: LabDir, node: str, process: str, listen: Listener) -> Effect:
    """Send SIGKILL to every process of a node with that name, all at once.

    Args:
        runtime: that runs the lab.
        lab: the lab.
        node: a node that runs.
        process: its name: see :func:`is_called`.
        listen: gets nothing here; for the sake of one form for all faults.

    Returns:
        The effect; ``first_ns`` is when the signal went out, ``last_ns`` when all of them were gone.
        ``detail``: ``killed``: how many; ``back_ms``: when one of that name was there again, after
        the signal; not there if none came within 5 s.

    Raises:
        ActionError: the node is off, no process of it is called so, or one would not die.
    """
    del listen
    known_node(lab, node)
    requested = now_ns()
    with lock_nodes(lab, (node,)):
        init = runtime.states(lab)[node].init_pid
        space = processes.namespace_of(init, "pid") if init else None
        if space is None:
            raise ActionError(f"{node} is not running")
        before = _called(process, space, init)
        if not before:
            raise ActionError(f"{node} runs no process called {process}; it runs {_running(space)}")
        killed_at = now_ns()
        stubborn = processes.end(before, _END_S)
        gone_at = now_ns()
        if stubborn:
            raise ActionError(f"{node}: {process} has not ended within {_END_S:g} s")
        effect = effect_of(ACTION, node, requested)
        back = _back(process, space, init, set(before))
    detail = {**effect.detail, "not_before_ns": killed_at, "process": process, "killed": len(before)}
    if back:
        detail["back_ms"] = round((back - killed_at) / 1e6)
    return type(effect)(effect.action, effect.target, requested, killed_at, gone_at, gone_at, detail=detail)


def is_called(command_line: bytes, process: str) -> bool:
    """Whether one of the words of a command line is that name, or ends with it after ``/`` or ``.``.

    So ``bgpd`` is ``/usr/lib/frr/bgpd --log stdout``, and ``agent`` is ``python3 -m labctl.overlay.agent``.

    Args:
        command_line: as in /proc/PID/cmdline: words with a NUL after each.
        process: the name.
    """
    wanted = process.encode()
    return any(re.split(rb"[/.]", word)[-1] == wanted or word == wanted for word in command_line.split(b"\0"))


def _called(process: str, space: processes.Namespace, init: int) -> list[int]:
    return [
        pid
        for pid in processes.members("pid", {space})
        if pid != init and is_called(_command_line(pid), process) and not processes.halted(pid)
    ]


def _back(process: str, space: processes.Namespace, init: int, before: set[int]) -> int:
    """When a new process of that name was observed; 0 if none was."""
    end = time.monotonic() + _BACK_S
    while time.monotonic() < end:
        if set(_called(process, space, init)) - before:
            return now_ns()
        time.sleep(_POLL_S)
    return 0


def _running(space: processes.Namespace) -> str:
    """The programs of a node, for a message."""
    words = (_command_line(pid).split(b"\0")[0] for pid in processes.members("pid", {space}))
    names = {word.rpartition(b"/")[2].decode(errors="replace") for word in words if word}
    return ", ".join(sorted(names)) or "nothing"


def _command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
