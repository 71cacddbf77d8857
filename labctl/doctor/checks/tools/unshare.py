"""The programs unshare, nsenter and setpriv."""

from __future__ import annotations

from labctl.doctor.installed import Programs
from labctl.doctor.model import CheckGroup, MachineCheck, Purpose

__all__ = ["CHECK"]

CHECK = MachineCheck(
    name="unshare",
    group=CheckGroup.TOOLS,
    order=20,
    reason="entering a node with the node's own rights",
    probe=Programs("unshare", "nsenter", "setpriv"),
    needed=frozenset({Purpose.EMBEDDED, Purpose.TESTS}),
    packages=("util-linux",),
)
