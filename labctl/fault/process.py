"""Signals to the processes of a node that have one name: killed, stopped for a time, started again."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labctl.errors import ActionError
from labctl.events import now_ns
from labctl.fault.effects import effect_of
from labctl.fault.ends import known_node
from labctl.fault.registry import Fault, clear, lock_nodes, record
from labctl.fault.types import Effect
from labctl.linux import processes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from labctl.events import Listener
    from labctl.lab.runtime import Runtime
    from labctl.lab.state import LabDir

__all__ = [
    "ACTION",
    "STOP",
    "continue_process",
    "is_called",
    "kill_process",
    "restart_process",
    "signal_process",
    "stop_process",
]

ACTION = "kill"
STOP = "process-stop"
"""What processes that are stopped are called in the registry; the target is ``NODE:NAME``."""

_END_S = 5.0
_BACK_S = 5.0
_POLL_S = 0.05
_SUPERVISOR_S = 1.0


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
    with _found(runtime, lab, node, process) as found:
        killed_at, gone_at = _killed(found)
        back = _back(found)
    detail: dict[str, Any] = {"process": process, "killed": len(found.pids)}
    if back:
        detail["back_ms"] = round((back - killed_at) / 1e6)
    return _effect(ACTION, found, killed_at, gone_at, detail)


def restart_process(runtime: Runtime, lab: LabDir, node: str, process: str, listen: Listener) -> Effect:
    """Kill every process of that name, and start it again unless a supervisor does within 1 s.

    It is started by its own words, by root of the node, in the working directory that it had; a daemon that
    gives its privileges away does so again.

    Args:
        runtime: as for :func:`kill_process`.
        lab: as for :func:`kill_process`.
        node: as for :func:`kill_process`.
        process: as for :func:`kill_process`.
        listen: as for :func:`kill_process`.

    Returns:
        As for :func:`kill_process`; ``detail`` has ``started_by``: ``supervisor`` or ``labctl``.

    Raises:
        ActionError: as for :func:`kill_process`; or it is not there again after 5 s.
    """
    del listen
    with _found(runtime, lab, node, process) as found:
        words, folder = _how_started(found.pids[0])
        killed_at, gone_at = _killed(found)
        back, started_by = _back(found, _SUPERVISOR_S), "supervisor"
        if not back:
            started_by = "labctl"
            line = ["sh", "-c", 'cd "$0" && { setsid "$@" </dev/null >/proc/1/fd/1 2>&1 & }', folder, *words]
            done = runtime.exec(lab, node, line, timeout_s=_END_S)
            back = _back(found) if done.ok else 0
        if not back:
            raise ActionError(f"{node}: {process} was killed, and does not start again")
    detail = {
        "process": process,
        "killed": len(found.pids),
        "back_ms": round((back - killed_at) / 1e6),
        "started_by": started_by,
    }
    return _effect("process-restart", found, killed_at, gone_at, detail)


def stop_process(runtime: Runtime, lab: LabDir, node: str, process: str, listen: Listener) -> Effect:
    """Stop every process of that name by SIGSTOP: it keeps its sockets, and answers nothing.

    Returns:
        The effect; ``last_ns`` is when all of them had stopped. ``detail``: ``stopped``: how many.

    Raises:
        ActionError: the node is off, no process of it is called so, or one does not stop.
    """
    del listen
    with _found(runtime, lab, node, process) as found:
        record(lab, Fault(STOP, f"{node}:{process}", {"node": node, "process": process}))
        sent_at = now_ns()
        processes.signal_all(found.pids, signal.SIGSTOP)
        deadline = time.monotonic() + _END_S
        while not all(processes.halted(pid) for pid in found.pids):
            if time.monotonic() > deadline:
                raise ActionError(f"{node}: {process} has not stopped within {_END_S:g} s")
            time.sleep(0.001)
        detail: dict[str, Any] = {"process": process, "stopped": len(found.pids)}
        return _effect(STOP, found, sent_at, now_ns(), detail)


def continue_process(runtime: Runtime, lab: LabDir, node: str, process: str, listen: Listener) -> Effect:
    """Let processes that were stopped go on; none of that name, or a node that is off, is no error.

    Returns:
        The effect. ``detail``: ``continued``: how many.
    """
    del listen
    known_node(lab, node)
    requested = now_ns()
    with lock_nodes(lab, (node,)):
        init = runtime.states(lab)[node].init_pid
        space = processes.namespace_of(init, "pid") if init else None
        pids = [] if space is None else _called(process, space, init, halted=True)
        processes.signal_all(pids, signal.SIGCONT)
        clear(lab, STOP, f"{node}:{process}")
        effect = effect_of("process-continue", node, requested)
    effect.detail.update({"process": process, "continued": len(pids)})
    return effect


def signal_process(
    runtime: Runtime, lab: LabDir, node: str, process: str, listen: Listener, *, number: signal.Signals
) -> Effect:
    """Send a signal to every process of that name, such as SIGHUP to read a configuration anew.

    Returns:
        The effect. ``detail``: ``signal``: its name; ``signalled``: how many.

    Raises:
        ActionError: the node is off, or no process of it is called so.
    """
    del listen
    with _found(runtime, lab, node, process) as found:
        sent_at = now_ns()
        processes.signal_all(found.pids, number)
        detail: dict[str, Any] = {"process": process, "signal": number.name, "signalled": len(found.pids)}
        return _effect("process-signal", found, sent_at, now_ns(), detail)


@dataclass(frozen=True, slots=True)
class _Found:
    """The processes of a node that have one name."""

    node: str
    process: str
    requested_ns: int
    init: int
    space: processes.Namespace
    pids: tuple[int, ...]


@contextlib.contextmanager
def _found(runtime: Runtime, lab: LabDir, node: str, process: str) -> Iterator[_Found]:
    """The processes of that name, while no other action is done to their node."""
    known_node(lab, node)
    requested = now_ns()
    with lock_nodes(lab, (node,)):
        init = runtime.states(lab)[node].init_pid
        space = processes.namespace_of(init, "pid") if init else None
        if space is None:
            raise ActionError(f"{node} is not running")
        pids = _called(process, space, init)
        if not pids:
            raise ActionError(f"{node} runs no process called {process}; it runs {_running(space)}")
        yield _Found(node, process, requested, init, space, tuple(pids))


def _killed(found: _Found) -> tuple[int, int]:
    """SIGKILL all at once; when it was sent, and when all were gone."""
    killed_at = now_ns()
    stubborn = processes.end(found.pids, _END_S)
    if stubborn:
        raise ActionError(f"{found.node}: {found.process} has not ended within {_END_S:g} s")
    return killed_at, now_ns()


def _effect(action: str, found: _Found, sent_ns: int, last_ns: int, detail: Mapping[str, Any]) -> Effect:
    told = {"window_ns": last_ns - sent_ns, "not_before_ns": sent_ns, **detail}
    return Effect(action, found.node, found.requested_ns, sent_ns, last_ns, last_ns, detail=told)


def _how_started(pid: int) -> tuple[list[str], str]:
    """The words of a process, and its working directory, as its node sees it."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").split(b"\0")
        return [os.fsdecode(word) for word in words], str(Path(f"/proc/{pid}/cwd").readlink())
    except OSError as error:
        raise ActionError(f"process {pid} has gone: {error.strerror}") from error


def is_called(command_line: bytes, process: str) -> bool:
    """Whether one of the words of a command line is that name, or ends with it after ``/`` or ``.``.

    So ``bgpd`` is ``/usr/lib/frr/bgpd --log stdout``, and ``agent`` is ``python3 -m labctl.overlay.agent``.

    Args:
        command_line: as in /proc/PID/cmdline: words with a NUL after each.
        process: the name.
    """
    wanted = process.encode()
    return any(re.split(rb"[/.]", word)[-1] == wanted or word == wanted for word in command_line.split(b"\0"))


def _called(process: str, space: processes.Namespace, init: int, *, halted: bool = False) -> list[int]:
    """Those that run; with ``halted`` those that are stopped."""
    return [
        pid
        for pid in processes.members("pid", {space})
        if pid != init
        and is_called(_command_line(pid), process)
        and (processes.frozen(pid) if halted else not processes.halted(pid))
    ]


def _back(found: _Found, within_s: float | None = None) -> int:
    """When a new process of that name was observed; 0 if none was."""
    end = time.monotonic() + (_BACK_S if within_s is None else within_s)
    while time.monotonic() < end:
        if set(_called(found.process, found.space, found.init)) - set(found.pids):
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
