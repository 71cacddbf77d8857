"""The queueing discipline netem."""

from __future__ import annotations

from labctl.doctor.kernel import useful_feature
from labctl.linux.features import FEATURES

__all__ = ["CHECK"]

CHECK = useful_feature(
    name="netem",
    order=120,
    reason="delay, jitter and random loss on a link; without it only loss and rate can be had",
    probe=FEATURES["netem"],
)
