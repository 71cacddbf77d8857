"""``link-cut``: both ends of a link lose carrier."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from labctl.document.entries import Entry
from labctl.fault.link import cut_link
from labctl.scenario.kinds.action import Action, ActionKind, NoParams
from labctl.scenario.kinds.actions import link_restore
from labctl.scenario.kinds.targets import LinkTargets

if TYPE_CHECKING:
    from labctl.events import Listener
    from labctl.fault.types import Effect
    from labctl.scenario.kinds.action import LabInUse

__all__ = ["KIND"]


class LinkCutEntry(Entry):
    """``link-cut`` as a user writes it."""

    links: Annotated[LinkTargets, Field(alias="link-cut", description="links whose both ends lose carrier")]


def _read(entry: LinkCutEntry) -> tuple[Action[NoParams], ...]:
    return tuple(Action(KIND, link) for link in entry.links)


def _act(lab: LabInUse, action: Action[NoParams], listen: Listener) -> Effect:
    a, b = action.target
    return cut_link(lab.runtime, lab.folder, a, b, listen)


KIND: ActionKind[NoParams] = ActionKind(
    name="link-cut",
    doc="both ends of the link lose carrier (`r1:eth2` where there are several links)",
    example="{link-cut: [r1, gw1]}",
    entry=LinkCutEntry,
    read=_read,
    act=_act,
    on_link=True,
    undo=link_restore.KIND,
)
