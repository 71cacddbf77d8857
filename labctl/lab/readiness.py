"""Waits until nodes are ready, all of them at the same time, and reports what each other node is missing."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from labctl.clab.definition import READY_PROGRAM
from labctl.errors import ActionError, NodeError
from labctl.events import Event
from labctl.lab.definition_cache import definition_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from labctl.events import Listener
    from labctl.lab.runtime import Runtime
    from labctl.lab.state import LabDir

__all__ = ["not_ready_reason", "wait_ready"]

_AT_ONCE = 4
_PAUSE_S = 0.05
_POLL_S = 0.5
_QUERY_S = 10.0
_LOG_LINES = 5


def wait_ready(
    runtime: Runtime, lab: LabDir, nodes: Sequence[str], timeout_s: float, listen: Listener
) -> None:
    """Wait until every node is ready; emits ``node.ready`` for each.

    Args:
        runtime: that runs the lab.
        lab: the lab.
        nodes: names of those to wait for, less those that are the machine's own (``runtime.outside``).
        timeout_s: seconds for all of them together.
        listen: gets the events.

    Raises:
        NodeError: some are not ready in time, or stopped; says why each of them is not ready.
    """
    definition = definition_of(lab)
    with_program = {spec.name for spec in definition.nodes if spec.labels.get("labctl-ready") == "1"}
    outside = {spec.name for spec in definition.nodes if spec.kind in runtime.outside}
    waiting = [node for node in nodes if node not in outside]
    end = time.monotonic() + timeout_s
    polled = time.monotonic()
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="labctl-ready") as pool:

        def query(some: Sequence[str]) -> dict[str, str]:
            answers = pool.map(
                lambda node: not_ready_reason(runtime, lab, node, ask=node in with_program), some
            )
            return dict(zip(some, answers, strict=True))

        while waiting:
            # A query costs work that the booting nodes could use: a few at a time, the rest when
            # these are ready.
            not_ready = {}
            for node, answer in query(waiting[:_AT_ONCE]).items():
                if answer:
                    not_ready[node] = answer
                else:
                    waiting.remove(node)
                    listen(Event("node.ready", data={"node": node}))
            if not not_ready:
                continue
            now = time.monotonic()
            if now - polled > _POLL_S or now >= end:
                polled = now
                stopped = _stopped(runtime, lab, waiting)
                if stopped or now >= end:
                    # All are queried once more, so that the message names each one that is late.
                    answers = query(waiting)
                    for node in [node for node, answer in answers.items() if not answer]:
                        waiting.remove(node)
                        listen(Event("node.ready", data={"node": node}))
                    if waiting:
                        raise NodeError(_not_ready_message(runtime, lab, answers, stopped, timeout_s))
            time.sleep(min(_PAUSE_S, max(0.0, end - now)))


def _stopped(runtime: Runtime, lab: LabDir, nodes: Sequence[str]) -> list[str]:
    states = runtime.states(lab)
    return [node for node in nodes if not states[node].init_pid]


def not_ready_reason(runtime: Runtime, lab: LabDir, node: str, *, ask: bool = True) -> str:
    """Why a node is not ready, in one line; empty when it is ready.

    Args:
        runtime: that runs the lab.
        lab: the lab.
        node: name of the node.
        ask: whether the node has a program that knows; where not, it is ready when it runs.
    """
    try:
        if not ask:
            runtime.netns(lab, node)
            return ""
        result = runtime.exec(lab, node, [READY_PROGRAM], timeout_s=_QUERY_S)
    except ActionError as error:
        return str(error)
    if result.ok:
        return ""
    lines = (result.stdout or result.stderr).decode(errors="replace").strip().splitlines()
    return lines[0] if lines else f"{READY_PROGRAM} ended with {result.code} without any output"


def _not_ready_message(
    runtime: Runtime, lab: LabDir, answers: dict[str, str], stopped: list[str], timeout_s: float
) -> str:
    lines = []
    for node, answer in ((node, answer) for node, answer in answers.items() if answer):
        if node in stopped:
            tail = runtime.logs(lab, node).decode(errors="replace").strip().splitlines()[-_LOG_LINES:]
            lines.append(f"{node} has stopped" + (": " + " | ".join(tail) if tail else " without any output"))
        elif not stopped:
            lines.append(f"{node} is not ready after {timeout_s:g} s: {answer}")
    return "\n".join(lines)
