"""Bridges that know VLANs."""

from __future__ import annotations

from labctl.doctor.kernel import useful_feature
from labctl.linux.features import FEATURES

__all__ = ["CHECK"]

CHECK = useful_feature(
    name="bridge vlan_filtering",
    order=150,
    reason="VLANs on a switch",
    probe=FEATURES["vlan_filtering"],
)
