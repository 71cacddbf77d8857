"""Probes that many checks share: programs on the path of nodes, modules of labctl's own Python."""

from __future__ import annotations

import shutil
from importlib.util import find_spec

from labctl.doctor.model import LackingError

__all__ = ["Modules", "Programs"]

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Where nodes look for programs, whatever the caller's own path is."""


class Programs:
    """Every one of these programs is installed, where nodes look for them."""

    def __init__(self, *names: str) -> None:
        self._names = names

    def __call__(self) -> str:
        """Their paths; LackingError names those that are not there."""
        found = {name: shutil.which(name, path=_PATH) for name in self._names}
        lacking = [name for name, path in found.items() if path is None]
        if lacking:
            raise LackingError("no " + ", ".join(lacking))
        return " ".join(str(path) for path in found.values())


class Modules:
    """Every one of these modules can be imported by labctl's own Python, which the nodes use."""

    def __init__(self, *names: str) -> None:
        self._names = names

    def __call__(self) -> str:
        """Their names; LackingError names those that are not there."""
        lacking = [name for name in self._names if find_spec(name) is None]
        if lacking:
            raise LackingError("no " + ", ".join(lacking))
        return " ".join(self._names)
