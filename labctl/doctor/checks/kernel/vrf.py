"""VRF interfaces."""

from __future__ import annotations

from labctl.doctor.kernel import useful_feature
from labctl.linux.features import FEATURES

__all__ = ["CHECK"]

CHECK = useful_feature(
    name="vrf",
    order=160,
    reason="routing tables of tenants",
    probe=FEATURES["vrf"],
)
