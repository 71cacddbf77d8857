"""``node-blackhole``: all links of a node drop every packet, and carrier stays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from labctl.document.entries import Entry
from labctl.fault.link import blackhole_node
from labctl.scenario.kinds.action import Action, ActionKind, NoParams
from labctl.scenario.kinds.actions import node_restore
from labctl.scenario.kinds.targets import NodeTargets

if TYPE_CHECKING:
    from labctl.events import Listener
    from labctl.fault.types import Effect
    from labctl.scenario.kinds.action import LabInUse

__all__ = ["KIND"]


class NodeBlackholeEntry(Entry):
    """``node-blackhole`` as a user writes it."""

    nodes: Annotated[NodeTargets, Field(alias="node-blackhole", description="nodes that drop every packet")]


def _read(entry: NodeBlackholeEntry) -> tuple[Action[NoParams], ...]:
    return tuple(Action(KIND, (node,)) for node in entry.nodes)


def _act(lab: LabInUse, action: Action[NoParams], listen: Listener) -> Effect:
    return blackhole_node(lab.runtime, lab.folder, action.target[0], listen)


KIND: ActionKind[NoParams] = ActionKind(
    name="node-blackhole",
    doc="a silent failure of all links of the node",
    example="{node-blackhole: gw1}",
    entry=NodeBlackholeEntry,
    read=_read,
    act=_act,
    undo=node_restore.KIND,
    silent=lambda _params: True,
)
