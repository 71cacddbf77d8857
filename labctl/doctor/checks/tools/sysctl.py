"""The program sysctl."""

from __future__ import annotations

from labctl.doctor.installed import Programs
from labctl.doctor.model import ALL, Check, Group

__all__ = ["CHECK"]

CHECK = Check(
    name="sysctl",
    group=Group.TOOLS,
    order=100,
    reason="reading a node's settings",
    probe=Programs("sysctl"),
    useful=ALL,
    packages=("procps",),
)
