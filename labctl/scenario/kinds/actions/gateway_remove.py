"""``gateway-remove``: a gateway leaves the overlay."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from labctl.document.entries import Entry
from labctl.scenario.kinds.action import Action, ActionKind, NoParams
from labctl.scenario.kinds.actions import gateway_add
from labctl.scenario.kinds.targets import NodeTargets
from labctl.scenario.overlay import change, check_gateway

if TYPE_CHECKING:
    from labctl.events import Listener
    from labctl.fault.types import Effect
    from labctl.scenario.kinds.action import LabInUse

__all__ = ["KIND"]


class GatewayRemoveEntry(Entry):
    """``gateway-remove`` as a user writes it."""

    nodes: Annotated[NodeTargets, Field(alias="gateway-remove", description="gateways of the overlay")]


def _read(entry: GatewayRemoveEntry) -> tuple[Action[NoParams], ...]:
    return tuple(Action(KIND, (node,)) for node in entry.nodes)


def _act(lab: LabInUse, action: Action[NoParams], listen: Listener) -> Effect:
    del listen
    return change(lab, action.name, action.label, ("gateway", "remove", *action.target))


KIND: ActionKind[NoParams] = ActionKind(
    name="gateway-remove",
    doc="like `labctl overlay gateway remove`",
    example="{gateway-remove: gw1}",
    entry=GatewayRemoveEntry,
    read=_read,
    act=_act,
    check=check_gateway,
    undo=gateway_add.KIND,
    silent=lambda _params: True,
)
