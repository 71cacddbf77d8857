"""The limit of open files."""

from __future__ import annotations

import resource

from labctl.doctor.model import ALL, CheckGroup, MachineCheck
from labctl.linux.features import LackingError

__all__ = ["CHECK"]

_FILES = 4096
"""Open files: a node a namespace, a socket a stream, and what the engine needs a container."""


def _open_files() -> str:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < _FILES:
        raise LackingError(f"at most {hard}, wanted {_FILES}")
    return f"{soft}, at most {'any' if hard == resource.RLIM_INFINITY else hard}"


CHECK = MachineCheck(
    name="open files",
    group=CheckGroup.MACHINE,
    order=50,
    reason="one handle a node, a link end under watch and a stream of traffic",
    probe=_open_files,
    needed=ALL,
    fix=f"ulimit -n {_FILES}, or a higher LimitNOFILE of the service that this runs in",
)
