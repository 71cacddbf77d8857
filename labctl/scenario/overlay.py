"""Changes of a lab's overlay as steps: the very command that a user would type, run beside the traffic."""

from __future__ import annotations

import shlex
import subprocess
import sys
from typing import TYPE_CHECKING

from labctl.errors import ActionError
from labctl.events import now_ns
from labctl.fault.types import Effect

if TYPE_CHECKING:
    from labctl.scenario.model import Action

__all__ = ["arguments", "change"]

_TIMEOUT_S = 60.0
_GATEWAY = {
    "gateway-drain": ("drain", ()),
    "gateway-undrain": ("drain", ("--undo",)),
    "gateway-remove": ("remove", ()),
    "gateway-add": ("add", ()),
}


def arguments(lab: str, action: Action) -> list[str]:
    """The words after ``labctl`` that carry an action out in a lab."""
    if action.kind in _GATEWAY:
        verb, options = _GATEWAY[action.kind]
        return ["overlay", "gateway", verb, lab, *action.target, *options]
    noun, verb, *rest = shlex.split(action.mode)
    return ["overlay", noun, verb, lab, *rest]


def change(lab: str, action: Action) -> Effect:
    """Carry an action out.

    Returns:
        Its effect. Nobody sees a moment at which it takes hold: it lies between ``requested_ns`` and
        some milliseconds after ``done_ns``, when the agents have been told.

    Raises:
        ActionError: the command failed; with what it said.
    """
    words = arguments(lab, action)
    requested = now_ns()
    try:
        done = subprocess.run(
            [sys.executable, "-m", "labctl", *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=_TIMEOUT_S,
        )
    except subprocess.TimeoutExpired:
        raise ActionError(f"labctl {shlex.join(words)} did not end within {_TIMEOUT_S:g} s") from None
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip() or f"exit code {done.returncode}"
        raise ActionError(f"labctl {shlex.join(words)}: {said}")
    ended = now_ns()
    return Effect(
        action.kind, action.label, requested, ended, ended, ended, detail={"command": shlex.join(words)}
    )
