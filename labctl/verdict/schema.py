"""The result: what a verdict says. Frozen data, plain JSON, one schema; format 1.

Times are nanoseconds after the zero of the run's timeline unless they say otherwise; counts are
packets. A *fail-over* is an action that takes something away (power-off, link-cut), a *return* one
that gives it back.
"""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - pydantic reads the annotations
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

__all__ = [
    "FORMAT",
    "Check",
    "ExpectationResult",
    "FailoverStatistics",
    "FaultResult",
    "FaultStream",
    "FlowResult",
    "LossSpan",
    "OutageStatistics",
    "Result",
    "RunResult",
    "StreamResult",
    "Verdict",
    "json_schema",
    "worst",
]

FORMAT = 1


class Verdict(StrEnum):
    """What can be said in the end."""

    PASS = "PASS"  # noqa: S105 - a verdict, not a password
    INCONCLUSIVE = "INCONCLUSIVE"
    FAIL = "FAIL"
    ERROR = "ERROR"
    INTERRUPTED = "INTERRUPTED"

    @property
    def exit_code(self) -> int:
        """Of the process that says it."""
        return _EXIT[self]


_EXIT = {
    Verdict.PASS: 0,
    Verdict.FAIL: 1,
    Verdict.ERROR: 2,
    Verdict.INCONCLUSIVE: 3,
    Verdict.INTERRUPTED: 130,
}
_RANK = {verdict: rank for rank, verdict in enumerate(Verdict)}


def worst(*verdicts: Verdict) -> Verdict:
    """The worst of some verdicts; PASS if there is none.

    From good to bad: PASS, INCONCLUSIVE, FAIL, ERROR, INTERRUPTED: what was measured and missed
    outweighs what could not be told, and a run that did not happen as written outweighs both.
    """
    return max(verdicts, key=_RANK.__getitem__, default=Verdict.PASS)


@dataclass(frozen=True, slots=True)
class Check:
    """Something that had to hold for a measurement to be one.

    Attributes:
        verdict: PASS if it holds.
        reason: in one line.
    """

    verdict: Verdict
    reason: str


@dataclass(frozen=True, slots=True)
class LossSpan:
    """One loss period of one flow (RFC 3357), told apart.

    Attributes:
        count: lost packets in a row; ``in_flight + repair``.
        start_ns: departure of the first.
        end_ns: departure of the last.
        outage_ns: loss-derived outage; true to ``error_ns`` either way.
        error_ns: the flow's packet spacing.
        open: it had not ended when the traffic did.
        step: the action that it is put down to, as an index into the run's ``faults``; -1: none.
    """

    first_seq: int
    count: int
    in_flight: int
    repair: int
    start_ns: int
    end_ns: int
    outage_ns: int
    error_ns: int
    open: bool
    step: int


@dataclass(frozen=True, slots=True)
class FlowResult:
    """One flow (5-tuple) over a whole run."""

    flow: int
    source_port: int
    destination_port: int
    sent: int
    received: int
    lost: int
    in_flight: int
    repair: int
    duplicated: int
    reordered: int
    longest_outage_ns: int
    error_ns: int
    losses: tuple[LossSpan, ...] = ()


@dataclass(frozen=True, slots=True)
class StreamResult:
    """One stream over a whole run.

    Attributes:
        in_flight: lost in the dying box or on the way into it; see :mod:`labctl.verdict.classify`.
        repair: every other lost packet.
        unexplained: those of ``repair`` that no action accounts for.
        flows_hit: flows that lost a packet at least.
        longest_outage_ns: of any flow; plus or minus ``error_ns``.
        generator: fields of :class:`labctl.probe.types.GeneratorHealth`.
        receiver: fields of :class:`labctl.probe.types.ReceiverHealth`.
        beside: no expectation is about it: it is shown, and counts in none of the sums over streams.
    """

    name: str
    source: str
    destination: str
    proto: str
    rate_pps: float
    size: int
    sent: int
    received: int
    lost: int
    in_flight: int
    repair: int
    unexplained: int
    duplicated: int
    reordered: int
    flows_hit: int
    longest_outage_ns: int
    error_ns: int
    delay_p50_ns: int
    delay_p99_ns: int
    delay_max_ns: int
    generator: Mapping[str, Any]
    receiver: Mapping[str, Any]
    flows: tuple[FlowResult, ...] = ()
    beside: bool = False


@dataclass(frozen=True, slots=True)
class FaultStream:
    """What one action did to one stream.

    Attributes:
        crossed: flows that the witness saw cross the victim just before; -1 if nobody watched.
        hit: flows that lost a packet.
        repair_ns: from the first effect to the departure of the last lost packet; 0 if none was.
        beside: no expectation is about the stream.
    """

    stream: str
    crossed: int
    hit: int
    in_flight: int
    repair: int
    longest_outage_ns: int
    error_ns: int
    repair_ns: int
    beside: bool = False


