"""Packet filters of a node."""

from __future__ import annotations

from labctl.doctor.kernel import useful_feature
from labctl.linux.features import FEATURES

__all__ = ["CHECK"]

CHECK = useful_feature(
    name="nftables, inet",
    order=90,
    reason="filters and address translation in nodes",
    probe=FEATURES["nf_tables"],
)
