"""eBPF programs on an interface."""

from __future__ import annotations

from labctl.doctor.kernel import useful_feature
from labctl.linux.features import FEATURES

__all__ = ["CHECK"]

CHECK = useful_feature(
    name="cls_bpf",
    order=110,
    reason="datapath programs on a node's interfaces",
    probe=FEATURES["cls_bpf"],
)
