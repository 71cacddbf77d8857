"""The program dnsmasq."""

from __future__ import annotations

from labctl.doctor.installed import Programs
from labctl.doctor.model import Check, Group, Purpose

__all__ = ["CHECK"]

CHECK = Check(
    name="dnsmasq",
    group=Group.LEGACY,
    order=50,
    reason="DHCP and names of each tenant",
    probe=Programs("dnsmasq"),
    needed=frozenset({Purpose.PARIS, Purpose.TESTS}),
    packages=("dnsmasq-base",),
)
