"""The program ethtool."""

from __future__ import annotations

from labctl.doctor.installed import Programs
from labctl.doctor.model import ALL, Check, Group

__all__ = ["CHECK"]

CHECK = Check(
    name="ethtool",
    group=Group.TOOLS,
    order=90,
    reason="offloads of interfaces, for who looks into checksums",
    probe=Programs("ethtool"),
    useful=ALL,
    packages=("ethtool",),
)
