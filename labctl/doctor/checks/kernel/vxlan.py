"""VXLAN tunnels."""

from __future__ import annotations

from labctl.doctor.kernel import useful_feature
from labctl.linux.features import FEATURES

__all__ = ["CHECK"]

CHECK = useful_feature(
    name="vxlan",
    order=100,
    reason="tunnels between the machines of a virtual network",
    probe=FEATURES["vxlan"],
)
