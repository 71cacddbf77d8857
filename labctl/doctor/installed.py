"""Probes that many checks share: what is installed, where nodes look for it."""

from __future__ import annotations

from labctl.linux.features import LackingError
from labctl.linux.installed import absent, find_program

__all__ = ["Installed", "Programs"]


class Installed:
    """Everything of these names is there, all of one kind."""

    def __init__(self, kind: str, names: tuple[str, ...]) -> None:
        """Take a kind and names as :func:`labctl.linux.installed.absent` does."""
        self._kind = kind
        self._names = names

    def __call__(self) -> str:
        """What was found, of programs their paths; LackingError names those that are not there."""
        lacking = absent(self._kind, self._names)
        if lacking:
            raise LackingError("no " + ", ".join(lacking))
        if self._kind == "programs":
            return " ".join(find_program(name) or name for name in self._names)
        return " ".join(self._names)


class Programs(Installed):
    """Every one of these programs is installed, where nodes look for them."""

    def __init__(self, *names: str) -> None:
        super().__init__("programs", names)
