"""ZooKeeper."""

from __future__ import annotations

from pathlib import Path

from labctl.doctor.model import Check, Group, Purpose
from labctl.linux.features import LackingError

__all__ = ["CHECK"]

_JAR = Path("/usr/share/java/zookeeper.jar")


def _zookeeper() -> str:
    if not _JAR.exists():
        raise LackingError(f"no {_JAR}")
    return str(_JAR)


CHECK = Check(
    name="zookeeper",
    group=Group.TOOLS,
    order=120,
    reason="the overlay's state database",
    probe=_zookeeper,
    needed=frozenset({Purpose.OVERLAY, Purpose.TESTS}),
    packages=("zookeeper",),
)
