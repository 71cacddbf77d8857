"""The commands under `exec` of a containerlab file: run at every boot of a node, once its links are there.

Nodes run theirs side by side, each node one command after the other, split into words as a shell would do it
but without a shell, as containerlab does. What fails is told: containerlab itself only logs it.
"""

from __future__ import annotations

import shlex
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from labctl.errors import ActionError, NodeError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from labctl.clab.definition import NodeDefinition
    from labctl.lab.runtime import Runtime
    from labctl.lab.state import LabDir

__all__ = ["LIMIT_S", "run_exec_commands"]

LIMIT_S = 60.0
"""How long one command may take, in seconds: nothing that sets a node up takes that long."""

_AT_ONCE = 8


def run_exec_commands(
    runtime: Runtime, lab: LabDir, nodes: Sequence[NodeDefinition], limit_s: float = LIMIT_S
) -> None:
    """Run the `exec` commands of nodes that run, and wait for them.

    Args:
        runtime: that runs the lab.
        lab: the lab.
        nodes: whose commands are to run. One that fails does not keep a node from the next.
        limit_s: seconds for each command.

    Raises:
        NodeError: commands failed or took too long, one line each.
    """
    some = [node for node in nodes if node.exec]
    if not some:
        return
    # A single node's are run by the caller's thread: an interrupt ends the command.
    if len(some) == 1:
        failures = _run(runtime, lab, some[0], limit_s)
    else:
        failures = _side_by_side(runtime, lab, some, limit_s)
    if failures:
        raise NodeError("\n".join(failures))


def _side_by_side(
    runtime: Runtime, lab: LabDir, nodes: Sequence[NodeDefinition], limit_s: float
) -> list[str]:
    pool = ThreadPoolExecutor(min(_AT_ONCE, len(nodes)), thread_name_prefix="labctl-exec")
    try:
        found = [*pool.map(lambda node: _run(runtime, lab, node, limit_s), nodes)]
    finally:
        # Whoever is interrupted takes the lab down, which ends the commands: they are not waited for.
        pool.shutdown(wait=False, cancel_futures=True)
    return [failure for failures in found for failure in failures]


def _run(runtime: Runtime, lab: LabDir, node: NodeDefinition, limit_s: float) -> list[str]:
    """What went wrong, one line a command."""
    failures = []
    for command in node.exec:
        said = f"{node.name}: {command!r} of its `exec`"
        try:
            result = runtime.exec(lab, node.name, shlex.split(command), timeout_s=limit_s)
        except ActionError as error:
            failures.append(f"{said}: {error}")
            continue
        if not result.ok:
            output = (result.stderr or result.stdout).decode(errors="replace").strip()
            failures.append(
                f"{said} ended with {result.code}: {' | '.join(output.splitlines()) or 'no output'}"
            )
    return failures
