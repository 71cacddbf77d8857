"""``node-restore``: the black hole of a node ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from labctl.document.entries import Entry
from labctl.fault.link import restore_node
from labctl.scenario.kinds.action import Action, ActionKind, NoParams
from labctl.scenario.kinds.targets import NodeTargets

if TYPE_CHECKING:
    from labctl.events import Listener
    from labctl.fault.types import Effect
    from labctl.scenario.kinds.action import LabInUse

__all__ = ["KIND"]


class NodeRestoreEntry(Entry):
    """``node-restore`` as a user writes it."""

    nodes: Annotated[NodeTargets, Field(alias="node-restore", description="nodes whose black hole ends")]


def _read(entry: NodeRestoreEntry) -> tuple[Action[NoParams], ...]:
    return tuple(Action(KIND, (node,)) for node in entry.nodes)


def _act(lab: LabInUse, action: Action[NoParams], listen: Listener) -> Effect:
    return restore_node(lab.runtime, lab.folder, action.target[0], listen)


KIND: ActionKind[NoParams] = ActionKind(
    name="node-restore",
    doc="ends the `node-blackhole` of the node",
    example="{node-restore: gw1}",
    entry=NodeRestoreEntry,
    read=_read,
    act=_act,
)
