"""Installs distribution packages for what a machine lacks.

The work is done by the shell script beside this file: the project's own scripts need it too, before
there is a Python to run.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from labctl.errors import HostError
from labctl.events import Event

if TYPE_CHECKING:
    from collections.abc import Sequence

    from labctl.events import Listener

__all__ = ["install"]

SCRIPT = Path(__file__).with_name("apt-install.sh")


def install(packages: Sequence[str], listen: Listener) -> None:
    """Install packages with apt, starting no service of theirs.

    Args:
        packages: names; ``a|b`` is whichever of the two the distribution has.
        listen: gets ``host.install`` with each ``line`` that there is to say.

    Raises:
        HostError: not root, no apt, or apt failed; the message holds its last words.
    """
    if not packages:
        return
    names = " ".join(package.partition("|")[0] for package in packages)
    if os.geteuid() != 0:
        raise HostError(f"installing packages takes root: sudo apt-get install {names}")
    if shutil.which("apt-get") is None:
        raise HostError(f"there is no apt-get here: install by hand what Debian calls {names}")
    said = []
    with subprocess.Popen(
        ["bash", str(SCRIPT), *packages], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as child:
        for line in child.stderr or ():
            said.append(line.rstrip())
            listen(Event("host.install", data={"line": line.rstrip()}))
    if child.returncode != 0:
        raise HostError("packages could not be installed:\n" + "\n".join(said[-20:]))
