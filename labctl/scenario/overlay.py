"""Changes of a lab's overlay as steps of a timeline: the operations of ``labctl overlay``."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from labctl.errors import ActionError, LabctlError
from labctl.events import now_ns
from labctl.fault.types import Effect
from labctl.overlay.client.command import UnknownCommandError, parse_command

if TYPE_CHECKING:
    from collections.abc import Callable

    from labctl.overlay.client.database import Overlay
    from labctl.scenario.model import Action

__all__ = ["change", "command_words", "is_overlay"]

_GATEWAY = {
    "gateway-drain": ("drain", ()),
    "gateway-undrain": ("drain", ("--undo",)),
    "gateway-remove": ("remove", ()),
    "gateway-add": ("add", ()),
}


def is_overlay(action: Action) -> bool:
    """Whether an action changes the overlay."""
    return action.kind in _GATEWAY or action.kind == "overlay"


def command_words(action: Action) -> list[str]:
    """The words after ``labctl overlay`` that say the same, without the lab's name.

    Raises:
        ValueError: quotation marks of the action's text do not match.
    """
    if action.kind in _GATEWAY:
        verb, options = _GATEWAY[action.kind]
        return ["gateway", verb, *action.target, *options]
    return shlex.split(action.mode)


def change(lab: str, action: Action, open_overlay: Callable[[], Overlay]) -> Effect:
    """Carry an action out.

    Args:
        lab: its name, for messages.
        action: one for which :func:`is_overlay` holds.
        open_overlay: gives the overlay of the lab.

    Returns:
        Its effect. Nobody sees a moment at which it takes hold: it lies between ``requested_ns`` and
        some milliseconds after ``done_ns``, when the agents have been notified.

    Raises:
        ActionError: it failed, or the state database did not answer in time.
    """
    words = command_words(action)
    noun, verb, *rest = words
    said = shlex.join(["overlay", noun, verb, lab, *rest])
    requested = now_ns()
    try:
        parse_command(words).run(open_overlay())
    except (LabctlError, UnknownCommandError) as error:
        raise ActionError(f"labctl {said}: {error}") from error
    ended = now_ns()
    return Effect(action.kind, action.label, requested, ended, ended, ended, detail={"command": said})
