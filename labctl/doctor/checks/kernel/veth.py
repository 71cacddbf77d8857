"""Pairs of interfaces."""

from __future__ import annotations

from labctl.doctor.kernel import needed_feature
from labctl.linux.features import FEATURES

__all__ = ["CHECK"]

CHECK = needed_feature(
    name="veth",
    order=30,
    reason="every link is a pair of them",
    probe=FEATURES["veth"],
)
