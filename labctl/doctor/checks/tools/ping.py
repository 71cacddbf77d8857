"""The program ping."""

from __future__ import annotations

from labctl.doctor.installed import Programs
from labctl.doctor.model import ALL, CheckGroup, MachineCheck, Purpose

__all__ = ["CHECK"]

CHECK = MachineCheck(
    name="ping",
    group=CheckGroup.TOOLS,
    order=70,
    reason="a first look into a lab",
    probe=Programs("ping"),
    needed=frozenset({Purpose.TESTS}),
    useful=ALL - {Purpose.TESTS},
    packages=("iputils-ping",),
)
