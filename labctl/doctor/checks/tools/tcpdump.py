"""The program tcpdump."""

from __future__ import annotations

from labctl.doctor.installed import Programs
from labctl.doctor.model import ALL, CheckGroup, MachineCheck, Purpose

__all__ = ["CHECK"]

CHECK = MachineCheck(
    name="tcpdump",
    group=CheckGroup.TOOLS,
    order=80,
    reason="captures: what a failed node still transmits",
    probe=Programs("tcpdump"),
    needed=frozenset({Purpose.TESTS}),
    useful=ALL - {Purpose.TESTS},
    packages=("tcpdump",),
)
