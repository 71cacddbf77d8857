"""The program dockerd."""

from __future__ import annotations

from labctl.doctor.installed import Programs
from labctl.doctor.model import CheckGroup, MachineCheck, Purpose

__all__ = ["CHECK"]

CHECK = MachineCheck(
    name="dockerd",
    group=CheckGroup.CONTAINERS,
    order=20,
    reason="the engine under containerlab",
    probe=Programs("dockerd"),
    useful=frozenset({Purpose.CONTAINERLAB}),
    packages=("docker.io",),
)
