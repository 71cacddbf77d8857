"""The program rabbitmq-server."""

from __future__ import annotations

from labctl.doctor.installed import Programs
from labctl.doctor.model import Check, Group, Purpose

__all__ = ["CHECK"]

CHECK = Check(
    name="rabbitmq-server",
    group=Group.LEGACY,
    order=40,
    reason="the message queue that a controller connects to last",
    probe=Programs("rabbitmq-server"),
    needed=frozenset({Purpose.PARIS, Purpose.TESTS}),
    packages=("rabbitmq-server",),
)
