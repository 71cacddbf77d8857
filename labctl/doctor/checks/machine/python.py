"""The version of Python."""

from __future__ import annotations

import platform
import sys

from labctl.doctor.model import ALL, CheckGroup, MachineCheck
from labctl.linux.features import LackingError

__all__ = ["CHECK"]

_OLDEST, _NEWEST = (3, 11), (3, 13)


def _python() -> str:
    version = platform.python_version()
    if not _OLDEST <= sys.version_info[:2] <= _NEWEST:
        raise LackingError(f"{version}, tried with {_text(_OLDEST)} to {_text(_NEWEST)}")
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
    fix="make the virtual environment with Python 3.11, 3.12 or 3.13",
)
