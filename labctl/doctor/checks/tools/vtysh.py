"""The program vtysh."""

from __future__ import annotations

from labctl.doctor.installed import Programs
from labctl.doctor.model import CheckGroup, MachineCheck, Purpose

__all__ = ["CHECK"]

CHECK = MachineCheck(
    name="vtysh",
    group=CheckGroup.TOOLS,
    order=50,
    reason="asking a router for its sessions and routes",
    probe=Programs("vtysh"),
    needed=frozenset({Purpose.EMBEDDED, Purpose.TESTS}),
    packages=("frr",),
)
