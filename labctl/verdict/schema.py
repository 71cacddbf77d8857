"""The result: what a verdict says. Frozen data, plain JSON, one schema; format 2.

Times are nanoseconds after the zero of the run's timeline unless they say otherwise; counts are
packets. A *fail-over* is an action that takes something away (power-off, link-cut), a *return* one
that gives it back.
"""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - pydantic reads the annotations
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from labctl.verdict.rows import FactCell, LossCounts, LossSpan, OutageRow

__all__ = [
    "FORMAT",
    "ExpectationResult",
    "FactCell",
    "FailoverStatistics",
    "FaultResult",
    "FaultStream",
    "FlowResult",
    "LossCounts",
    "LossSpan",
    "OutageRow",
    "OutageStatistics",
    "Result",
    "RunCheck",
    "RunResult",
    "StreamResult",
    "Verdict",
    "json_schema",
    "worst",
]

FORMAT = 2


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
class RunCheck:
    """Something that had to hold for a measurement to be one.

    Attributes:
        verdict: PASS if it holds.
        reason: in one line.
    """

    verdict: Verdict
    reason: str


@dataclass(frozen=True, slots=True)
class FlowResult:
    """One flow (5-tuple) over a whole run.

    Attributes:
        longest_outage_ns: of any fail-over; plus or minus ``error_ns``.
        open: it had not ended when the traffic did.
    """

    flow: int
    source_port: int
    destination_port: int
    sent: int
    received: int
    lost: int
    in_flight: int
    convergence_loss: int
    before: int
    duplicated: int
    reordered: int
    longest_outage_ns: int
    error_ns: int
    open: bool
    losses: tuple[LossSpan, ...] = ()


@dataclass(frozen=True, slots=True)
class StreamResult:
    """One stream over a whole run.

    Attributes:
        in_flight: on the victim's links or inside it when it failed; see ``labctl.verdict.attribution``.
        convergence_loss: every other packet lost after the timeline began.
        unexplained: those of ``convergence_loss`` that no action accounts for.
        before: lost before the timeline began.
        classes: the same, each class by itself.
        flows_hit: flows that lost a packet after the timeline began.
        longest_outage_ns: of any flow; plus or minus ``error_ns``.
        open: flows with an outage that had not ended when the traffic did.
        generator: fields of :class:`labctl.probe.types.GeneratorHealth`.
        receiver: fields of :class:`labctl.probe.types.ReceiverHealth`.
        unjudged: no expectation is about it: it is shown, and counts in none of the sums over streams.
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
    convergence_loss: int
    unexplained: int
    before: int
    classes: LossCounts
    duplicated: int
    reordered: int
    flows_hit: int
    longest_outage_ns: int
    error_ns: int
    open: int
    delay_p50_ns: int
    delay_p99_ns: int
    delay_max_ns: int
    generator: Mapping[str, Any]
    receiver: Mapping[str, Any]
    flows: tuple[FlowResult, ...] = ()
    unjudged: bool = False


@dataclass(frozen=True, slots=True)
class FaultStream:
    """What one action did to one stream.

    Attributes:
        crossed: flows that were seen crossing the victim just before; -1 if nobody can say.
        hit: flows that lost a packet to the action.
        population: flows that crossed or were hit: what shares are of.
        longest_outage_ns: of any flow at this fail-over; plus or minus ``error_ns``.
        last_loss_ns: from the first effect to the departure of the last lost packet; 0 if none was.
        longest_pause_ns: the longest stall of the sender around the action.
        unjudged: no expectation is about the stream.
    """

    stream: str
    crossed: int
    hit: int
    population: int
    in_flight: int
    convergence_loss: int
    classes: LossCounts
    longest_outage_ns: int
    error_ns: int
    open: bool
    last_loss_ns: int
    longest_pause_ns: int
    unjudged: bool = False


@dataclass(frozen=True, slots=True)
class FaultResult:
    """One action and what it did.

    Attributes:
        index: place in the run's ``faults``.
        step: place in the scenario's timeline; -1 for a heal at the end.
        breaks: it takes something away: a fail-over.
        silent: the peers are not notified: carrier stays.
        target: as the fault calls it: node, or both ends of a link with their interfaces.
        label: as the scenario calls it.
        phase_ns: how much later than written.
        late_ns: how much later than due it was begun.
        requested_ns, first_ns, last_ns, done_ns: see :class:`labctl.fault.types.Effect`.
        told_ns: when the kernel was told; the fault took no effect before this.
        window_ns: from that moment to the last carrier change: what the cut itself explains.
        excused_from_ns, excused_to_ns: packets that left in this span may have been in flight, by the
            longest path delay of any stream. Where there is evidence it decides, and not this span.
        carriers: how many peers told of it, and of how many that was awaited.
        crossed: flows that were seen crossing the victim, all streams; -1 if nobody can say.
        null: no flow crossed the victim and none was hit: the trial says nothing of the design.
        measured: it says something of the design; else ``unmeasured`` says why it does not.
        evidence: what was put onto the victim's links was watched: ``complete``, ``partial`` or ``none``.
        stalled_ns: how long senders stalled between the fault and its proven end, all streams
            together: what they may have hidden is unknown.
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
    told_ns: int
    first_ns: int
    last_ns: int
    done_ns: int
    window_ns: int
    excused_from_ns: int
    excused_to_ns: int
    carriers: tuple[int, int]
    crossed: int
    null: bool
    measured: bool
    unmeasured: str
    evidence: str
    stalled_ns: int
    in_flight: int
    convergence_loss: int
    classes: LossCounts
    streams: tuple[FaultStream, ...] = ()

    @property
    def judged(self) -> tuple[FaultStream, ...]:
        """The streams that some expectation is about: what the sums are over."""
        return tuple(stream for stream in self.streams if not stream.unjudged)


