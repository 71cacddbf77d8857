"""``fence``: a power-off that the cluster manager of another node requests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from labctl.document.entries import Entry, Name
from labctl.document.hints import nearest
from labctl.fault.fencing import fence
from labctl.scenario.kinds.action import Action, ActionKind, Power
from labctl.scenario.kinds.actions import power_on

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labctl.events import Listener
    from labctl.fault.types import Effect
    from labctl.model.lab import Lab
    from labctl.scenario.kinds.action import LabInUse, Mention

__all__ = ["KIND", "Fence"]


class FencedNode(Entry):
    """Who is fenced, and who asks for it."""

    node: Name
    for_: Annotated[
        Name, Field(alias="for", description="the node that requests the power-off, and is notified of it")
    ]


class FenceEntry(Entry):
    """``fence`` as a user writes it."""

    fenced: Annotated[
        FencedNode, Field(alias="fence", description="a power-off that a cluster manager requests")
    ]


@dataclass(frozen=True, slots=True)
class Fence:
    """The node that asks."""

    asker: str

    def __str__(self) -> str:
        return self.asker


def _read(entry: FenceEntry) -> tuple[Action[Fence], ...]:
    return (Action(KIND, (entry.fenced.node,), Fence(entry.fenced.for_)),)


def _act(lab: LabInUse, action: Action[Fence], listen: Listener) -> Effect:
    return fence(lab.runtime, lab.folder, action.target[0], action.params.asker, listen)


def _check(action: Action[Fence], lab: Lab) -> Iterator[Mention]:
    asker, names = action.params.asker, [node.name for node in lab.nodes]
    if asker not in names:
        yield ("for",), f"unknown node {asker!r}", nearest(asker, names)
    elif asker in action.target:
        yield ("for",), f"{asker} cannot be fenced for itself", "name the node that survives"


KIND: ActionKind[Fence] = ActionKind(
    name="fence",
    doc="a power-off that the cluster manager of `for` requests by the file `/run/labctl/fence/NODE`."
    " The step waits at most 60 s for the request, cuts the power of `node` if it is on, and "
    "confirms by the file `/run/labctl/fence/NODE.off` ([paris.md](paris.md))",
    example="{fence: {node: nc1, for: nc2}}",
    entry=FenceEntry,
    read=_read,
    act=_act,
    check=_check,
    undo=power_on.KIND,
    power=lambda _params: Power.OFF,
)
