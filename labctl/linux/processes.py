"""Finds the processes of a node by their namespaces, and makes sure that they have ended."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from pathlib import Path

__all__ = [
    "Namespace",
    "end",
    "frozen",
    "halted",
    "hidden",
    "members",
    "namespace_of",
    "pinned",
    "signal_all",
    "uninterruptible",
]

Namespace = tuple[int, int]
"""Device and inode: what a namespace is known by."""


def namespace_of(pid: int, kind: str) -> Namespace | None:
    """The ``net``, ``pid``, ... namespace of a process; None if it is gone (a zombie has none)."""
    return _identity(f"/proc/{pid}/ns/{kind}")


def hidden(pid: int) -> bool:
    """Whether there is such a process and this user may not look at its namespaces."""
    try:
        os.stat(f"/proc/{pid}/ns/net")  # noqa: PTH116 - as below
    except OSError as error:
        return isinstance(error, PermissionError)
    return False


def pinned(path: Path) -> Namespace | None:
    """The namespace that is bind-mounted at ``path``; None if there is none (a plain file, or nothing)."""
    found = _identity(os.fspath(path))
    ours = _identity("/proc/self/ns/net")
    return found if found and ours and found[0] == ours[0] else None


def _identity(path: str) -> Namespace | None:
    try:
        status = os.stat(path)  # noqa: PTH116 - hot: called for every process of the host
    except OSError:
        return None
    return status.st_dev, status.st_ino


def members(kind: str, namespaces: Collection[Namespace]) -> list[int]:
    """Every process in one of the namespaces, except this one and its ancestors.

    Args:
        kind: ``net`` or ``pid``.
        namespaces: as :func:`pinned` and :func:`namespace_of` give them.
    """
    if not namespaces:
        return []
    spared = _ancestors()
    return [
        int(name)
        for name in os.listdir("/proc")  # noqa: PTH208 - hot
        if name.isdigit() and int(name) not in spared and _identity(f"/proc/{name}/ns/{kind}") in namespaces
    ]


def _ancestors() -> set[int]:
    found = set()
    pid = os.getpid()
    while pid > 0 and pid not in found:
        found.add(pid)
        try:
            with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123
                pid = int(file.read().rpartition(b")")[2].split()[1])
        except (OSError, IndexError):
            break
    return found


def frozen(pid: int) -> bool:
    """Whether a process is stopped (SIGSTOP)."""
    return _status(pid) in (b"T", b"t")


def halted(pid: int) -> bool:
    """Whether a process runs no more: it is stopped, a zombie, or gone."""
    return _status(pid) in (b"T", b"t", b"Z", b"X", b"")


def uninterruptible(pid: int) -> bool:
    """Whether a process waits in the kernel, where only its end can be brought about (state D)."""
    return _status(pid) == b"D"


def _status(pid: int) -> bytes:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123
            return file.read().rpartition(b")")[2].split()[0]
    except (OSError, IndexError):
        return b""


def signal_all(pids: Iterable[int], number: signal.Signals) -> None:
    """Send a signal to each; those that are gone already are passed over."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def end(pids: Iterable[int], timeout_s: float) -> list[int]:
    """SIGKILL each process and wait until it has ended (zombies have).

    Args:
        pids: process ids in the host's numbering.
        timeout_s: seconds to wait for all of them.

    Returns:
        Those that have not ended in time.
    """
    watched: dict[int, int] = {}
    poll = select.poll()
    try:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                handle = os.pidfd_open(pid)
                watched[handle] = pid
                poll.register(handle, select.POLLIN)
                signal.pidfd_send_signal(handle, signal.SIGKILL)
        deadline = time.monotonic() + timeout_s
        while watched and (left := deadline - time.monotonic()) > 0:
            for handle, _ in poll.poll(left * 1000):
                poll.unregister(handle)
                os.close(handle)
                del watched[handle]
        return sorted(watched.values())
    finally:
        for handle in watched:
            os.close(handle)
