"""Runs work inside a node's network namespace, in a thread of this process; pins namespaces."""

from __future__ import annotations

import contextlib
import errno
import os
import threading
from typing import TYPE_CHECKING, TypeVar

from labctl.linux import syscalls

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["inside", "pin", "unpin"]

T = TypeVar("T")


def inside(
    netns: Path,
    work: Callable[[], T],
    *,
    timeout_s: float | None = None,
    cancel: Callable[[], None] | None = None,
) -> T:
    """Run ``work`` in a network namespace and return what it gives.

    The namespace belongs to a thread that lives for this one call; sockets made in it stay in that
    namespace, so that they may be handed out. Threads that ``work`` starts are in the namespace too.

    Args:
        netns: a path that setns() can open.
        work: what to do there.
        timeout_s: how long it may take; None for as long as it takes.
        cancel: called when the caller waits no more (out of time, or interrupted) although ``work`` has
            not ended. It must not block, and must make ``work`` end without doing more.

    Raises:
        OSError: the namespace is gone.
        TimeoutError: ``work`` took longer than ``timeout_s``; it was told to end.
        BaseException: whatever ``work`` raised.
    """
    result: list[T] = []
    failure: list[BaseException] = []

    def enter() -> None:
        try:
            handle = os.open(netns, os.O_RDONLY | os.O_CLOEXEC)
            try:
                syscalls.setns(handle, syscalls.CLONE_NEWNET)
            finally:
                os.close(handle)
            result.append(work())
        except BaseException as error:  # noqa: BLE001 - carried over to the caller's thread
            failure.append(error)

    thread = threading.Thread(target=enter, name="labctl-netns", daemon=True)
    thread.start()
    waited = False
    try:
        thread.join(timeout_s)
        waited = not thread.is_alive()
    finally:
        if not waited and cancel is not None:
            cancel()
    if not waited:
        raise TimeoutError(f"not done within {timeout_s:g} s")
    if failure:
        raise failure[0]
    return result[0]


def pin(source: Path, target: Path) -> None:
    """Pin the network namespace at ``source`` by a bind mount at ``target``; repeating it is no error."""
    target.parent.mkdir(parents=True, exist_ok=True)
    unpin(target)
    target.touch()
    syscalls.mount(os.fspath(source), os.fspath(target), flags=syscalls.MS_BIND)


def unpin(target: Path) -> None:
    """Unmount ``target`` and remove the file; repeating it is no error."""
    while True:
        try:
            syscalls.umount(os.fspath(target), syscalls.MNT_DETACH)
        except OSError as error:
            if error.errno in (errno.EINVAL, errno.ENOENT):
                break
            raise
    with contextlib.suppress(FileNotFoundError):
        target.unlink()
