"""``overlay``: a command of ``labctl overlay`` that changes something."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from labctl.document.entries import Entry
from labctl.scenario.kinds.action import Action, ActionKind
from labctl.scenario.overlay import change, check_command

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labctl.events import Listener
    from labctl.fault.types import Effect
    from labctl.model.lab import Lab
    from labctl.scenario.kinds.action import LabInUse, Mention

__all__ = ["KIND", "OverlayChange"]


class OverlayEntry(Entry):
    """``overlay`` as a user writes it."""

    command: Annotated[
        str,
        Field(
            alias="overlay",
            pattern=r"^[a-z]+ [a-z]+( \S+)*$",
            description="a command of labctl overlay, without the lab's name: env create dev7 --vms 4",
        ),
    ]


@dataclass(frozen=True, slots=True)
class OverlayChange:
    """The words of a command, as after ``labctl overlay``, without the lab's name."""

    text: str

    def __str__(self) -> str:
        return self.text


def _read(entry: OverlayEntry) -> tuple[Action[OverlayChange], ...]:
    return (Action(KIND, (), OverlayChange(entry.command)),)


def _act(lab: LabInUse, action: Action[OverlayChange], listen: Listener) -> Effect:
    del listen
    return change(lab, action.name, action.label, shlex.split(action.params.text))


def _check(action: Action[OverlayChange], lab: Lab) -> Iterator[Mention]:
    try:
        words = shlex.split(action.params.text)
    except ValueError as error:
        yield (), f"expected the words of a command: {error}", ""
        return
    yield from check_command(words, lab)


KIND: ActionKind[OverlayChange] = ActionKind(
    name="overlay",
    doc="any command of `labctl overlay` that changes something, without the lab's name; `labctl "
    "validate` checks it",
    example="{overlay: env create dev7 --vms 4}",
    entry=OverlayEntry,
    read=_read,
    act=_act,
    check=_check,
)
