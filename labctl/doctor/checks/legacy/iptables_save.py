"""The programs iptables-save and iptables-restore."""

from __future__ import annotations

from labctl.doctor.installed import Programs
from labctl.doctor.model import Check, Group, Purpose

__all__ = ["CHECK"]

CHECK = Check(
    name="iptables-save",
    group=Group.LEGACY,
    order=60,
    reason="the controllers' rules, saved and restored as then",
    probe=Programs("iptables-save", "iptables-restore"),
    needed=frozenset({Purpose.PARIS, Purpose.TESTS}),
    packages=("iptables",),
)
