"""A journal's events -> records of what is judged: one a run, every field typed.

An event of another shape is kept as :class:`Damage` with its line and left out otherwise: whatever
the rest says, a run with damage is no measurement.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from labctl.errors import InputError, Problem
from labctl.journal.records import WITNESS_PLACES
from labctl.verdict.evidence import Evidence, parse_evidence
from labctl.verdict.parse import Fields, ShapeError
from labctl.verdict.parse_header import FORMATS, Expected, RunHeader, parse_header
from labctl.verdict.parse_tally import parse_tally
from labctl.verdict.traits import ActionTraits, traits_of_format_1

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from labctl.events import Event
    from labctl.probe.types import StreamTally

__all__ = [
    "FORMATS",
    "ActionRecord",
    "Damage",
    "Expected",
    "RunRecord",
    "SteadyRecord",
    "WitnessRecord",
    "read_runs",
]


@dataclass(frozen=True, slots=True)
class Damage:
    """One line of a journal that contradicts the format, the plan or the rest.

    Attributes:
        line: 1-based; 0 for what is missing.
    """

    line: int
    message: str

    def __str__(self) -> str:
        return f"journal.jsonl:{self.line}: {self.message}" if self.line else f"journal.jsonl: {self.message}"


@dataclass(frozen=True, slots=True)
class ActionRecord:
    """One action that took place; times as in the journal.

    Attributes:
        line: of the journal.
        step: place in the timeline, -1 for a heal.
        target: as the fault calls it: the same for a link whichever way round it is named.
        label: as the scenario calls it.
        traits: what it does.
        began_ns: when it was begun; ``due_ns`` is when it should have been.
        told_ns: when the kernel was told: it took no effect before this moment.
        pull_ns: how long the kernel took from there; 0 where that was not measured.
        carriers: moments of the awaited carrier changes, 0 for one that never came.
        ends: node and interface of each of these.
        missed: of a check: what did not hold; empty for any other action.
    """

    line: int
    step: int
    action: str
    target: str
    label: str
    mode: str
    traits: ActionTraits
    phase_ns: int
    due_ns: int
    began_ns: int
    requested_ns: int
    first_ns: int
    last_ns: int
    done_ns: int
    told_ns: int
    pull_ns: int
    carriers: tuple[int, ...]
    ends: tuple[tuple[str, str], ...]
    missed: str = ""

    @property
    def breaks(self) -> bool:
        """Whether it takes something away."""
        return self.traits.breaks

    @property
    def silent(self) -> bool:
        """Whether the peers are not notified: then nothing is in flight at it."""
        return self.traits.silent

    @property
    def on_link(self) -> bool:
        """Whether its target is a link."""
        return self.action.startswith("link-")


@dataclass(frozen=True, slots=True)
class WitnessRecord:
    """Which flows were seen crossing the victim of a fault before it.

    Attributes:
        line: of the journal.
        node: where it watched; empty for the victim as a whole.
        by_interfaces: it watched the victim's own interfaces, both directions; else it saw what
            entered the node by any interface.
        watched_ns: for how long.
        flows: that crossed, by stream.
        delay_p99_ns: one-way delay of the second before, by stream.
        dropped: packets that the witness could not keep.
    """

    line: int
    step: int
    node: str
    by_interfaces: bool
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
        zero_ns: zero of the timeline; 0 if it never began.
        ended: how: ``done``, ``error``, ``interrupted``; empty if the journal just stops.
        about: of the lab.
        begun: lines of the steps that were started, by step.
        tally_lines: lines of the tallies, by stream.
        unhealed: heals that were begun and of which no end is told.
    """

    header: RunHeader
    zero_ns: int = 0
    about: dict[str, Any] = field(default_factory=dict)
    actions: list[ActionRecord] = field(default_factory=list)
    witnesses: list[WitnessRecord] = field(default_factory=list)
    evidence: dict[int, Evidence] = field(default_factory=dict)
    missed: list[SteadyRecord] = field(default_factory=list)
    tallies: dict[str, StreamTally] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    disturbed: list[str] = field(default_factory=list)
    damage: list[Damage] = field(default_factory=list)
    begun: dict[int, int] = field(default_factory=dict)
    ended_steps: set[int] = field(default_factory=set)
    tally_lines: dict[str, int] = field(default_factory=dict)
    unhealed: int = 0
    retried: int = 0
    ended: str = ""


