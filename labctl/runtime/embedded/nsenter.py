"""The nsenter command line that runs a command in a node from outside, with the node's own capabilities."""

from __future__ import annotations

import functools
import shutil
from typing import TYPE_CHECKING

from labctl.errors import HostError
from labctl.runtime.embedded import capabilities

if TYPE_CHECKING:
    from collections.abc import Sequence

    from labctl.clab.definition import NodeDefinition

__all__ = ["clean_environment", "enter_argv", "program"]

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_PACKAGE = {"nsenter": "util-linux", "setpriv": "util-linux", "env": "coreutils"}


@functools.cache
def program(name: str) -> str:
    """Absolute path of a program of this machine.

    Raises:
        HostError: it is not installed.
    """
    found = shutil.which(name, path=_PATH)
    if found is None:
        raise HostError(f"{name} is not installed: apt-get install {_PACKAGE.get(name, name)}")
    return found


def clean_environment(spec: NodeDefinition) -> dict[str, str]:
    """The environment of every process in a node: nothing of the caller's."""
    return {"PATH": _PATH, "HOME": "/root", "HOSTNAME": spec.name, "LANG": "C.UTF-8", **spec.env}


def enter_argv(init_pid: int, spec: NodeDefinition, argv: Sequence[str]) -> tuple[str, ...]:
    """The command line that runs ``argv`` in all namespaces of a node, with its bounding set."""
    bounds = ",".join(["-all", *(f"+{name.lower()}" for name in sorted(_giveable(spec)))])
    enter = (program("nsenter"), f"--target={init_pid}", "--mount", "--uts", "--ipc", "--net", "--pid")
    return (*enter, "--", program("setpriv"), f"--bounding-set={bounds}", "--", *argv)


def _giveable(spec: NodeDefinition) -> frozenset[str]:
    return capabilities.granted(spec.cap_add) - set(capabilities.lacking(capabilities.NUMBERS))
