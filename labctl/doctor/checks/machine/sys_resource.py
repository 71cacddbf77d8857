"""The capability that privileged containers need."""

from __future__ import annotations

from labctl.doctor.model import CheckGroup, MachineCheck, Purpose
from labctl.linux import syscalls
from labctl.linux.features import LackingError
from labctl.runtime.embedded import capabilities

__all__ = ["CHECK"]


def _sys_resource() -> str:
    if not syscalls.bounded(capabilities.NUMBERS["SYS_RESOURCE"]):
        raise LackingError("not in the bounding set: limits cannot be raised, privileged containers fail")
    return "in the bounding set"


CHECK = MachineCheck(
    name="cap SYS_RESOURCE",
    group=CheckGroup.MACHINE,
    order=40,
    reason="files of other people's labs that ask for privileged containers",
    probe=_sys_resource,
    useful=frozenset({Purpose.CONTAINERLAB}),
    fix="only the one who started this machine's first process can give it",
)
