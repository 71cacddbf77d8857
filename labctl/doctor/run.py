"""What this machine can do, what it lacks, and the exact fix for each lack."""

from __future__ import annotations

from typing import TYPE_CHECKING

import labctl.doctor.checks
from labctl.doctor.discover import discover
from labctl.doctor.model import ALL, Finding, LackingError, MachineCheck, Purpose, Status

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["checks", "examine", "healthy", "packages_of"]

_IMPLIES = {Purpose.OVERLAY: Purpose.EMBEDDED, Purpose.PARIS: Purpose.EMBEDDED}
"""On containerlab what these need is in their images; so whoever asks for them means this machine's own."""


def checks() -> tuple[MachineCheck, ...]:
    """Every check, in the order in which they are shown."""
    return discover(labctl.doctor.checks)


def examine(purposes: frozenset[Purpose], among: Iterable[MachineCheck] | None = None) -> tuple[Finding, ...]:
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


def _try(check: MachineCheck, must: frozenset[Purpose]) -> Finding:
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
