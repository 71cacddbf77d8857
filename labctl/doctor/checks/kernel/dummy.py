"""Dummy interfaces."""

from __future__ import annotations

from labctl.doctor.kernel import useful_feature
from labctl.linux.features import FEATURES

__all__ = ["CHECK"]

CHECK = useful_feature(
    name="dummy",
    order=170,
    reason="interfaces without a link",
    probe=FEATURES["dummy"],
)
