"""The images of the nodes: built or not."""

from __future__ import annotations

from labctl.doctor.model import CheckGroup, MachineCheck, Purpose
from labctl.errors import LabctlError
from labctl.linux.features import LackingError
from labctl.runtime.containerlab.docker import Engine

__all__ = ["CHECK"]


def _images() -> str:
    from labctl.runtime.containerlab.images import shipped  # noqa: PLC0415 - brings pydantic and YAML in

    try:
        images = shipped(Engine())
    except LabctlError as error:
        raise LackingError("not tried: no engine") from error
    lacking = [image.name for image in images if not image.built]
    if lacking:
        raise LackingError("not built: " + ", ".join(lacking), "labctl images build " + " ".join(lacking))
    return " ".join(image.reference for image in images)


CHECK = MachineCheck(
    name="images",
    group=CheckGroup.CONTAINERS,
    order=50,
    reason="what the nodes run in: host and router, built on this machine",
    probe=_images,
    needed=frozenset({Purpose.CONTAINERLAB}),
    fix="labctl images build, once there is an engine",
)
