"""The rights of root."""

from __future__ import annotations

import os

from labctl.doctor.model import ALL, CheckGroup, MachineCheck
from labctl.linux.features import LackingError

__all__ = ["CHECK"]


def _root() -> str:
    if os.geteuid() != 0:
        raise LackingError(f"user {os.geteuid()}")
    return "root"


CHECK = MachineCheck(
    name="root",
    group=CheckGroup.MACHINE,
    order=20,
    reason="making namespaces and links, and sending from inside them",
    probe=_root,
    needed=ALL,
    fix="run it as root: sudo labctl doctor",
)