@dataclass(frozen=True, slots=True)
class FaultResult:
    """One action and what it did.

    Attributes:
        index: place in the run's ``faults``.
        step: place in the scenario's timeline; -1 for a heal at the end.
        breaks: it takes something away: a fail-over.
        silent: the peers are not told of it: carrier stays.
        target: as the fault calls it: node, or both ends of a link with their interfaces.
        label: as the scenario calls it.
        phase_ns: how much later than written.
        late_ns: how much later than due it was begun.
        requested_ns, first_ns, last_ns, done_ns: see :class:`labctl.fault.types.Effect`.
        window_ns: from the moment before which it cannot have taken effect (the kernel was told to
            take the links down) to the last carrier change: what the cut itself explains.
        excused_from_ns, excused_to_ns: packets that left in this span count as in flight, by the
            longest path delay of any stream.
        carriers: how many peers told of it, and of how many that was awaited.
        crossed: flows that crossed the victim, all streams; -1 if nobody watched.
        null: no flow crossed the victim: the trial says nothing of a repair.
        stalled_ns: how long senders stalled between the fault and its proven repair, all streams
            together: what they may have hidden is unknown.
        slow: the cut took so long that what was lost meanwhile may as well be repair.
    """

    index: int
    step: int
    action: str
    target: str
    label: str
    mode: str
    breaks: bool
    silent: bool
    phase_ns: int
    due_ns: int
    late_ns: int
    requested_ns: int
    first_ns: int
    last_ns: int
    done_ns: int
    window_ns: int
    excused_from_ns: int
    excused_to_ns: int
    carriers: tuple[int, int]
    crossed: int
    null: bool
    stalled_ns: int
    slow: bool
    in_flight: int
    repair: int
    streams: tuple[FaultStream, ...] = ()

    @property
    def judged(self) -> tuple[FaultStream, ...]:
        """The streams that some expectation is about: what the sums are over."""
        return tuple(stream for stream in self.streams if not stream.beside)


@dataclass(frozen=True, slots=True)
class ExpectationResult:
    """One expectation, judged.

    Attributes:
        measured: what was measured, for people.
        low, high: what was measured is no less and no more than this, once all is counted that the
            measurement itself may have lost or hidden; ``limit`` is what they are held against.
        unit: of these three: ``packets``, ``flows`` (beyond the longest outage allowed) or
            ``share`` (of fail-overs, at 95 % confidence).
    """

    text: str
    kind: str
    streams: tuple[str, ...]
    verdict: Verdict
    measured: str
    reason: str
    low: float
    high: float
    limit: float
    unit: str


@dataclass(frozen=True, slots=True)
class RunResult:
    """One run.

    Attributes:
        verdict: of this run taken by itself.
        started: real time of its beginning, ISO 8601 in UTC.
        length_ns: from the zero of the timeline to the last packet.
    """

    run: int
    verdict: Verdict
    started: str
    length_ns: int
    checks: tuple[Check, ...]
    expectations: tuple[ExpectationResult, ...]
    faults: tuple[FaultResult, ...]
    streams: tuple[StreamResult, ...]

    @property
    def judged(self) -> tuple[StreamResult, ...]:
        """The streams that some expectation is about: what the sums are over."""
        return tuple(stream for stream in self.streams if not stream.beside)


@dataclass(frozen=True, slots=True)
class FailoverStatistics:
    """Fail-overs (or returns) over all runs.

    Attributes:
        trials: that some flow crossed.
        null: that no flow crossed, or that nobody watched: not among ``trials``.
        lossy: trials with any loss.
        lossy_repair: trials with loss to repair.
        bound_repair: with 95 % confidence, no larger share of fail-overs loses to repair
            (Clopper-Pearson, one-sided; 1 - 0.05^(1/n) when none did); 1 without trials.
    """

    trials: int
    null: int
    lossy: int
    lossy_repair: int
    bound_repair: float


@dataclass(frozen=True, slots=True)
class OutageStatistics:
    """Longest outage of each flow that crossed the victim, at each fail-over of all runs (RFC 6412).

    Attributes:
        flows: how many such.
        hit: of these, with a packet lost.
        p50_ns, p95_ns, p99_ns, max_ns: nearest rank.
        error_ns: plus or minus, the largest packet spacing.
    """

    flows: int
    hit: int
    p50_ns: int
    p95_ns: int
    p99_ns: int
    max_ns: int
    error_ns: int


@dataclass(frozen=True, slots=True)
class Result:
    """Everything that a verdict says of a journal.

    Attributes:
        reasons: why the verdict is what it is, the weightiest first.
        about: scenario, topology, machine, versions, seed: what it takes to do it again.
    """

    format: int
    name: str
    verdict: Verdict
    exit_code: int
    reasons: tuple[str, ...]
    expectations: tuple[ExpectationResult, ...]
    failovers: FailoverStatistics
    returns: FailoverStatistics
    outages: OutageStatistics
    runs: tuple[RunResult, ...]
    runs_asked: int
    about: Mapping[str, Any] = field(default_factory=dict)


def json_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of ``result.json``."""
    from pydantic import TypeAdapter  # noqa: PLC0415 - heavy, and only editors ask

    schema = TypeAdapter(Result).json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "labctl result"}
