"""The program brctl."""

from __future__ import annotations

from labctl.doctor.installed import Programs
from labctl.doctor.model import Check, Group, Purpose

__all__ = ["CHECK"]

CHECK = Check(
    name="brctl",
    group=Group.LEGACY,
    order=70,
    reason="the tenants' bridges, made as then",
    probe=Programs("brctl"),
    needed=frozenset({Purpose.PARIS, Purpose.TESTS}),
    packages=("bridge-utils",),
)
