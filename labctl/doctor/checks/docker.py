"""Checks of what the containerlab runtime needs: engine, containerlab, images."""

from __future__ import annotations

import re
from pathlib import Path

from labctl.doctor.checks.programs import OnPath
from labctl.doctor.model import Check, LackingError, Purpose
from labctl.errors import LabctlError
from labctl.linux.features import run
from labctl.runtime.containerlab.binary import find_program
from labctl.runtime.containerlab.docker import Engine

__all__ = ["CHECKS"]

_GROUP = "containers"
_CONTAINERLAB = frozenset({Purpose.CONTAINERLAB})


def _engine() -> str:
    engine = Engine()
    try:
        return f"{engine.version()} at {engine.http.url}"
    except LabctlError as error:
        raise LackingError(str(error)) from error


def _containerlab() -> str:
    program = find_program()
    if program is None:
        raise LackingError("not on PATH, and not built in build/bin")
    if not Path("/proc/modules").exists() and not (program.parent / "empty-proc-modules").exists():
        raise LackingError(
            f"{program} will not start: it looks for /proc/modules, and this kernel has no module support",
            "in a clone of labctl: tools/ci/containerlab-up builds one with a launcher that answers for it",
        )
    match = re.search(r"version:\s*(\S+)", run((str(program), "version")))
    return f"{match[1] if match else 'of unknown version'} at {program}"


def _images() -> str:
    from labctl.runtime.containerlab.images import shipped  # noqa: PLC0415 - only where an engine is looked at

    try:
        images = shipped(Engine())
    except LabctlError as error:
        raise LackingError("not tried: no engine") from error
    lacking = [image.name for image in images if not image.built]
    if lacking:
        raise LackingError("not built: " + ", ".join(lacking), "labctl images build " + " ".join(lacking))
    return " ".join(image.reference for image in images)


CHECKS = (
    Check(
        "docker",
        _GROUP,
        "a shell in a container",
        OnPath(("docker",)),
        needed=_CONTAINERLAB,
        packages=("docker-cli|docker.io",),
    ),
    Check(
        "dockerd",
        _GROUP,
        "the engine under containerlab",
        OnPath(("dockerd",)),
        useful=_CONTAINERLAB,
        packages=("docker.io",),
    ),
    Check(
        "Docker engine",
        _GROUP,
        "containerlab's nodes are its containers",
        _engine,
        needed=_CONTAINERLAB,
        fix="start the engine (systemctl start docker, or in a clone of labctl tools/ci/engine start), "
        "or say with DOCKER_HOST where it is",
    ),
    Check(
        "containerlab",
        _GROUP,
        "deploys the same definition in containers",
        _containerlab,
        needed=_CONTAINERLAB,
        fix="install its own package, or in a clone of labctl: tools/ci/containerlab-up",
    ),
    Check(
        "images",
        _GROUP,
        "what the nodes run in: host and router, built on this machine",
        _images,
        needed=_CONTAINERLAB,
        fix="labctl images build, once there is an engine",
    ),
)
