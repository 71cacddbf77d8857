"""Bridges."""

from __future__ import annotations

from labctl.doctor.kernel import needed_feature
from labctl.linux.features import FEATURES

__all__ = ["CHECK"]

CHECK = needed_feature(
    name="bridge",
    order=40,
    reason="switches are bridges",
    probe=FEATURES["bridge"],
)
