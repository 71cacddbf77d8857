"""What a machine must have for the nodes of a role, and how that is written into a definition.

In ``role.yml`` it stands under ``requires:``. Render writes what holds for a node into the label
``labctl-requires``, so that whoever runs the definition knows it too, with neither the roles nor their names.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["KINDS", "Requirement", "parse_requirements", "requirements_text"]

KINDS = ("programs", "files", "libraries", "modules", "kernel")
"""What can be required: programs on the path of nodes, files, shared libraries, Python modules, features of
the kernel."""

_ONE = re.compile(r"\s*(?P<kind>[a-z]+) (?P<names>[^;(]+) \((?P<fix>[^;]*)\)\s*\Z")


@dataclass(frozen=True, slots=True)
class Requirement:
    """Things of one kind that a machine must have.

    Attributes:
        kind: one of :data:`KINDS`.
        names: of programs, libraries, modules or features; of files absolute paths, or such as begin with
            ``labctl/`` for labctl's own.
        packages: Debian and Ubuntu packages that bring them.
        remedy: what to do where no package helps.
        why: what for, in a few words.
        when: an expression of the node's ``vars``; empty if every node of the role needs it.
    """

    kind: str
    names: tuple[str, ...]
    packages: tuple[str, ...] = ()
    remedy: str = ""
    why: str = ""
    when: str = ""

    @property
    def fix(self) -> str:
        """What to do where something is missing."""
        return f"apt-get install {' '.join(self.packages)}" if self.packages else self.remedy


def requirements_text(requirements: Iterable[Requirement]) -> str:
    """Requirements as the text of a label, such as ``programs java (apt-get install openjdk-17-jre)``."""
    return "; ".join(f"{each.kind} {' '.join(each.names)} ({each.fix})" for each in requirements)


def parse_requirements(text: str) -> tuple[Requirement, ...]:
    """Read back what :func:`requirements_text` wrote; what it did not write is passed over."""
    found = (_ONE.match(part) for part in text.split(";"))
    return tuple(
        Requirement(one["kind"], tuple(one["names"].split()), remedy=one["fix"])
        for one in found
        if one is not None and one["kind"] in KINDS
    )
