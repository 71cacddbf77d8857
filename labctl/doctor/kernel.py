"""The two forms that checks of the kernel have: what no lab does without, and what some labs use."""

from __future__ import annotations

import functools
import platform
from pathlib import Path
from typing import TYPE_CHECKING

from labctl.doctor.model import ALL, CheckGroup, MachineCheck

if TYPE_CHECKING:
    from collections.abc import Callable

    from labctl.doctor.model import Purpose

__all__ = ["needed_feature", "useful_feature"]


def needed_feature(
    name: str, order: int, reason: str, probe: Callable[[], str], needed: frozenset[Purpose] = ALL
) -> MachineCheck:
    """A check of what every kernel that labctl runs on must have; no package brings it.

    Args:
        name: what the check is called.
        order: see :class:`MachineCheck`.
        reason: what labctl needs it for.
        probe: see :class:`MachineCheck`.
        needed: purposes that cannot do without.
    """
    return MachineCheck(
        name, CheckGroup.KERNEL, reason, probe, needed=needed, fix="another kernel is needed", order=order
    )


def useful_feature(name: str, order: int, reason: str, probe: Callable[[], str]) -> MachineCheck:
    """A check of what some labs use; on some distributions a package of kernel modules brings it.

    Args:
        name: what the check is called.
        order: see :class:`MachineCheck`.
        reason: what labctl needs it for.
        probe: see :class:`MachineCheck`.
    """
    fix = "the running kernel does not have it: another kernel is needed"
    return MachineCheck(
        name, CheckGroup.KERNEL, reason, probe, useful=ALL, packages=_extra_modules(), fix=fix, order=order
    )


@functools.cache
def _extra_modules() -> tuple[str, ...]:
    """Ubuntu keeps what few servers need in a package of its own, one for each kernel."""
    try:
        ubuntu = "\nID=ubuntu\n" in "\n" + Path("/etc/os-release").read_text()
    except OSError:
        ubuntu = False
    return (f"linux-modules-extra-{platform.release()}",) if ubuntu else ()