def read_runs(events: Sequence[Event]) -> tuple[RunRecord, ...]:
    """Every run of a journal, in its order.

    Raises:
        InputError: it is no journal, or one of another format, or the line that opens a run is damaged.
    """
    readers: list[_Reader] = []
    for line, event in enumerate(events, start=1):
        if event.kind == "run.header":
            readers.append(_Reader(_open(event, line)))
        elif readers:
            readers[-1].take(event, line)
    if not readers:
        raise InputError([Problem("journal.jsonl", 0, 0, "no run was found in this journal")])
    return tuple(reader.run for reader in readers)


def _open(event: Event, line: int) -> RunRecord:
    try:
        return RunRecord(parse_header(Fields(event.data, "run.header"), line))
    except ShapeError as error:
        raise InputError([Problem("journal.jsonl", line, 1, str(error))]) from error


@dataclass
class _Reader:
    """Takes the events of one run."""

    run: RunRecord
    started: dict[int, tuple[int, Fields]] = field(default_factory=dict)

    def take(self, event: Event, line: int) -> None:
        """Take one event; of another shape it is damage."""
        try:
            self._take(event, line)
        except ShapeError as error:
            self.run.damage.append(Damage(line, str(error)))

    def _take(self, event: Event, line: int) -> None:
        kind = event.kind
        if not isinstance(kind, str) or isinstance(event.t_ns, bool) or not isinstance(event.t_ns, int):
            raise ShapeError("an event needs a kind and a time")
        fields = Fields(event.data, kind)
        if self.run.ended and kind in _OF_A_RUN:
            raise ShapeError(f"{kind} after the end of the run")
        match kind:
            case "action.started":
                self._action_started(event, fields, line)
            case "action.done" | "action.failed":
                self._action_done(kind, fields, line)
            case "heal.started" | "heal.done" | "heal.failed":
                self._heal(kind, fields, line)
            case "witness":
                self.run.witnesses.append(_witness(fields, line))
            case "evidence":
                self._evidence(fields)
            case "tally":
                self._tally(fields, line)
            case _:
                self._course(event, fields)

    def _course(self, event: Event, fields: Fields) -> None:
        """Events that tell how the run went."""
        run = self.run
        match event.kind:
            case "run.lab":
                run.about.update(_about(fields))
            case "timeline.started":
                if run.zero_ns:
                    raise ShapeError("the timeline starts a second time")
                run.zero_ns = event.t_ns
            case "steady.missed":
                run.missed.append(
                    SteadyRecord(fields.text("condition"), fields.text("kind"), fields.text("when"))
                )
            case "loss.retried":
                run.retried += 1
            case "lab.changed":
                run.disturbed.append(f"{fields.text('by')}: {fields.text('action')} {fields.text('target')}")
            case "node.event":
                fields.text("node"), fields.text("kind"), fields.mapping("data")
            case "run.error":
                run.errors.append(fields.text("error"))
                run.ended = "error"
            case "run.interrupted" | "run.done":
                run.ended = event.kind.removeprefix("run.")

    def _action_started(self, event: Event, fields: Fields, line: int) -> None:
        step = fields.integer("step", least=0)
        if step in self.run.begun:
            raise ShapeError(f"step {step + 1} is started a second time")
        self.run.begun[step] = line
        self.started[step] = (event.t_ns, fields)

    def _action_done(self, kind: str, fields: Fields, line: int) -> None:
        step = fields.integer("step", least=0)
        if step in self.run.ended_steps:
            raise ShapeError(f"step {step + 1} is done a second time")
        if step not in self.started:
            raise ShapeError(f"step {step + 1} is done and was never started")
        self.run.ended_steps.add(step)
        if kind == "action.failed":
            return
        # A fenced node that was dark already: somebody was told so, and nothing happened to any flow.
        already = fields.text("action") == "fence" and fields.record("detail").data.get("already") is True
        if not already:
            self.run.actions.append(self._action(fields, self.started[step], line))

    def _heal(self, kind: str, fields: Fields, line: int) -> None:
        self.run.unhealed += 1 if kind == "heal.started" else -1
        if kind == "heal.done":
            self.run.actions.append(self._action(fields, None, line))

    def _evidence(self, fields: Fields) -> None:
        found = parse_evidence(fields)
        if found.step in self.run.evidence:
            raise ShapeError(f"a second evidence of step {found.step + 1}")
        if not set(found.lost) <= set(self.run.header.streams):
            raise ShapeError("evidence of a stream that the run does not have")
        self.run.evidence[found.step] = found

    def _tally(self, fields: Fields, line: int) -> None:
        tally = parse_tally(fields)
        name = tally.stream.name
        if name in self.run.tallies:
            raise ShapeError(
                f"a second tally of stream {name}, the first is in line {self.run.tally_lines[name]}"
            )
        self.run.tallies[name] = tally
        self.run.tally_lines[name] = line

    def _action(self, fields: Fields, started: tuple[int, Fields] | None, line: int) -> ActionRecord:
        detail = fields.record("detail")
        requested = fields.integer("requested_ns", least=0)
        about = started[1] if started else Fields({}, "action.started")
        action, mode = fields.text("action"), about.text("mode", "")
        return ActionRecord(
            line=line,
            step=fields.integer("step", -1, least=0) if started else -1,
            action=action,
            target=fields.text("target"),
            label=about.text("target") if started else fields.text("label", fields.text("target")),
            mode=mode,
            traits=_traits(about if started else fields, self.run.header.format, action, mode),
            phase_ns=about.integer("phase_ns", 0, least=0),
            due_ns=about.integer("due_ns") if started else requested,
            began_ns=started[0] if started else requested,
            requested_ns=requested,
            first_ns=fields.integer("first_ns", least=0),
            last_ns=fields.integer("last_ns", least=0),
            done_ns=fields.integer("done_ns", least=0),
            told_ns=detail.integer("not_before_ns", requested, least=0),
            pull_ns=detail.integer("pull_ns", 0, least=0),
            carriers=tuple(carrier.integer("t_ns", least=0) for carrier in fields.records("carriers")),
            ends=tuple(
                (carrier.text("node"), carrier.text("interface")) for carrier in fields.records("carriers")
            ),
            missed=detail.text("missed", ""),
        )


