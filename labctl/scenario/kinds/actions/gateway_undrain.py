"""``gateway-undrain``: a drained gateway takes traffic again."""

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


class GatewayUndrainEntry(Entry):
    """``gateway-undrain`` as a user writes it."""

    nodes: Annotated[NodeTargets, Field(alias="gateway-undrain", description="gateways of the overlay")]


def _read(entry: GatewayUndrainEntry) -> tuple[Action[NoParams], ...]:
    return tuple(Action(KIND, (node,)) for node in entry.nodes)


def _act(lab: LabInUse, action: Action[NoParams], listen: Listener) -> Effect:
    del listen
    return change(lab, action.name, action.label, ("gateway", "drain", *action.target, "--undo"))


KIND: ActionKind[NoParams] = ActionKind(
    name="gateway-undrain",
    doc="ends a `gateway-drain`",
    example="{gateway-undrain: gw1}",
    entry=GatewayUndrainEntry,
    read=_read,
    act=_act,
    check=check_gateway,
)
