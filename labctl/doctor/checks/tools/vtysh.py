"""The program vtysh."""

from __future__ import annotations

from labctl.doctor.installed import Programs
from labctl.doctor.model import Check, Group, Purpose

__all__ = ["CHECK"]

CHECK = Check(
    name="vtysh",
    group=Group.TOOLS,
    order=50,
    reason="asking a router for its sessions and routes",
    probe=Programs("vtysh"),
    needed=frozenset({Purpose.EMBEDDED, Purpose.TESTS}),
    packages=("frr",),
)
