"""A journal's events -> records of what is judged: one a run, every field typed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from labctl.errors import InputError, Problem
from labctl.journal.file import FORMAT
from labctl.probe.types import (
    FlowTally,
    GeneratorHealth,
    LossPeriod,
    ReceiverHealth,
    Stream,
    StreamTally,
)
from labctl.scenario.model import ACTIONS, Expectation

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from labctl.events import Event

__all__ = ["ActionRecord", "RunRecord", "SteadyRecord", "WitnessRecord", "read_runs"]


@dataclass(frozen=True, slots=True)
class ActionRecord:
    """One action that took place; times as in the journal.

    Attributes:
        step: place in the timeline, -1 for a heal.
        target: as the fault calls it: the same for a link whichever way round it is named.
        label: as the scenario calls it.
        began_ns: when it was begun; ``due_ns`` is when it should have been.
        not_before_ns: it took no effect before this moment: the request, or, where a fault's
            preparations take long, the moment at which they were done.
        carriers: moments of the awaited carrier changes, 0 for one that never came.
    """

    step: int
    action: str
    target: str
    label: str
    mode: str
    phase_ns: int
    due_ns: int
    began_ns: int
    requested_ns: int
    first_ns: int
    last_ns: int
    done_ns: int
    not_before_ns: int
    carriers: tuple[int, ...]

    @property
    def breaks(self) -> bool:
        """Whether it takes something away."""
        return self.action in ACTIONS and ACTIONS[self.action].breaks

    @property
    def silent(self) -> bool:
        """Whether the peers are not told: then it excuses nothing."""
        return self.mode == "freeze" or (self.action in ACTIONS and ACTIONS[self.action].silent)


@dataclass(frozen=True, slots=True)
class WitnessRecord:
    """What was seen inside a node before a fault on it.

    Attributes:
        watched_ns: for how long.
        flows: that crossed the node, by stream.
        delay_p99_ns: one-way delay of the second before, by stream.
        dropped: packets that the witness could not keep.
    """

    step: int
    node: str
    watched_ns: int
    flows: Mapping[str, frozenset[int]]
    delay_p99_ns: Mapping[str, int]
    dropped: int


@dataclass(frozen=True, slots=True)
class SteadyRecord:
    """A condition of the steady state that was missed."""

    condition: str
    kind: str
    when: str


@dataclass
class RunRecord:
    """One run as its journal tells it.

    Attributes:
        header: data of ``run.header``.
        zero_ns: zero of the timeline; 0 if it never began.
        ended: how: ``done``, ``error``, ``interrupted``; empty if the journal just stops.
    """

    header: Mapping[str, Any]
    expect: tuple[Expectation, ...]
    streams: tuple[str, ...]
    zero_ns: int = 0
    about: dict[str, Any] = field(default_factory=dict)
    actions: list[ActionRecord] = field(default_factory=list)
    witnesses: list[WitnessRecord] = field(default_factory=list)
    missed: list[SteadyRecord] = field(default_factory=list)
    tallies: list[StreamTally] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    retried: int = 0
    ended: str = ""


def read_runs(events: Sequence[Event]) -> tuple[RunRecord, ...]:
    """Every run of a journal, in its order.

    Raises:
        InputError: it is no journal, or one of another format.
    """
    runs: list[RunRecord] = []
    started: dict[int, Event] = {}
    for event in events:
        if event.kind == "run.header":
            runs.append(_open(event))
            started = {}
        elif runs:
            _take(runs[-1], event, started)
    if not runs:
        raise InputError([Problem("journal.jsonl", 0, 0, "no run was found in this journal")])
    return tuple(runs)


def _open(event: Event) -> RunRecord:
    header = event.data
    if header.get("format") != FORMAT:
        message = f"the journal has format {header.get('format')}, {FORMAT} was expected"
        raise InputError([Problem("journal.jsonl", 0, 0, message)])
    wishes = tuple(_expectation(wish) for wish in header.get("expect", ()))
    return RunRecord(header, wishes, tuple(stream["name"] for stream in header.get("traffic", ())))


_FORMER_NAMES = {"repair-loss": "convergence-loss", "aside": "off_path"}
"""Of kinds and fields of an expectation, in journals of 0.1 and what they are called since."""


def _expectation(data: Mapping[str, Any]) -> Expectation:
    fields = {_FORMER_NAMES.get(key, key): value for key, value in data.items()}
    kind = _FORMER_NAMES.get(fields["kind"], fields["kind"])
    return Expectation(**{**fields, "kind": kind, "streams": tuple(fields["streams"])})


def _take(run: RunRecord, event: Event, started: dict[int, Event]) -> None:
    data = event.data
    match event.kind:
        case "action.started":
            started[data["step"]] = event
        case "action.done" if data["action"] == "fence" and data["detail"].get("already"):
            pass  # the node was dark already, and somebody was told so: nothing happened to any flow
        case "action.done":
            run.actions.append(_action(data, started.get(data["step"])))
        case "heal.done":
            run.actions.append(_action(data, None))
        case "witness":
            run.witnesses.append(_witness(data))
        case "tally":
            run.tallies.append(_tally(data))
        case _:
            _take_course(run, event)


def _take_course(run: RunRecord, event: Event) -> None:
    """Events that tell how the run went."""
    data = event.data
    match event.kind:
        case "run.lab":
            run.about.update(data)
        case "timeline.started":
            run.zero_ns = event.t_ns
        case "steady.missed":
            run.missed.append(SteadyRecord(data["condition"], data["kind"], data["when"]))
        case "loss.retried":
            run.retried += 1
        case "run.error":
            run.errors.append(data["error"])
            run.ended = "error"
        case "run.interrupted" | "run.done":
            run.ended = event.kind.removeprefix("run.")


def _action(data: Mapping[str, Any], began: Event | None) -> ActionRecord:
    about = began.data if began else {}
    return ActionRecord(
        step=data.get("step", -1),
        action=data["action"],
        target=data["target"],
        label=about.get("target", data.get("label", data["target"])),
        mode=about.get("mode", ""),
        phase_ns=about.get("phase_ns", 0),
        due_ns=about.get("due_ns", data["requested_ns"]),
        began_ns=began.t_ns if began else data["requested_ns"],
        requested_ns=data["requested_ns"],
        first_ns=data["first_ns"],
        last_ns=data["last_ns"],
        done_ns=data["done_ns"],
        not_before_ns=data["detail"].get("not_before_ns", data["requested_ns"]),
        carriers=tuple(carrier["t_ns"] for carrier in data["carriers"]),
    )


def _witness(data: Mapping[str, Any]) -> WitnessRecord:
    return WitnessRecord(
        step=data["step"],
        node=data["node"],
        watched_ns=data["watched_ns"],
        flows={stream: frozenset(numbers) for stream, numbers in data["flows"].items()},
        delay_p99_ns=dict(data["delay_p99_ns"]),
        dropped=data.get("dropped", 0),
    )


def _tally(data: Mapping[str, Any]) -> StreamTally:
    generator = dict(data["generator"])
    generator["pauses"] = tuple((start, length) for start, length in generator.get("pauses", ()))
    return StreamTally(
        **{
            **data,
            "stream": Stream(
                **{**data["stream"], "destinations": tuple(data["stream"].get("destinations", ()))}
            ),
            "generator": GeneratorHealth(**generator),
            "receiver": ReceiverHealth(**data["receiver"]),
            "flows": tuple(_flow(flow) for flow in data["flows"]),
        }
    )


def _flow(data: Mapping[str, Any]) -> FlowTally:
    periods = tuple(LossPeriod(**{**loss, "sent_ns": tuple(loss["sent_ns"])}) for loss in data["losses"])
    return FlowTally(**{**data, "losses": periods})