@dataclass(frozen=True, slots=True)
class ExpectationResult:
    """One expectation, judged.

    Attributes:
        measured: what was measured, for people.
        low, high: what was measured is no less and no more than this, once all is counted that the
            measurement itself may have lost or hidden; ``limit`` is what they are held against.
        unit: of these three: ``packets``, ``flows`` (beyond the longest outage allowed), ``ns`` or
            ``share`` (of fail-overs, at 95 % confidence).
        advice: what would make an INCONCLUSIVE one tell; empty otherwise.
        off_path: it is about the flows that do not cross what is taken away.
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
    advice: str = ""
    off_path: bool = False


@dataclass(frozen=True, slots=True)
class RunResult:
    """One run.

    Attributes:
        verdict: of this run taken by itself.
        started: real time of its beginning, ISO 8601 in UTC.
        length_ns: from the zero of the timeline to the last packet.
        facts: the table that every figure of the run is a query of.
        outages: of every flow at every fail-over that it crossed or was hit by.
        retry_of: number of the INCONCLUSIVE run that this one repeats; -1: none.
        repeated: another run repeats this one: it counts for no expectation but those with ``bound``.
    """

    run: int
    verdict: Verdict
    started: str
    length_ns: int
    checks: tuple[RunCheck, ...]
    expectations: tuple[ExpectationResult, ...]
    faults: tuple[FaultResult, ...]
    streams: tuple[StreamResult, ...]
    facts: tuple[FactCell, ...] = ()
    outages: tuple[OutageRow, ...] = ()
    retry_of: int = -1
    repeated: bool = False

    @property
    def judged(self) -> tuple[StreamResult, ...]:
        """The streams that some expectation is about: what the sums are over."""
        return tuple(stream for stream in self.streams if not stream.unjudged)


@dataclass(frozen=True, slots=True)
class FailoverStatistics:
    """Fail-overs (or returns) over all runs.

    Attributes:
        trials: that were measured, or that lost packets.
        null: that no flow crossed and that hit none, or that say nothing: not among ``trials``.
        lossy: trials with any loss.
        lossy_convergence: trials with convergence loss.
        doubtful: trials more that may have had convergence loss.
        bound_convergence: with 95 % confidence, no larger share of fail-overs has convergence loss
            (Clopper-Pearson, one-sided; 1 - 0.05^(1/n) when none did), doubtful ones counted
            against the design; 1 without trials. It assumes that the fail-overs are independent.
    """

    trials: int
    null: int
    lossy: int
    lossy_convergence: int
    doubtful: int
    bound_convergence: float


@dataclass(frozen=True, slots=True)
class OutageStatistics:
    """Outage of each flow that crossed a victim or was hit, at each fail-over of all runs (RFC 6412).

    Attributes:
        flows: how many such.
        hit: of these, with an outage.
        open: of these, with one that had not ended when the traffic did.
        p50_ns, p95_ns, p99_ns, max_ns: nearest rank.
        p50_range_ns, p95_range_ns: with 95 % confidence the quantile lies in this (order statistics of
            independent flows; flows of one fail-over are not, so take it as the least it can be).
        error_ns: plus or minus, of the longest one.
    """

    flows: int
    hit: int
    open: int
    p50_ns: int
    p95_ns: int
    p99_ns: int
    max_ns: int
    p50_range_ns: tuple[int, int]
    p95_range_ns: tuple[int, int]
    error_ns: int


@dataclass(frozen=True, slots=True)
class Result:
    """Everything that a verdict says of a journal.

    Attributes:
        reasons: why the verdict is what it is, the weightiest first.
        about: scenario, topology, machine, versions, seed: what it takes to do it again.
        retries: a line each run that was repeated because it was INCONCLUSIVE.
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
    retries: tuple[str, ...] = ()


def json_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of ``result.json``."""
    from pydantic import TypeAdapter  # noqa: PLC0415 - heavy, and only editors ask

    schema = TypeAdapter(Result).json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "labctl result"}
