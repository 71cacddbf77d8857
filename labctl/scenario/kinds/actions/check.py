"""``check``: a condition must hold at this point of the timeline, else the run is a FAIL."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from labctl.document.entries import Entry
from labctl.document.hints import nearest
from labctl.errors import ActionError
from labctl.fault.types import Effect
from labctl.scenario.kinds.action import Action, ActionKind
from labctl.scenario.kinds.conditions_known import CONDITIONS, ConditionEntry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labctl.document.kinds import FlatEntry
    from labctl.events import Listener
    from labctl.model.lab import Lab
    from labctl.scenario.kinds.action import LabInUse, Mention
    from labctl.scenario.kinds.condition import Condition, Waiting

__all__ = ["KIND", "Check"]


class CheckEntry(Entry):
    """``check`` as a user writes it."""

    condition: Annotated[
        ConditionEntry,  # type: ignore[valid-type] # made from the kinds at run time
        Field(alias="check", description="a condition that must hold"),
    ]


@dataclass(frozen=True, slots=True)
class Check:
    """What must hold."""

    condition: Condition

    def __str__(self) -> str:
        return str(self.condition)


def _read(entry: CheckEntry) -> tuple[Action[Check], ...]:
    wanted: FlatEntry = entry.condition
    return (Action(KIND, (), Check(CONDITIONS[wanted.kind].read(wanted.params))),)


def _check(action: Action[Check], lab: Lab) -> Iterator[Mention]:
    condition = action.params.condition
    names = [node.name for node in lab.nodes]
    for keys, node in condition.nodes():
        if node not in names:
            yield keys, f"unknown node {node!r}", nearest(node, names)
    if condition.streams() is not None:
        yield (), f"{condition.kind} is no condition of a check", "what may be lost stands under expect"


def _act(lab: LabInUse, action: Action[Check], listen: Listener) -> Effect:
    del lab, listen
    raise ActionError(f"{action} is a step of a timeline")


def _assess(action: Action[Check], waiting: Waiting) -> Effect:
    """Wait for it, and say whether it held: a verdict reads ``missed``."""
    condition = action.params.condition
    begin = waiting.backend.now_ns()
    measured = condition.wait(waiting)
    end = waiting.backend.now_ns()
    detail: dict[str, str | int | float | bool] = {"condition": str(condition), "met": measured.met}
    if not measured.met:
        detail["missed"] = f"{condition}: {measured.why or 'it does not hold'}"
    return Effect(action.name, action.label, begin, end, end, end, detail=detail)


KIND: ActionKind[Check] = ActionKind(
    name="check",
    doc="a condition must hold within its time, else the run is a FAIL; the timeline goes on. The "
    "next step is not done before it holds or its time is over",
    example="{check: {route: {node: r1, to: default}, within: 2s}}",
    entry=CheckEntry,
    read=_read,
    act=_act,
    check=_check,
    assess=_assess,
)
