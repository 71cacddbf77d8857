"""The version of Python."""

from __future__ import annotations

import platform
import sys

from labctl.doctor.model import ALL, CheckGroup, MachineCheck
from labctl.linux.features import LackingError

__all__ = ["CHECK"]

_OLDEST, _NEWEST = (3, 11), (3, 14)


def _python() -> str:
    version = platform.python_version()
    if sys.version_info[:2] < _OLDEST:
        raise LackingError(f"{version}, and {_text(_OLDEST)} is the oldest that labctl runs on")
    if sys.version_info[:2] > _NEWEST:
        # Newer releases mostly work: a warning, since refusing would age this release for no reason.
        return f"{version}, newer than {_text(_NEWEST)}, the newest that labctl was made for"
    return version


def _text(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"


CHECK = MachineCheck(
    name="Python",
    group=CheckGroup.MACHINE,
    order=60,
    reason="labctl is written in it",
    probe=_python,
    needed=ALL,
    fix="make the virtual environment with Python 3.11 to 3.14",
)
