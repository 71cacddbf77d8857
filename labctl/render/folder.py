"""Writing a rendered folder: all of it or nothing, and never over what somebody else made."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from labctl.errors import RenderError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["MARK", "OutFile", "write_folder"]

MARK = "lab.json"
"""A folder that has this file and a definition was rendered, and may be rendered again."""

OutFile = tuple[bytes, bool]
"""Content, and whether it is a program."""


def write_folder(out: Path, files: Mapping[str, OutFile]) -> None:
    """Write a folder anew: it has these files afterwards and no others.

    The files are written beside it first, so that an error leaves the old folder as it was. The
    folder itself stays the same one where it was there before.

    Args:
        out: the folder; it is made if it is not there.
        files: by path relative to the folder.

    Raises:
        RenderError: the folder holds something that was not rendered, or cannot be written.
    """
    _refuse_foreign(out)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
        try:
            for name, (content, program) in files.items():
                _write(fresh / name, content, program=program)
            _put_in_place(fresh, out)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
    except OSError as error:
        raise RenderError(f"{error.filename or out}: {error.strerror}") from error


def _refuse_foreign(out: Path) -> None:
    try:
        names = {entry.name for entry in out.iterdir()}
    except FileNotFoundError:
        return
    except OSError as error:
        raise RenderError(f"{out}: {error.strerror}") from error
    rendered = MARK in names and any(name.endswith(".clab.yml") for name in names)
    if names and not rendered:
        raise RenderError(f"{out} is not empty and was not rendered by labctl; nothing was written")


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


def _put_in_place(fresh: Path, out: Path) -> None:
    fresh.chmod(0o755)
    if not out.exists():
        fresh.rename(out)
        return
    for old in list(out.iterdir()):
        if old.is_dir() and not old.is_symlink():
            shutil.rmtree(old)
        else:
            old.unlink()
    # The mark comes last: a folder without it was not finished.
    for entry in sorted(fresh.iterdir(), key=lambda entry: entry.name == MARK):
        entry.rename(out / entry.name)