_OF_A_RUN = frozenset(
    {"action.started", "action.done", "heal.started", "heal.done", "witness", "evidence", "tally"}
    | {"timeline.started", "run.done", "run.error"}
)
"""Kinds that measure: after a run has ended there is nothing more to measure."""


def _traits(fields: Fields, journal_format: int, action: str, mode: str) -> ActionTraits:
    if journal_format == 1:
        return traits_of_format_1(action, mode)
    traits = fields.record("traits")
    return ActionTraits(traits.flag("breaks"), traits.flag("silent"), traits.flag("passes"))


def _witness(fields: Fields, line: int) -> WitnessRecord:
    flows, delays = fields.record("flows"), fields.record("delay_p99_ns")
    by = fields.text("by", "node")
    if by not in WITNESS_PLACES:
        raise ShapeError(f"witness.by is {by!r}")
    if "watched_ns" in fields:
        watched = fields.integer("watched_ns", least=0)
    else:
        watched = fields.integer("until_ns") - fields.integer("since_ns")
    return WitnessRecord(
        line=line,
        step=fields.integer("step", least=0),
        node=fields.text("node", ""),
        by_interfaces=by == "interfaces",
        watched_ns=watched,
        flows={name: frozenset(flows.integers(name, least=0)) for name in flows.data},
        delay_p99_ns={name: delays.integer(name, least=0) for name in delays.data},
        dropped=fields.integer("dropped", 0, least=0),
    )


def _about(fields: Fields) -> dict[str, Any]:
    fields.text("runtime", "")
    return dict(Fields({"lab": fields.data}, fields.where).mapping("lab"))
