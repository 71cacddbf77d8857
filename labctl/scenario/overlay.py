"""Changes of a lab's overlay as steps of a timeline: the operations of ``labctl overlay``."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from labctl.document.hints import nearest
from labctl.errors import ActionError, LabctlError
from labctl.events import now_ns
from labctl.fault.types import Effect
from labctl.overlay.client.command import UnknownCommandError, parse_command
from labctl.overlay.client.database import open_overlay

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from labctl.model.lab import Lab
    from labctl.overlay.client.database import Overlay
    from labctl.scenario.kinds.action import Action, LabInUse, Mention, NoParams

__all__ = ["change", "check_command", "check_gateway", "run_command"]


def check_gateway(action: Action[NoParams], lab: Lab) -> Iterator[Mention]:
    """Whether the target of an action is a gateway of the lab's overlay."""
    if not lab.overlay.get("controllers"):
        yield (), "the topology has no overlay: no node of it is a controller", ""
        return
    gateways = [host["name"] for host in lab.overlay["hosts"] if host["kind"] == "gateway"]
    for node in action.nodes:
        if node not in gateways:
            yield (), f"{node} is no gateway of the overlay", nearest(node, gateways)


def check_command(words: Sequence[str], lab: Lab) -> Iterator[Mention]:
    """Whether the words are a command of ``labctl overlay`` that changes something, and the lab has one."""
    if not lab.overlay.get("controllers"):
        yield (), "the topology has no overlay: no node of it is a controller", ""
        return
    try:
        parse_command(list(words))
    except UnknownCommandError as error:
        yield (), error.message, error.hint
    except ValueError as error:
        yield (), f"expected the words of a command: {error}", ""


def change(lab: LabInUse, action: str, label: str, words: Sequence[str]) -> Effect:
    """Carry a command out on a lab; see :func:`run_command`."""
    return run_command(lab.folder.name, action, label, words, lambda: open_overlay(lab.runtime, lab.folder))


def run_command(
    lab: str, action: str, label: str, words: Sequence[str], opened: Callable[[], Overlay]
) -> Effect:
    """Carry a command of ``labctl overlay`` out.

    Args:
        lab: its name, for messages.
        action: the key in the timeline.
        label: the target, in one word.
        words: after ``labctl overlay``, without the lab's name.
        opened: gives the overlay of the lab.

    Returns:
        Its effect. Nobody sees a moment at which it takes hold: it lies between ``requested_ns`` and
        some milliseconds after ``done_ns``, when the agents have been notified.

    Raises:
        ActionError: it failed, or the state database did not answer in time.
    """
    noun, verb, *rest = words
    said = shlex.join(["overlay", noun, verb, lab, *rest])
    requested = now_ns()
    try:
        parse_command(list(words)).run(opened())
    except (LabctlError, UnknownCommandError) as error:
        raise ActionError(f"labctl {said}: {error}") from error
    ended = now_ns()
    return Effect(action, label, requested, ended, ended, ended, detail={"command": said})
