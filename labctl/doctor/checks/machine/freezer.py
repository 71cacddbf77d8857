"""The kernel's freezer, by which a node's processes stop at once."""

from __future__ import annotations

from labctl.doctor.model import CheckGroup, MachineCheck, Purpose
from labctl.lab import node_groups
from labctl.linux.features import LackingError

__all__ = ["CHECK"]


def _freezer() -> str:
    version = node_groups.available()
    if not version:
        raise LackingError(
            "no control group can be made: nodes are stopped by signals, one process at a time"
        )
    return f"control groups version {version}"


CHECK = MachineCheck(
    name="freezer",
    group=CheckGroup.MACHINE,
    order=55,
    reason="before a power cut every process of a node stops at once",
    probe=_freezer,
    useful=frozenset({Purpose.EMBEDDED}),
    fix="in a container: mount /sys/fs/cgroup so that it can be written to",
)
