"""The Docker engine: whether it answers."""

from __future__ import annotations

from labctl.doctor.model import CheckGroup, MachineCheck, Purpose
from labctl.errors import LabctlError
from labctl.linux.features import LackingError
from labctl.runtime.containerlab.docker import Engine

__all__ = ["CHECK"]


def _engine() -> str:
    engine = Engine()
    try:
        return f"{engine.version()} at {engine.http.url}"
    except LabctlError as error:
        raise LackingError(str(error)) from error


CHECK = MachineCheck(
    name="Docker engine",
    group=CheckGroup.CONTAINERS,
    order=30,
    reason="containerlab's nodes are its containers",
    probe=_engine,
    needed=frozenset({Purpose.CONTAINERLAB}),
    fix="start the engine (systemctl start docker, or in a clone of labctl tools/ci/engine start), "
    "or say with DOCKER_HOST where it is",
)
