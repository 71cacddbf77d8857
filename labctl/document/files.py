"""A user's file as text, or one clear problem: missing, a directory, too big, binary."""

from __future__ import annotations

import codecs
import os
import stat
from typing import TYPE_CHECKING

from labctl.document.hints import nearest
from labctl.errors import InputError, Problem

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["MAX_BYTES", "read_text"]

MAX_BYTES = 1 << 20
"""A larger file is not taken for a topology or scenario (1 MiB)."""

_PASSED_IN = ("/dev/fd/", "/proc/self/fd/", "/dev/stdin")


def read_text(path: Path) -> str:
    """The text of a file that a user wrote.

    Args:
        path: a regular file; a pipe only where the shell passed it in (``/dev/stdin``, ``/dev/fd/N``).

    Returns:
        The text, without a byte order mark.

    Raises:
        InputError: one problem: what kept it from being read as UTF-8 text.
    """
    return _decode(_read_bytes(path), str(path))


def _read_bytes(path: Path) -> bytes:
    name = str(path)
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise _refused(name, "is a directory, expected a YAML file")
        # A pipe that nobody writes to would hang labctl, a device might never end.
        if not stat.S_ISREG(mode) and not name.startswith(_PASSED_IN):
            raise _refused(name, "is not a regular file")
        with path.open("rb") as handle:
            raw = handle.read(MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise _refused(name, "there is no such file", _neighbour(path)) from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path itself
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
        raise _refused(name, f"cannot be read: {reason}") from error
    if len(raw) > MAX_BYTES:
        raise _refused(name, f"is larger than {MAX_BYTES // 1024} KiB, expected a file written by hand")
    return raw


def _decode(raw: bytes, name: str) -> str:
    raw = raw.removeprefix(codecs.BOM_UTF8)
    if b"\0" in raw:
        raise _refused(name, "is a binary file (it holds NUL bytes), expected YAML text")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        before = raw[: error.start]
        line = before.count(b"\n") + 1
        column = len(before[before.rfind(b"\n") + 1 :].decode("utf-8")) + 1
        message = f"byte 0x{raw[error.start]:02x} is not UTF-8, expected YAML text in UTF-8"
        raise InputError([Problem(name, line, column, message)]) from error
    if not text.strip():
        raise _refused(name, "is empty")
    return text


def _neighbour(path: Path) -> str:
    try:
        names = [entry.name for entry in path.parent.iterdir() if entry.suffix in (".yml", ".yaml")]
    except OSError:
        return f"there is no directory {str(path.parent)!r}"
    return nearest(path.name, names)


def _refused(name: str, message: str, hint: str = "") -> InputError:
    return InputError([Problem(name, 0, 0, message, hint)])
