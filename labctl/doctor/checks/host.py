"""Checks of the machine itself: rights, limits, Python."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import resource
import sys

from labctl.doctor.model import ALL, Check, LackingError, Purpose
from labctl.lab import node_groups
from labctl.linux import syscalls
from labctl.runtime.embedded import capabilities

__all__ = ["CHECKS"]

OLDEST, NEWEST = (3, 11), (3, 13)
FILES = 4096
"""Open files: a node a namespace, a socket a stream, and what the engine needs a container."""

_CAPABILITIES = ("NET_ADMIN", "SYS_ADMIN", "NET_RAW", "SYS_PTRACE", "SETPCAP")
_GROUP = "machine"


def _system() -> str:
    if sys.platform != "linux":
        raise LackingError(sys.platform, "labctl runs on Linux: namespaces are its nodes")
    return f"Linux {platform.release()} {platform.machine()}"


def _root() -> str:
    if os.geteuid() != 0:
        raise LackingError(f"user {os.geteuid()}")
    return "root"


def _capabilities() -> str:
    lacking = [name for name in _CAPABILITIES if not syscalls.bounded(capabilities.NUMBERS[name])]
    if lacking:
        raise LackingError("not in the bounding set: " + " ".join(lacking))
    return " ".join(_CAPABILITIES)


def _sys_resource() -> str:
    if not syscalls.bounded(capabilities.NUMBERS["SYS_RESOURCE"]):
        raise LackingError("not in the bounding set: limits cannot be raised, privileged containers fail")
    return "in the bounding set"


def _files() -> str:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < FILES:
        raise LackingError(f"at most {hard}, wanted {FILES}")
    return f"{soft}, at most {'any' if hard == resource.RLIM_INFINITY else hard}"


def _freezer() -> str:
    version = node_groups.available()
    if not version:
        raise LackingError(
            "no control group can be made: nodes are stopped by signals, one process at a time"
        )
    return f"control groups version {version}"


def _python() -> str:
    version = platform.python_version()
    if not OLDEST <= sys.version_info[:2] <= NEWEST:
        raise LackingError(f"{version}, tried with {_text(OLDEST)} to {_text(NEWEST)}")
    return version


def _text(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"


def _libraries() -> str:
    wanted = ("docker", "jinja2", "numpy", "pydantic", "pyroute2", "pyyaml", "rich", "scapy", "typer")
    lacking = []
    for name in wanted:
        try:
            importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            lacking.append(name)
    if lacking:
        raise LackingError("not installed: " + " ".join(lacking))
    return f"{len(wanted)} there"


CHECKS = (
    Check(
        "system",
        _GROUP,
        "nodes are Linux namespaces, links are Linux interfaces",
        _system,
        needed=ALL,
    ),
    Check(
        "root",
        _GROUP,
        "making namespaces and links, and sending from inside them",
        _root,
        needed=ALL,
        fix="run it as root: sudo labctl doctor",
    ),
    Check(
        "capabilities",
        _GROUP,
        "the rights of root on this machine: a container restricts them",
        _capabilities,
        needed=ALL,
        fix="start the container or the service that this runs in with these capabilities",
    ),
    Check(
        "cap SYS_RESOURCE",
        _GROUP,
        "files of other people's labs that ask for privileged containers",
        _sys_resource,
        useful=frozenset({Purpose.CONTAINERLAB}),
        fix="only the one who started this machine's first process can give it",
    ),
    Check(
        "open files",
        _GROUP,
        "one handle a node, a link end under watch and a stream of traffic",
        _files,
        needed=ALL,
        fix=f"ulimit -n {FILES}, or a higher LimitNOFILE of the service that this runs in",
    ),
    Check(
        "freezer",
        _GROUP,
        "before a power cut every process of a node stops at once",
        _freezer,
        useful=frozenset({Purpose.EMBEDDED}),
        fix="in a container: mount /sys/fs/cgroup so that it can be written to",
    ),
    Check(
        "Python",
        _GROUP,
        "labctl is written in it",
        _python,
        needed=ALL,
        fix="make the virtual environment with Python 3.11, 3.12 or 3.13",
    ),
    Check(
        "Python libraries",
        _GROUP,
        "templates, checks of input, packets, tables",
        _libraries,
        needed=ALL,
        fix="pip install --require-hashes -r requirements.txt",
    ),
)
