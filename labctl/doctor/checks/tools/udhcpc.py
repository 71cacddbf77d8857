"""The program udhcpc."""

from __future__ import annotations

from labctl.doctor.installed import Programs
from labctl.doctor.model import Check, Group, Purpose

__all__ = ["CHECK"]

CHECK = Check(
    name="udhcpc",
    group=Group.TOOLS,
    order=150,
    reason="virtual machines ask for their addresses with it",
    probe=Programs("udhcpc"),
    needed=frozenset({Purpose.OVERLAY, Purpose.PARIS, Purpose.TESTS}),
    packages=("udhcpc",),
)
