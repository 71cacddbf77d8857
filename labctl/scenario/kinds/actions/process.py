"""``process``: the processes of one name are killed, stopped, continued, started again, or get a signal."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, field_validator

from labctl.document.entries import Entry, Name
from labctl.document.hints import nearest
from labctl.fault.process import continue_process, restart_process, signal_process, stop_process
from labctl.scenario.kinds.action import Action, ActionKind
from labctl.scenario.kinds.actions import kill

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from labctl.events import Listener
    from labctl.fault.types import Effect
    from labctl.lab.runtime import Runtime
    from labctl.lab.state import LabDir
    from labctl.scenario.kinds.action import LabInUse

__all__ = ["KIND", "ProcessOf"]

_DEEDS = ("kill", "stop", "continue", "restart")


class NodeProcess(Entry):
    """Processes of a node, and what is done to them."""

    node: Name
    name: Annotated[
        str, Field(min_length=1, max_length=63, description="last part of one of its command line's words")
    ]
    do: Annotated[str, Field(description="kill, stop, continue, restart, or a signal such as SIGHUP")]

    @field_validator("do")
    @classmethod
    def _known(cls, text: str) -> str:
        if text in _DEEDS or text in signal.Signals.__members__:
            return text
        hint = nearest(text, [*_DEEDS, *signal.Signals.__members__])
        raise ValueError(f"expected {', '.join(_DEEDS)} or a signal such as SIGHUP, not {text!r} ({hint})")


class ProcessEntry(Entry):
    """``process`` as a user writes it."""

    process: Annotated[NodeProcess, Field(description="processes of a node, and what is done to them")]


@dataclass(frozen=True, slots=True)
class ProcessOf:
    """The name of the processes, and the signal that they get where it is one."""

    process: str
    signal: str = ""

    def __str__(self) -> str:
        return f"{self.process} {self.signal}".rstrip()


def _kind(
    name: str,
    act: Callable[[Runtime, LabDir, str, str, Listener], Effect],
    **traits: Any,  # noqa: ANN401 - fields of ActionKind
) -> ActionKind[ProcessOf]:
    """One thing that is done to processes; in a scenario all of them are called ``process``."""

    def done(lab: LabInUse, action: Action[ProcessOf], listen: Listener) -> Effect:
        return act(lab.runtime, lab.folder, action.target[0], action.params.process, listen)

    return ActionKind(name, "", "", ProcessEntry, _read, done, **traits)


def _read(entry: ProcessEntry) -> tuple[Action[Any], ...]:
    wanted = entry.process
    if wanted.do == "kill":
        return (Action(kill.KIND, (wanted.node,), kill.Kill(wanted.name)),)
    kind = _KINDS.get(wanted.do, _SIGNAL)
    params = ProcessOf(wanted.name, wanted.do if kind is _SIGNAL else "")
    return (Action(kind, (wanted.node,), params),)


def _signal(lab: LabInUse, action: Action[ProcessOf], listen: Listener) -> Effect:
    number = signal.Signals[action.params.signal]
    node, process = action.target[0], action.params.process
    return signal_process(lab.runtime, lab.folder, node, process, listen, number=number)


# The peers are told of none of these: carrier stays.
_CONTINUE = _kind("process-continue", continue_process, named_by_params=True)
_SIGNAL: ActionKind[ProcessOf] = ActionKind("process-signal", "", "", ProcessEntry, _read, _signal)
_KINDS: Mapping[str, ActionKind[ProcessOf]] = {
    "stop": _kind(
        "process-stop", stop_process, silent=lambda _params: True, undo=_CONTINUE, named_by_params=True
    ),
    "continue": _CONTINUE,
    "restart": _kind("process-restart", restart_process, silent=lambda _params: True, passing=True),
}

KIND: ActionKind[ProcessOf] = ActionKind(
    name="process",
    doc="`do: kill`, `stop` (SIGSTOP: it keeps its sockets and answers nothing), `continue`, "
    "`restart` (killed, and started again by its own words unless a supervisor does within 1 s) "
    "or a signal such as `SIGHUP`, to the processes of that name: a word of the command line, or "
    "its last part after `/` or `.`. `stop` is reverted by `continue`, and may have `for`",
    example="{process: {node: r1, name: bgpd, do: restart}}",
    entry=ProcessEntry,
    read=_read,
    act=_signal,
)
