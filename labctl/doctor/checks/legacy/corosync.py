"""The programs corosync, pacemakerd and crm_resource."""

from __future__ import annotations

from labctl.doctor.installed import Programs
from labctl.doctor.model import Check, Group, Purpose

__all__ = ["CHECK"]

CHECK = Check(
    name="corosync",
    group=Group.LEGACY,
    order=20,
    reason="the same with fencing",
    probe=Programs("corosync", "pacemakerd", "crm_resource"),
    needed=frozenset({Purpose.PARIS, Purpose.TESTS}),
    packages=("corosync", "pacemaker", "pacemaker-cli-utils"),
)
