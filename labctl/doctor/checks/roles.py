"""Checks of what the shipped roles require, for the labs that they are made for (docs/roles.md).

Left out: labctl's own files, which are built and not installed; and the kernel, every feature of which is
looked for anyway. Roles of no purpose of their own are those of any lab: other files here check for them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from labctl.doctor.model import Check, LackingError, Purpose
from labctl.linux.installed import absent, file_of, find_program
from labctl.roles.catalog import load_roles

if TYPE_CHECKING:
    from labctl.roles.requirements import Requirement

__all__ = ["checks"]

_GROUP = "roles"


@dataclass(frozen=True, slots=True)
class Installed:
    """Everything that a requirement names is there."""

    requirement: Requirement

    def __call__(self) -> str:
        """What was found; LackingError names what is not there."""
        kind, names = self.requirement.kind, self.requirement.names
        lacking = absent(kind, names)
        if lacking:
            raise LackingError("no " + ", ".join(lacking))
        return (
            " ".join(find_program(name) or name for name in names) if kind == "programs" else " ".join(names)
        )


def checks() -> tuple[Check, ...]:
    """One check for each thing that roles with a purpose require, whatever the number of roles."""
    wanted: dict[tuple[str, tuple[str, ...]], tuple[Requirement, set[Purpose]]] = {}
    roles = load_roles().values()
    of_any_lab = {each for role in roles if not role.purpose for each in role.requires}
    for role in roles:
        for each in role.requires:
            own = each.kind == "files" and not all(file_of(name) == Path(name) for name in each.names)
            if each.kind == "kernel" or own or each in of_any_lab:
                continue
            _, purposes = wanted.setdefault((each.kind, each.names), (each, set()))
            purposes.add(Purpose(role.purpose))
    return tuple(_check(each, frozenset(purposes)) for each, purposes in wanted.values())


def _check(each: Requirement, purposes: frozenset[Purpose]) -> Check:
    return Check(
        PurePosixPath(each.names[0]).name,
        _GROUP,
        each.why,
        Installed(each),
        needed=purposes | {Purpose.TESTS},
        packages=each.packages,
        fix=each.remedy,
    )
