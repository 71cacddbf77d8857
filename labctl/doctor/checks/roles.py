"""Checks of what the shipped roles require, for the labs that they are made for (docs/roles.md).

Left out: labctl's own files, which are built and not installed; and the kernel, every feature of which is
looked for anyway. Roles of no purpose of their own are those of any lab: other files here check for them.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from labctl.doctor.installed import Installed
from labctl.doctor.model import CheckGroup, MachineCheck, Purpose
from labctl.linux.installed import file_of
from labctl.roles.catalog import load_roles

if TYPE_CHECKING:
    from labctl.roles.requirements import Requirement

__all__ = ["checks"]


def checks() -> tuple[MachineCheck, ...]:
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
    return tuple(
        _check(order, each, frozenset(purposes)) for order, (each, purposes) in enumerate(wanted.values(), 1)
    )


def _check(order: int, each: Requirement, purposes: frozenset[Purpose]) -> MachineCheck:
    return MachineCheck(
        name=PurePosixPath(each.names[0]).name,
        group=CheckGroup.ROLES,
        order=order,
        reason=each.why,
        probe=Installed(each.kind, each.names),
        needed=purposes | {Purpose.TESTS},
        packages=each.packages,
        fix=each.remedy,
    )
