"""``kill``: the processes of one name get SIGKILL; the node's own supervisor may start them again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from labctl.document.entries import Entry, Name
from labctl.fault.process import kill_process
from labctl.scenario.kinds.action import Action, ActionKind

if TYPE_CHECKING:
    from labctl.events import Listener
    from labctl.fault.types import Effect
    from labctl.scenario.kinds.action import LabInUse

__all__ = ["KIND", "Kill"]


class KilledProcess(Entry):
    """A process of a node."""

    node: Name
    process: Annotated[
        str, Field(min_length=1, max_length=63, description="last part of one of its command line's words")
    ]


class KillEntry(Entry):
    """``kill`` as a user writes it."""

    killed: Annotated[KilledProcess, Field(alias="kill", description="a process of a node, by SIGKILL")]


@dataclass(frozen=True, slots=True)
class Kill:
    """The name of the processes."""

    process: str

    def __str__(self) -> str:
        return self.process


def _read(entry: KillEntry) -> tuple[Action[Kill], ...]:
    return (Action(KIND, (entry.killed.node,), Kill(entry.killed.process)),)


def _act(lab: LabInUse, action: Action[Kill], listen: Listener) -> Effect:
    return kill_process(lab.runtime, lab.folder, action.target[0], action.params.process, listen)


KIND: ActionKind[Kill] = ActionKind(
    name="kill",
    doc="SIGKILL to the processes of that name: a word of the command line, or its last part after "
    "`/` or `.`. The node's own supervisor may start them again",
    example="{kill: {node: compute1, process: agent}}",
    entry=KillEntry,
    read=_read,
    act=_act,
    silent=lambda _params: True,
    passing=True,
)
