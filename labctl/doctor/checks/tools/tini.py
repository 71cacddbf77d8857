"""The program tini."""

from __future__ import annotations

from labctl.doctor.installed import Programs
from labctl.doctor.model import CheckGroup, MachineCheck, Purpose

__all__ = ["CHECK"]

CHECK = MachineCheck(
    name="tini",
    group=CheckGroup.TOOLS,
    order=30,
    reason="the first process of a node: it reaps, and passes signals on",
    probe=Programs("tini"),
    needed=frozenset({Purpose.EMBEDDED, Purpose.TESTS}),
    packages=("tini",),
)
