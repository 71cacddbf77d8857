"""The program docker."""

from __future__ import annotations

from labctl.doctor.installed import Programs
from labctl.doctor.model import CheckGroup, MachineCheck, Purpose

__all__ = ["CHECK"]

CHECK = MachineCheck(
    name="docker",
    group=CheckGroup.CONTAINERS,
    order=10,
    reason="a shell in a container",
    probe=Programs("docker"),
    needed=frozenset({Purpose.CONTAINERLAB}),
    packages=("docker-cli|docker.io",),
)
