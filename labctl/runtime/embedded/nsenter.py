"""The nsenter command line that runs a command in a node from outside, with the node's own capabilities."""

from __future__ import annotations

import functools
import shutil
from typing import TYPE_CHECKING

from labctl.errors import HostError
from labctl.runtime.embedded import capabilities

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from labctl.clab.definition import NodeDefinition

__all__ = ["ENTERING", "clean_environment", "enter_argv", "program"]

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
ENTERING = {"PATH": _PATH}
"""The environment of the programs that enter a node."""

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


def enter_argv(
    init_pid: int, spec: NodeDefinition, argv: Sequence[str], environment: Mapping[str, str] | None = None
) -> tuple[str, ...]:
    """The command line that runs ``argv`` in all namespaces of a node, with its bounding set.

    The node's environment begins inside the node: what its file sets (``LD_PRELOAD``) is nothing for the
    host's nsenter, which is to be run in :data:`ENTERING`.

    Args:
        init_pid: of the node's PID 1, as the host sees it.
        spec: the node.
        argv: the command and its arguments.
        environment: of the command, whole; that of every process in the node if None.
    """
    given = clean_environment(spec) if environment is None else environment
    words = [f"{key}={value}" for key, value in given.items()]
    bounds = ",".join(["-all", *(f"+{name.lower()}" for name in sorted(_giveable(spec)))])
    enter = (program("nsenter"), f"--target={init_pid}", "--mount", "--uts", "--ipc", "--net", "--pid")
    bounded = (program("setpriv"), f"--bounding-set={bounds}", "--")
    # env would take a program with such a name for one variable more.
    command = ("/bin/sh", "-c", 'exec "$@"', "sh", *argv) if "=" in argv[0] else argv
    return (*enter, "--", *bounded, program("env"), "-i", *words, *command)


def _giveable(spec: NodeDefinition) -> frozenset[str]:
    return capabilities.granted(spec.cap_add) - set(capabilities.lacking(capabilities.NUMBERS))
