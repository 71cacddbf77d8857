"""The program containerlab: there, and able to start."""

from __future__ import annotations

import re
from pathlib import Path

from labctl.doctor.model import CheckGroup, MachineCheck, Purpose
from labctl.linux.features import LackingError, run
from labctl.runtime.containerlab.binary import find_program

__all__ = ["CHECK"]


def _containerlab() -> str:
    program = find_program()
    if program is None:
        raise LackingError("not on PATH, and not built in build/bin")
    if not Path("/proc/modules").exists() and not (program.parent / "empty-proc-modules").exists():
        raise LackingError(
            f"{program} will not start: it looks for /proc/modules, and this kernel has no module support",
            "in a clone of labctl: tools/ci/containerlab-up builds one with a launcher that answers for it",
        )
    match = re.search(r"version:\s*(\S+)", run((str(program), "version")))
    return f"{match[1] if match else 'of unknown version'} at {program}"


CHECK = MachineCheck(
    name="containerlab",
    group=CheckGroup.CONTAINERS,
    order=40,
    reason="deploys the same definition in containers",
    probe=_containerlab,
    needed=frozenset({Purpose.CONTAINERLAB}),
    fix="install its own package, or in a clone of labctl: tools/ci/containerlab-up",
)
