"""The operating system."""

from __future__ import annotations

import platform
import sys

from labctl.doctor.model import ALL, CheckGroup, MachineCheck
from labctl.linux.features import LackingError

__all__ = ["CHECK"]


def _system() -> str:
    if sys.platform != "linux":
        raise LackingError(sys.platform, "labctl runs on Linux: namespaces are its nodes")
    return f"Linux {platform.release()} {platform.machine()}"


CHECK = MachineCheck(
    name="system",
    group=CheckGroup.MACHINE,
    order=10,
    reason="nodes are Linux namespaces, links are Linux interfaces",
    probe=_system,
    needed=ALL,
)
