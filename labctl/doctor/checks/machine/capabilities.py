"""The capabilities that root needs for nodes."""

from __future__ import annotations

from labctl.doctor.model import ALL, CheckGroup, MachineCheck
from labctl.linux import syscalls
from labctl.linux.features import LackingError
from labctl.runtime.embedded import capabilities

__all__ = ["CHECK"]

_NAMES = ("NET_ADMIN", "SYS_ADMIN", "NET_RAW", "SYS_PTRACE", "SETPCAP")


def _capabilities() -> str:
    lacking = [name for name in _NAMES if not syscalls.bounded(capabilities.NUMBERS[name])]
    if lacking:
        raise LackingError("not in the bounding set: " + " ".join(lacking))
    return " ".join(_NAMES)


CHECK = MachineCheck(
    name="capabilities",
    group=CheckGroup.MACHINE,
    order=30,
    reason="what root may do here: in a container it is given less",
    probe=_capabilities,
    needed=ALL,
    fix="start the container or the service that this runs in with these capabilities",
)
