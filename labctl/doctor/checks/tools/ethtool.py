"""The program ethtool."""

from __future__ import annotations

from labctl.doctor.installed import Programs
from labctl.doctor.model import ALL, CheckGroup, MachineCheck

__all__ = ["CHECK"]

CHECK = MachineCheck(
    name="ethtool",
    group=CheckGroup.TOOLS,
    order=90,
    reason="offloads of interfaces, for who looks into checksums",
    probe=Programs("ethtool"),
    useful=ALL,
    packages=("ethtool",),
)
