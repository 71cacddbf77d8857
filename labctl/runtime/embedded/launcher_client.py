"""Runs :mod:`labctl.runtime.embedded.launcher` as a process of its own and waits for its outcome."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import labctl
from labctl.errors import NodeError

if TYPE_CHECKING:
    from labctl.runtime.embedded.launcher import BootOutcome, BootRequest

__all__ = ["run_helper"]

# -I and -S: nothing of the user's environment, no site folder: the helper is up in 20 ms.
_PROGRAM = (
    "import sys; sys.path.insert(0, sys.argv[1]); from labctl.runtime.embedded.launcher import main; main()"
)


def run_helper(plan: BootRequest) -> BootOutcome:
    """Boot the nodes of a plan.

    Raises:
        NodeError: the helper itself failed.
    """
    package = Path(labctl.__file__).parent.parent
    with subprocess.Popen(
        # It is told whose child it is: who is killed while it starts is not its parent any more.
        [sys.executable, "-I", "-S", "-c", _PROGRAM, os.fspath(package), str(os.getpid())],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # Ctrl-C is the caller's to deal with: it kills the helper, which takes its children along.
        start_new_session=True,
    ) as process:
        try:
            out, err = process.communicate(json.dumps(plan).encode())
        except BaseException:
            process.kill()
            raise
    try:
        outcome: BootOutcome = json.loads(out)
    except ValueError:
        lines = err.decode(errors="replace").strip().splitlines()
        raise NodeError(f"nodes could not be started: {lines[-1] if lines else process.returncode}") from None
    return outcome
