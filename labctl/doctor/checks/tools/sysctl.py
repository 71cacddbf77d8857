"""The program sysctl."""

from __future__ import annotations

from labctl.doctor.installed import Programs
from labctl.doctor.model import ALL, CheckGroup, MachineCheck

__all__ = ["CHECK"]

CHECK = MachineCheck(
    name="sysctl",
    group=CheckGroup.TOOLS,
    order=100,
    reason="reading a node's settings",
    probe=Programs("sysctl"),
    useful=ALL,
    packages=("procps",),
)
