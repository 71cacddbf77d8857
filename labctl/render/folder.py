"""Writes a rendered folder: completely or not at all, and never over files of another origin."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from labctl.errors import RenderError
from labctl.output_file import resolve_output

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["MARK", "OutFile", "write_folder"]

MARK = "lab.json"
"""A folder that has this file and a definition was rendered, and may be rendered again."""

_STAGE = ".labctl-render-"
"""How the name of a folder begins in which a render is under way, or was when it was killed."""

_OLD, _NEW = "old", "new"
_DEFINITION = ".clab.yml"

OutFile = tuple[bytes, bool]
"""Content, and whether it is a program."""


def write_folder(out: Path, files: Mapping[str, OutFile]) -> None:
    """Replace a folder: afterwards it has these files and no others.

    Everything is written into a folder of its own first. Then the old entries are moved aside and the
    new ones in, and what was moved is moved back if that fails. The old ones are deleted last. The
    folder itself stays the same one where it was there before; it may be the current one or a mount
    point. A process that is killed between two moves leaves the old files in ``.labctl-render-*/old``,
    and the next render puts the folder right.

    Args:
        out: the folder, or a symbolic link to it; it is made if it is not there.
        files: by path relative to the folder.

    Raises:
        HostError: ``out`` is a link, or lies in a folder, that is not to be trusted.
        RenderError: the folder holds something that was not rendered, or cannot be written; it is as
            it was.
    """
    place = resolve_output(out)
    stage = None
    done = False
    try:
        there = _old_entries(place, out)
        if there is None:
            place.parent.mkdir(parents=True, exist_ok=True)
        # Within the folder, where it is there: the same file system, whatever is mounted where.
        stage = Path(tempfile.mkdtemp(prefix=_STAGE, dir=place.parent if there is None else place))
        fresh = _staged(stage, files)
        if there is None:
            fresh.rename(place)
        else:
            _exchange(there, stage, place)
        done = True
    except OSError as error:
        kept = f"; what was there is in {stage / _OLD}" if stage and _holds_old(stage) else ""
        raise RenderError(f"{out}: {error.strerror}{kept}") from error
    finally:
        if stage and (done or not _holds_old(stage)):
            shutil.rmtree(stage, ignore_errors=True)


def _old_entries(place: Path, out: Path) -> list[Path] | None:
    """What the folder holds and a render replaces; None if there is no folder."""
    try:
        entries = list(place.iterdir())
    except FileNotFoundError:
        return None
    if place.is_mount():
        # Every new ext4 has it, and it belongs to the file system.
        entries = [entry for entry in entries if entry.name != "lost+found"]
    names = {entry.name for entry in entries}
    killed = {name for name in names if name.startswith(_STAGE)}
    defined = any(name.endswith(_DEFINITION) for name in names)
    if names - killed and not (MARK in names and (defined or killed)):
        raise RenderError(f"{out} is not empty and was not rendered by labctl; nothing was written")
    return entries


def _staged(stage: Path, files: Mapping[str, OutFile]) -> Path:
    fresh = stage / _NEW
    fresh.mkdir()
    fresh.chmod(0o755)
    for name, (content, program) in files.items():
        _write(fresh / name, content, program=program)
    return fresh


def _write(path: Path, content: bytes, *, program: bool) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    mode = 0o755 if program else 0o644
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        os.fchmod(handle, mode)  # whatever the umask is
        os.write(handle, content) if len(content) < _ONE_WRITE else _write_all(handle, content)
    finally:
        os.close(handle)


_ONE_WRITE = 1 << 16


def _write_all(handle: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(handle, view) :]


def _exchange(there: Sequence[Path], stage: Path, place: Path) -> None:
    """Move the old entries out and the new ones in; or leave the old ones where they were.

    The mark is there all the time, so that a folder is known for a rendered one whenever the process
    is killed. The definition comes last: nothing runs a folder without it.
    """
    aside, mark, kept_mark = stage / _OLD, place / MARK, stage / MARK
    aside.mkdir()
    moves: list[tuple[Path, Path]] = []

    def move(source: Path, target: Path) -> None:
        moves.append((source, target))  # before it is done: an interrupt may come at any moment
        os.rename(source, target)  # noqa: PTH104 - one call for files and folders, which never copies

    try:
        if mark in there:
            shutil.copy2(mark, kept_mark)
            moves.append((mark, kept_mark))
        for entry in there:
            if entry != mark:
                move(entry, aside / entry.name)
        fresh = sorted((stage / _NEW).iterdir(), key=_rank)
        for entry in fresh:
            if entry.name == MARK and mark in there:
                os.replace(entry, mark)  # noqa: PTH105 - as above
            else:
                move(entry, place / entry.name)
    except BaseException:
        for source, target in reversed(moves):
            with contextlib.suppress(FileNotFoundError):  # it had not been moved yet
                os.replace(target, source)  # noqa: PTH105 - as above
        raise


def _rank(entry: Path) -> int:
    return 0 if entry.name == MARK else 2 if entry.name.endswith(_DEFINITION) else 1


def _holds_old(stage: Path) -> bool:
    try:
        return any((stage / _OLD).iterdir())
    except OSError:
        return False
