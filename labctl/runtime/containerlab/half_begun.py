"""Commands that the engine has half begun in a node.

To run a command in a container the engine starts ``runc init``, which enters the container and becomes the
command. From the start until then the engine holds its list of the container's commands locked, so that it
says nothing of that container to anybody (Moby: ``ContainerExecStart`` and ``GetExecIDs``, by the lock of
``ExecCommands``). A freeze that hits ``runc init`` makes that time endless, unless it is ended.
"""

from __future__ import annotations

import signal
from pathlib import Path

from labctl.linux import processes

__all__ = ["end_half_begun", "half_begun"]

_WAITING = b"runc\0init\0"


def half_begun(netns: Path) -> list[int]:
    """The processes that are to become commands, in a pinned network namespace (none where nothing is)."""
    space = processes.pinned(netns)
    inside = processes.members("net", {space} if space else ())
    return [pid for pid in inside if _command_line(pid) == _WAITING]


def end_half_begun(netns: Path) -> None:
    """End them: whoever asked for such a command is told that it did not start."""
    processes.signal_all(half_begun(netns), signal.SIGKILL)


def _command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
