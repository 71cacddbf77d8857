"""The program java."""

from __future__ import annotations

from labctl.doctor.installed import Programs
from labctl.doctor.model import Check, Group, Purpose

__all__ = ["CHECK"]

CHECK = Check(
    name="java",
    group=Group.TOOLS,
    order=110,
    reason="the overlay's state database runs on it",
    probe=Programs("java"),
    needed=frozenset({Purpose.OVERLAY, Purpose.TESTS}),
    packages=("default-jre-headless",),
)
