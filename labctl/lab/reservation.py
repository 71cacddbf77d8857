"""A run reserves its lab: what others do to the lab meanwhile is refused, or recorded for the run.

One file a reserved lab, in /run/labctl-runs/, beside the labs' own folders: a series keeps its lab's name
while it takes the lab down and up again.

    /run/labctl-runs/<lab>    flock: exclusive by a run, shared by each change that somebody makes
                              first line: who holds it; then one line a change that was forced

The lock dies with the process that holds it. labctl removes the file with the last lock.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from labctl.errors import LabBusyError
from labctl.events import now_ns

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from labctl.lab.state import LabDir

__all__ = ["ForcedChange", "Reservation", "changing", "reserve"]


@dataclass(frozen=True, slots=True)
class ForcedChange:
    """What somebody did to a lab while a run held it.

    Attributes:
        t_ns: CLOCK_MONOTONIC, before the change began.
        by: who did it.
        action: what was done: ``power-off``, ``link-cut``, ``down``, ``overlay``, ...
        target: node, link or lab; the words of an overlay command.
    """

    t_ns: int
    by: str
    action: str
    target: str


@dataclass
class Reservation:
    """A lab held by a run, until it is released.

    Attributes:
        path: the locked file.
        handle: its descriptor, which has the lock.
    """

    path: Path
    handle: int
    _read: int = field(default=0, init=False)

    def changes(self) -> tuple[ForcedChange, ...]:
        """Forced changes since the last call, in order."""
        lines = _lines(self.handle)
        fresh, self._read = lines[self._read :], len(lines)
        return tuple(ForcedChange(**line) for line in fresh)

    def release(self) -> None:
        """Let others change the lab again."""
        # Removed first: who opened it before sees that it is no longer the file of that name.
        with contextlib.suppress(OSError):
            self.path.unlink()
        with contextlib.suppress(OSError):
            self.path.parent.rmdir()
        # Not by closing alone: a child process may hold the descriptor for some moments more.
        fcntl.flock(self.handle, fcntl.LOCK_UN)
        os.close(self.handle)


def reserve(lab: LabDir, holder: str) -> Reservation:
    """Hold a lab for a run, whether or not it is up.

    Args:
        lab: the lab.
        holder: who, as others read it: ``scenario NAME``.

    Raises:
        LabBusyError: another run holds it, or somebody changes it at this moment.
    """
    path = _path(lab)
    handle = _locked(path, fcntl.LOCK_EX)
    if handle is None:
        other = _holder(path)
        if other:
            raise LabBusyError(f"lab {lab.name!r} is in use by a run: {other}")
        raise LabBusyError(f"another labctl is changing lab {lab.name!r} right now")
    os.ftruncate(handle, 0)  # of a run that was killed
    _append(handle, {"holder": holder, "pid": os.getpid()})
    return Reservation(path, handle)


@contextlib.contextmanager
def changing(lab: LabDir, action: str, target: str, *, force: bool = False) -> Iterator[None]:
    """Change a lab: no run can begin on it until this is over.

    Args:
        lab: the lab.
        action: see :class:`ForcedChange`.
        target: see :class:`ForcedChange`.
        force: change it although a run holds it. The change is recorded for the run, whose result is
            then ERROR.

    Raises:
        LabBusyError: a run holds it, and the change is not forced; nothing was changed.
    """
    path = _path(lab)
    handle = _locked(path, fcntl.LOCK_SH)
    if handle is None:
        if not force:
            raise LabBusyError(
                f"lab {lab.name!r} is in use by a run: {_holder(path)}; {action} {target} was not done "
                "(--force: do it all the same, which makes the run an ERROR)"
            )
        _note(path, ForcedChange(now_ns(), f"labctl (process {os.getpid()})", action, target))
        yield
        return
    try:
        yield
    finally:
        _drop_shared(path, handle)


def _path(lab: LabDir) -> Path:
    return lab.root.with_name(f"{lab.root.name}-runs") / lab.name


def _locked(path: Path, kind: int) -> int | None:
    """The file of that name, locked; None if others hold it."""
    while True:
        handle = _open(path)
        try:
            fcntl.flock(handle, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            return None
        # Whoever held it before may have removed it.
        if _is_at(handle, path):
            return handle
        os.close(handle)


def _open(path: Path) -> int:
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):  # the folder was removed meanwhile
            return os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _is_at(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


def _drop_shared(path: Path, handle: int) -> None:
    """Give a shared lock back; the last one removes the file."""
    with contextlib.suppress(BlockingIOError):
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if _is_at(handle, path):
            path.unlink()
            with contextlib.suppress(OSError):
                path.parent.rmdir()
    os.close(handle)


def _note(path: Path, change: ForcedChange) -> None:
    """Record a change for the run; that the run has ended meanwhile is no error."""
    with contextlib.suppress(FileNotFoundError):
        handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        try:
            _append(handle, asdict(change))
        finally:
            os.close(handle)


def _append(handle: int, value: dict[str, Any]) -> None:
    os.write(handle, json.dumps(value).encode() + b"\n")  # one call: lines of two writers never mix


def _lines(handle: int) -> list[dict[str, Any]]:
    """The recorded changes: every line but the holder's."""
    text = os.pread(handle, os.fstat(handle).st_size, 0)
    return [json.loads(line) for line in text.splitlines()[1:]]


def _holder(path: Path) -> str:
    """Who holds it, for people; empty if it is not a run."""
    try:
        first = json.loads(path.read_bytes().partition(b"\n")[0])
        return f"{first['holder']} (process {first['pid']})"
    except (OSError, ValueError, KeyError, TypeError):
        return ""
