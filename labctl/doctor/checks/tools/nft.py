"""The program nft."""

from __future__ import annotations

from labctl.doctor.installed import Programs
from labctl.doctor.model import ALL, CheckGroup, MachineCheck

__all__ = ["CHECK"]

CHECK = MachineCheck(
    name="nft",
    group=CheckGroup.TOOLS,
    order=60,
    reason="silent loss on a link; filters in nodes",
    probe=Programs("nft"),
    needed=ALL,
    packages=("nftables",),
)
