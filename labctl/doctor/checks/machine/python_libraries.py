"""The Python libraries that labctl imports."""

from __future__ import annotations

import importlib.metadata

from labctl.doctor.model import ALL, CheckGroup, MachineCheck
from labctl.linux.features import LackingError

__all__ = ["CHECK"]

_NAMES = ("docker", "jinja2", "numpy", "pydantic", "pyroute2", "pyyaml", "rich", "scapy", "typer")


def _libraries() -> str:
    lacking = []
    for name in _NAMES:
        try:
            importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            lacking.append(name)
    if lacking:
        raise LackingError("not installed: " + " ".join(lacking))
    return f"{len(_NAMES)} there"


CHECK = MachineCheck(
    name="Python libraries",
    group=CheckGroup.MACHINE,
    order=70,
    reason="templates, checks of input, packets, tables",
    probe=_libraries,
    needed=ALL,
    fix="pip install --require-hashes -r requirements.txt",
)
