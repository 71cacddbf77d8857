"""``link-restore``: a link that was cut or made a black hole is whole again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from labctl.document.entries import Entry
from labctl.fault.link import restore_link
from labctl.scenario.kinds.action import Action, ActionKind, NoParams
from labctl.scenario.kinds.targets import LinkTargets

if TYPE_CHECKING:
    from labctl.events import Listener
    from labctl.fault.types import Effect
    from labctl.scenario.kinds.action import LabInUse

__all__ = ["KIND"]


class LinkRestoreEntry(Entry):
    """``link-restore`` as a user writes it."""

    links: Annotated[LinkTargets, Field(alias="link-restore", description="links that are whole again")]


def _read(entry: LinkRestoreEntry) -> tuple[Action[NoParams], ...]:
    return tuple(Action(KIND, link) for link in entry.links)


def _act(lab: LabInUse, action: Action[NoParams], listen: Listener) -> Effect:
    a, b = action.target
    return restore_link(lab.runtime, lab.folder, a, b, listen)


KIND: ActionKind[NoParams] = ActionKind(
    name="link-restore",
    doc="ends a `link-cut` and a `link-blackhole` of the link",
    example="{link-restore: [r1, gw1]}",
    entry=LinkRestoreEntry,
    read=_read,
    act=_act,
    on_link=True,
)
