"""``gateway-add``: a gateway that was removed is one again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from labctl.document.entries import Entry
from labctl.scenario.kinds.action import Action, ActionKind, NoParams
from labctl.scenario.kinds.targets import NodeTargets
from labctl.scenario.overlay import change, check_gateway

if TYPE_CHECKING:
    from labctl.events import Listener
    from labctl.fault.types import Effect
    from labctl.scenario.kinds.action import LabInUse

__all__ = ["KIND"]


class GatewayAddEntry(Entry):
    """``gateway-add`` as a user writes it."""

    nodes: Annotated[NodeTargets, Field(alias="gateway-add", description="gateways of the overlay")]


def _read(entry: GatewayAddEntry) -> tuple[Action[NoParams], ...]:
    return tuple(Action(KIND, (node,)) for node in entry.nodes)


def _act(lab: LabInUse, action: Action[NoParams], listen: Listener) -> Effect:
    del listen
    return change(lab, action.name, action.label, ("gateway", "add", *action.target))


KIND: ActionKind[NoParams] = ActionKind(
    name="gateway-add",
    doc="ends a `gateway-remove`",
    example="{gateway-add: gw1}",
    entry=GatewayAddEntry,
    read=_read,
    act=_act,
    check=check_gateway,
)
