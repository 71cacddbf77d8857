"""``power-on``: a node gets its power back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from labctl.document.entries import Entry
from labctl.fault.power import power_on
from labctl.scenario.kinds.action import Action, ActionKind, NoParams, Power
from labctl.scenario.kinds.targets import NodeTargets

if TYPE_CHECKING:
    from labctl.events import Listener
    from labctl.fault.types import Effect
    from labctl.scenario.kinds.action import LabInUse

__all__ = ["KIND"]


class PowerOnEntry(Entry):
    """``power-on`` as a user writes it."""

    nodes: Annotated[NodeTargets, Field(alias="power-on", description="nodes that get their power back")]


def _read(entry: PowerOnEntry) -> tuple[Action[NoParams], ...]:
    return tuple(Action(KIND, (node,)) for node in entry.nodes)


def _act(lab: LabInUse, action: Action[NoParams], listen: Listener) -> Effect:
    return power_on(lab.runtime, lab.folder, action.target[0], listen)


KIND: ActionKind[NoParams] = ActionKind(
    name="power-on",
    doc="the node gets its power back and boots as it did at first",
    example="{power-on: gw1}",
    entry=PowerOnEntry,
    read=_read,
    act=_act,
    power=lambda _params: Power.ON,
)
