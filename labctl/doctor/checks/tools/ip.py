"""The programs ip, tc and bridge."""

from __future__ import annotations

from labctl.doctor.installed import Programs
from labctl.doctor.model import ALL, CheckGroup, MachineCheck

__all__ = ["CHECK"]

CHECK = MachineCheck(
    name="ip",
    group=CheckGroup.TOOLS,
    order=10,
    reason="links, addresses, routes and queues, in batches",
    probe=Programs("ip", "tc", "bridge"),
    needed=ALL,
    packages=("iproute2",),
)
