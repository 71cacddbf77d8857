"""``exec``: a command is run in a node, and must end as expected."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from labctl.document.entries import Entry
from labctl.errors import ActionError
from labctl.events import now_ns
from labctl.fault.types import Effect
from labctl.scenario.kinds.action import Action, ActionKind
from labctl.scenario.kinds.node_command import NodeCommand, NodeCommandEntry, shown

if TYPE_CHECKING:
    from labctl.events import Listener
    from labctl.scenario.kinds.action import LabInUse

__all__ = ["KIND"]

_TIMEOUT_S = 60.0


class ExecEntry(Entry):
    """``exec`` as a user writes it."""

    command: Annotated[NodeCommandEntry, Field(alias="exec", description="run in a node; how it must end")]


def _read(entry: ExecEntry) -> tuple[Action[NodeCommand], ...]:
    return (Action(KIND, (entry.command.node,), NodeCommand.of(entry.command)),)


def _act(lab: LabInUse, action: Action[NodeCommand], listen: Listener) -> Effect:
    del listen
    node, command = action.target[0], action.params
    requested = now_ns()
    result = lab.runtime.exec(lab.folder, node, list(command.argv), timeout_s=_TIMEOUT_S)
    ended = now_ns()
    if fault := command.fault(result):
        raise ActionError(f"{node}: {command}: {fault}")
    detail: dict[str, str | int | float | bool] = {"command": str(command), "stdout": shown(result.stdout)}
    return Effect(action.name, action.label, requested, ended, ended, ended, detail=detail)


KIND: ActionKind[NodeCommand] = ActionKind(
    name="exec",
    doc="runs a command in the node, 60 s at most; it must end with `exit` (0), `stdout` and `json` "
    "as of the condition `command`, else the run is an ERROR. It is no fault: no fail-over is "
    "counted for it",
    example="{exec: {node: r1, run: vtysh -c 'clear bgp *'}}",
    entry=ExecEntry,
    read=_read,
    act=_act,
)
