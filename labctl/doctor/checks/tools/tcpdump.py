"""The program tcpdump."""

from __future__ import annotations

from labctl.doctor.installed import Programs
from labctl.doctor.model import ALL, Check, Group, Purpose

__all__ = ["CHECK"]

CHECK = Check(
    name="tcpdump",
    group=Group.TOOLS,
    order=80,
    reason="seeing what a dying node still says; captures",
    probe=Programs("tcpdump"),
    needed=frozenset({Purpose.TESTS}),
    useful=ALL - {Purpose.TESTS},
    packages=("tcpdump",),
)
