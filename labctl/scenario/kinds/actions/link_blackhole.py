"""``link-blackhole``: a link drops every packet, and carrier stays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from labctl.document.entries import Entry, Name
from labctl.fault.link import blackhole_link
from labctl.scenario.kinds.action import Action, ActionKind
from labctl.scenario.kinds.actions import link_restore
from labctl.scenario.kinds.targets import LinkTargets

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labctl.events import Listener
    from labctl.fault.types import Effect
    from labctl.model.lab import Lab
    from labctl.scenario.kinds.action import LabInUse, Mention

__all__ = ["KIND", "Blackhole"]


class LinkBlackholeEntry(Entry):
    """``link-blackhole`` as a user writes it."""

    links: Annotated[LinkTargets, Field(alias="link-blackhole", description="links that drop every packet")]
    from_: Annotated[Name | None, Field(alias="from", description="drop only what this end sends")] = None


@dataclass(frozen=True, slots=True)
class Blackhole:
    """The end whose packets are dropped; both ends' if empty."""

    sent_by: str = ""

    def __str__(self) -> str:
        return f"from {self.sent_by}" if self.sent_by else ""


def _check(action: Action[Blackhole], lab: Lab) -> Iterator[Mention]:
    del lab
    sent_by = action.params.sent_by
    if sent_by and sent_by not in action.nodes:
        yield (), f"{sent_by} is no end of {action.label}", f"from is {' or '.join(action.nodes)}"


def _read(entry: LinkBlackholeEntry) -> tuple[Action[Blackhole], ...]:
    return tuple(Action(KIND, link, Blackhole(entry.from_ or "")) for link in entry.links)


def _act(lab: LabInUse, action: Action[Blackhole], listen: Listener) -> Effect:
    a, b = action.target
    return blackhole_link(lab.runtime, lab.folder, a, b, listen, sent_by=action.params.sent_by)


KIND: ActionKind[Blackhole] = ActionKind(
    name="link-blackhole",
    doc="a silent failure: carrier stays, all packets are dropped; with `from: r1` only those that "
    "`r1` sends",
    example="{link-blackhole: [r1, gw1]}",
    entry=LinkBlackholeEntry,
    read=_read,
    act=_act,
    check=_check,
    on_link=True,
    undo=link_restore.KIND,
    silent=lambda _params: True,
)
