"""VLAN interfaces."""

from __future__ import annotations

from labctl.doctor.kernel import useful_feature
from labctl.linux.features import FEATURES

__all__ = ["CHECK"]

CHECK = useful_feature(
    name="8021q",
    order=140,
    reason="VLANs of the legacy network; without it each is a VXLAN segment",
    probe=FEATURES["8021q"],
)
