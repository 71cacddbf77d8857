"""``link-blackhole``: a link drops every packet, and carrier stays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from labctl.document.entries import Entry
from labctl.fault.link import blackhole_link
from labctl.scenario.kinds.action import Action, ActionKind, NoParams
from labctl.scenario.kinds.actions import link_restore
from labctl.scenario.kinds.targets import LinkTargets

if TYPE_CHECKING:
    from labctl.events import Listener
    from labctl.fault.types import Effect
    from labctl.scenario.kinds.action import LabInUse

__all__ = ["KIND"]


class LinkBlackholeEntry(Entry):
    """``link-blackhole`` as a user writes it."""

    links: Annotated[LinkTargets, Field(alias="link-blackhole", description="links that drop every packet")]


def _read(entry: LinkBlackholeEntry) -> tuple[Action[NoParams], ...]:
    return tuple(Action(KIND, link) for link in entry.links)


def _act(lab: LabInUse, action: Action[NoParams], listen: Listener) -> Effect:
    a, b = action.target
    return blackhole_link(lab.runtime, lab.folder, a, b, listen)


KIND: ActionKind[NoParams] = ActionKind(
    name="link-blackhole",
    doc="a silent failure: carrier stays, all packets are dropped in both directions",
    example="{link-blackhole: [r1, gw1]}",
    entry=LinkBlackholeEntry,
    read=_read,
    act=_act,
    on_link=True,
    undo=link_restore.KIND,
    silent=lambda _params: True,
)
