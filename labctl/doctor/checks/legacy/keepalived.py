"""The program keepalived."""

from __future__ import annotations

from labctl.doctor.installed import Programs
from labctl.doctor.model import Check, Group, Purpose

__all__ = ["CHECK"]

CHECK = Check(
    name="keepalived",
    group=Group.LEGACY,
    order=10,
    reason="which controller of a pair, or gateway of a VRRP pair, is the active one",
    probe=Programs("keepalived"),
    needed=frozenset({Purpose.PARIS, Purpose.TESTS}),
    packages=("keepalived",),
)
