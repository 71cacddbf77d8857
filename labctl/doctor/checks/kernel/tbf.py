"""The queueing discipline tbf."""

from __future__ import annotations

from labctl.doctor.kernel import useful_feature
from labctl.linux.features import FEATURES

__all__ = ["CHECK"]

CHECK = useful_feature(
    name="tbf",
    order=130,
    reason="a bounded rate on a link",
    probe=FEATURES["tbf"],
)
