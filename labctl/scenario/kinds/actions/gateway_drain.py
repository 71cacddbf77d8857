"""``gateway-drain``: a gateway of the overlay gives its traffic away."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from labctl.document.entries import Entry
from labctl.scenario.kinds.action import Action, ActionKind, NoParams
from labctl.scenario.kinds.actions import gateway_undrain
from labctl.scenario.kinds.targets import NodeTargets
from labctl.scenario.overlay import change, check_gateway

if TYPE_CHECKING:
    from labctl.events import Listener
    from labctl.fault.types import Effect
    from labctl.scenario.kinds.action import LabInUse

__all__ = ["KIND"]


class GatewayDrainEntry(Entry):
    """``gateway-drain`` as a user writes it."""

    nodes: Annotated[NodeTargets, Field(alias="gateway-drain", description="gateways of the overlay")]


def _read(entry: GatewayDrainEntry) -> tuple[Action[NoParams], ...]:
    return tuple(Action(KIND, (node,)) for node in entry.nodes)


def _act(lab: LabInUse, action: Action[NoParams], listen: Listener) -> Effect:
    del listen
    return change(lab, action.name, action.label, ("gateway", "drain", *action.target))


KIND: ActionKind[NoParams] = ActionKind(
    name="gateway-drain",
    doc="of the [overlay](overlay.md), like `labctl overlay gateway drain`",
    example="{gateway-drain: gw1}",
    entry=GatewayDrainEntry,
    read=_read,
    act=_act,
    check=check_gateway,
    undo=gateway_undrain.KIND,
    silent=lambda _params: True,
)
