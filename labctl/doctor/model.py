"""A check of the machine and what it found: plain data.

A check tries the real thing: a kernel feature is used in a throw-away namespace, a tool is run. What
is needed for what stands with each check, and so does the reason: a user should not have to install
a package without knowing why.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from labctl.linux.features import LackingError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ALL", "CheckGroup", "Finding", "LackingError", "MachineCheck", "Purpose", "Status"]


class Purpose(StrEnum):
    """What a machine is wanted for."""

    EMBEDDED = "embedded"
    CONTAINERLAB = "containerlab"
    OVERLAY = "overlay"
    PARIS = "paris"
    TESTS = "tests"


ALL = frozenset(Purpose)


class CheckGroup(StrEnum):
    """The headings under which checks are shown, in this order."""

    MACHINE = "machine"
    KERNEL = "kernel"
    TOOLS = "tools"
    CONTAINERS = "containers"
    ROLES = "roles"


class Status(StrEnum):
    """What a check came to."""

    OK = "ok"
    MISSING = "missing"
    OPTIONAL = "optional-missing"


@dataclass(frozen=True, slots=True)
class MachineCheck:
    """One thing to look for.

    Attributes:
        name: what it is called.
        group: heading under which it is shown.
        reason: what labctl needs it for.
        probe: returns what was found, such as a version; raises :class:`LackingError`.
        needed: purposes that cannot do without.
        useful: purposes that are better with it.
        packages: Debian and Ubuntu packages that bring it; ``a|b`` is whichever of the two there is.
        fix: what to do where no package helps.
        order: place in its group, the smallest first; equal ones stand by name. Who gives none is last.
    """

    name: str
    group: CheckGroup
    reason: str
    probe: Callable[[], str]
    needed: frozenset[Purpose] = frozenset()
    useful: frozenset[Purpose] = frozenset()
    packages: tuple[str, ...] = ()
    fix: str = ""
    order: int = 1000


@dataclass(frozen=True, slots=True)
class Finding:
    """What became of a check.

    Attributes:
        name: of the check.
        group: of the check.
        status: ok, missing, or optional-missing.
        seen: what was found, or what was seen instead.
        reason: what it is needed for.
        fix: what to do; empty if all is well.
        packages: what ``--install`` would install for it; empty if all is well.
        needed_for: purposes that cannot do without.
    """

    name: str
    group: CheckGroup
    status: Status
    seen: str
    reason: str
    fix: str = ""
    packages: tuple[str, ...] = field(default=())
    needed_for: tuple[str, ...] = field(default=())
