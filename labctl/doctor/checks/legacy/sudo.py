"""The program sudo."""

from __future__ import annotations

from labctl.doctor.installed import Programs
from labctl.doctor.model import Check, Group, Purpose

__all__ = ["CHECK"]

CHECK = Check(
    name="sudo",
    group=Group.LEGACY,
    order=80,
    reason="root helpers of the controllers",
    probe=Programs("sudo"),
    needed=frozenset({Purpose.PARIS, Purpose.TESTS}),
    packages=("sudo",),
)
