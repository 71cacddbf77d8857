"""The program nft."""

from __future__ import annotations

from labctl.doctor.installed import Programs
from labctl.doctor.model import ALL, Check, Group

__all__ = ["CHECK"]

CHECK = Check(
    name="nft",
    group=Group.TOOLS,
    order=60,
    reason="silent loss on a link; filters in nodes",
    probe=Programs("nft"),
    needed=ALL,
    packages=("nftables",),
)
