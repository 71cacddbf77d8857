"""The program arping."""

from __future__ import annotations

from labctl.doctor.installed import Programs
from labctl.doctor.model import Check, Group, Purpose

__all__ = ["CHECK"]

CHECK = Check(
    name="arping",
    group=Group.LEGACY,
    order=90,
    reason="announcing a gateway's address, where that is asked for",
    probe=Programs("arping"),
    needed=frozenset({Purpose.PARIS, Purpose.TESTS}),
    packages=("iputils-arping",),
)
