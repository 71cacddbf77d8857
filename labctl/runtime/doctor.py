"""What this machine can do, what it lacks, and the exact fix for each lack.

A check tries the real thing: a kernel feature is used in a throw-away namespace, a tool is run. What
is needed for what stands with each check, and so does the reason: a user should not have to install
a package without knowing why.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = [
    "ALL",
    "Check",
    "Finding",
    "LackingError",
    "Purpose",
    "Status",
    "checks",
    "examine",
    "healthy",
    "packages_of",
]


class Purpose(StrEnum):
    """What a machine is wanted for."""

    EMBEDDED = "embedded"
    CONTAINERLAB = "containerlab"
    TESTS = "tests"
    OVERLAY = "overlay"
    PARIS = "paris"


ALL = frozenset(Purpose)

_IMPLIES = {Purpose.OVERLAY: Purpose.EMBEDDED, Purpose.PARIS: Purpose.EMBEDDED}
"""On containerlab what these need is in their images; so whoever asks for them means this machine's own."""


class Status(StrEnum):
    """What a check came to."""

    OK = "ok"
    MISSING = "missing"
    OPTIONAL = "optional-missing"


class LackingError(Exception):
    """Raised by a probe: what it looked for is not there; the text says what was seen instead."""

    def __init__(self, seen: str, fix: str = "") -> None:
        self.fix = fix
        super().__init__(seen)


@dataclass(frozen=True, slots=True)
class Check:
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
    """

    name: str
    group: str
    reason: str
    probe: Callable[[], str]
    needed: frozenset[Purpose] = frozenset()
    useful: frozenset[Purpose] = frozenset()
    packages: tuple[str, ...] = ()
    fix: str = ""


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
    group: str
    status: Status
    seen: str
    reason: str
    fix: str = ""
    packages: tuple[str, ...] = field(default=())
    needed_for: tuple[str, ...] = field(default=())


def checks() -> tuple[Check, ...]:
    """Every check, in the order in which they are shown."""
    from labctl.runtime import (  # noqa: PLC0415 - cyclic
        doctor_engine,
        doctor_kernel,
        doctor_machine,
        doctor_paris,
        doctor_tools,
    )

    groups = (doctor_machine, doctor_kernel, doctor_tools, doctor_engine, doctor_paris)
    return tuple(check for group in groups for check in group.CHECKS)


def examine(purposes: frozenset[Purpose], among: Iterable[Check] | None = None) -> tuple[Finding, ...]:
    """Try everything that these purposes need or are better with.

    Args:
        purposes: all of them means: whatever there is, judged by what the embedded runtime needs. The
            overlay and Paris are wanted on the embedded runtime.
        among: the checks to choose from; :func:`checks` if None.
    """
    purposes |= {_IMPLIES[purpose] for purpose in purposes if purpose in _IMPLIES}
    must = frozenset({Purpose.EMBEDDED}) if purposes == ALL else purposes
    chosen = [
        check for check in (checks() if among is None else among) if (check.needed | check.useful) & purposes
    ]
    return tuple(_try(check, must) for check in chosen)


def healthy(findings: Iterable[Finding]) -> bool:
    """Whether nothing that is needed is missing."""
    return all(finding.status is not Status.MISSING for finding in findings)


def packages_of(findings: Iterable[Finding], status: Status) -> tuple[str, ...]:
    """What would have to be installed for the findings of that status, each once, in order."""
    wanted = (finding.packages for finding in findings if finding.status is status)
    return tuple(dict.fromkeys(package for packages in wanted for package in packages))


def _try(check: Check, must: frozenset[Purpose]) -> Finding:
    needed_for = tuple(sorted(check.needed))
    try:
        seen = check.probe()
    except LackingError as error:
        status = Status.MISSING if check.needed & must else Status.OPTIONAL
        fix = error.fix or check.fix
        packages = () if error.fix else check.packages
        if packages:
            fix = "apt-get install " + " ".join(package.partition("|")[0] for package in packages)
        return Finding(check.name, check.group, status, str(error), check.reason, fix, packages, needed_for)
    return Finding(check.name, check.group, Status.OK, seen, check.reason, needed_for=needed_for)
