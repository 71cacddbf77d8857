"""What each action of a run did to each stream, and whether the trial says anything at all."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

from labctl.verdict.classify import Excuse, Losses, classify, excuses
from labctl.verdict.schema import FaultResult, FaultStream, LossSpan, StreamResult

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from labctl.probe.types import StreamTally
    from labctl.verdict.record import ActionRecord, RunRecord, WitnessRecord

__all__ = ["GUARD_SPACINGS", "SLOW_CUT_NS", "Measured", "measure", "spacing_ns"]

Crossed: TypeAlias = "Mapping[str, frozenset[int]] | None"
"""Flows by stream; None where nobody watched."""

GUARD_SPACINGS = 2
"""A stall of a sender matters until every flow has shown, by so many packets after the cut and after
its last loss, that it is repaired: what comes later hides nothing of the repair."""

SLOW_CUT_NS = 10_000_000
"""A cut that took longer is told from its repair no more: what was lost meanwhile may be either."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One run, measured and told apart, before anything is expected of it.

    Attributes:
        losses: by stream.
        crossed: by action and stream: flows that crossed the victim; None where nobody watched.
        tallies: by stream.
        hidden: by stream: packets that did not leave while a sender stalled around a fault.
        doubtful: by stream: packets in flight at cuts that were slow: perhaps lost to repair.
        beside: streams that no expectation is about.
    """

    run: RunRecord
    losses: Mapping[str, Losses]
    crossed: tuple[Crossed, ...]
    tallies: Mapping[str, StreamTally]
    hidden: Mapping[str, int]
    doubtful: Mapping[str, int]
    faults: tuple[FaultResult, ...]
    streams: tuple[StreamResult, ...]
    beside: frozenset[str]


def measure(run: RunRecord) -> Measured:
    """Tell the losses of a run apart and put them down to its actions."""
    tallies = {tally.stream.name: tally for tally in run.tallies}
    zero = _zero(run)
    spans = {name: excuses(run, tally) for name, tally in tallies.items()}
    losses = {name: classify(tally, spans[name], zero) for name, tally in tallies.items()}
    crossed = tuple(_crossed(run, action) for action in run.actions)
    beside = _beside(run, tallies)
    faults = tuple(
        _fault(
            run,
            index,
            losses,
            {name: spans[name][index] for name in spans},
            crossed=crossed[index],
            beside=beside,
        )
        for index in range(len(run.actions))
    )
    return Measured(
        run=run,
        losses=losses,
        crossed=crossed,
        tallies=tallies,
        hidden={name: _hidden(run, tally, losses[name]) for name, tally in tallies.items()},
        doubtful={
            name: sum(one.in_flight.get(fault.index, 0) for fault in faults if fault.slow)
            for name, one in losses.items()
        },
        faults=faults,
        streams=tuple(
            replace(_stream(tally, losses[name]), beside=name in beside) for name, tally in tallies.items()
        ),
        beside=beside,
    )


def _beside(run: RunRecord, names: Iterable[str]) -> frozenset[str]:
    """Streams that no expectation names: the pings to a box that is to die, say."""
    if not run.expect or any(not wish.streams for wish in run.expect):
        return frozenset()
    return frozenset(names) - {name for wish in run.expect for name in wish.streams}


def _zero(run: RunRecord) -> int:
    """What times are shown after: the timeline's zero; without one, the start of the traffic."""
    return run.zero_ns or min((tally.start_ns for tally in run.tallies), default=0)


def _crossed(run: RunRecord, action: ActionRecord) -> Crossed:
    """Flows that crossed what an action takes away: for a link, those seen at both of its ends."""
    seen = [
        witness.flows
        for witness in run.witnesses
        if witness.step == action.step and action.breaks and not _blind(witness)
    ]
    if not seen:
        return None
    names = {name for flows in seen for name in flows}
    return {name: frozenset.intersection(*(flows.get(name, frozenset()) for flows in seen)) for name in names}


def _blind(witness: WitnessRecord) -> bool:
    """Whether a witness saw nothing, and not for want of packets."""
    return witness.dropped > 0 and not any(witness.flows.values())


def _fault(
    run: RunRecord,
    index: int,
    losses: Mapping[str, Losses],
    spans: Mapping[str, Excuse],
    *,
    crossed: Crossed,
    beside: frozenset[str],
) -> FaultResult:
    action, zero = run.actions[index], _zero(run)
    streams = tuple(
        replace(_fault_stream(name, one, index, action.first_ns - zero, crossed), beside=name in beside)
        for name, one in losses.items()
    )
    judged = [stream for stream in streams if stream.stream not in beside]
    total = (
        -1 if crossed is None else sum(len(flows) for name, flows in crossed.items() if name not in beside)
    )
    told = sum(moment > 0 for moment in action.carriers)
    window = action.last_ns - min(action.not_before_ns, action.first_ns)
    return FaultResult(
        index=index,
        step=action.step,
        action=action.action,
        target=action.target,
        label=action.label,
        mode=action.mode,
        breaks=action.breaks,
        silent=action.silent,
        phase_ns=action.phase_ns,
        due_ns=action.due_ns - zero,
        late_ns=max(action.began_ns - action.due_ns, 0),
        requested_ns=action.requested_ns - zero,
        first_ns=action.first_ns - zero,
        last_ns=action.last_ns - zero,
        done_ns=action.done_ns - zero,
        window_ns=window,
        excused_from_ns=min((span.from_ns for span in spans.values()), default=zero) - zero,
        excused_to_ns=max((span.to_ns for span in spans.values()), default=zero) - zero,
        carriers=(told, len(action.carriers)),
        crossed=total,
        null=action.breaks and total == 0,
        stalled_ns=sum(_stalled(action, index, tally, losses[tally.stream.name]) for tally in run.tallies),
        slow=action.breaks and not action.silent and window > SLOW_CUT_NS,
        in_flight=sum(stream.in_flight for stream in judged),
        repair=sum(stream.repair for stream in judged),
        streams=streams,
    )


def _fault_stream(
    name: str,
    losses: Losses,
    index: int,
    first_ns: int,
    crossed: Crossed,
) -> FaultStream:
    spans: list[LossSpan] = []
    hit = 0
    for pairs in losses.owners:
        mine = [span for owner, span in pairs if owner == index]
        spans += mine
        hit += bool(mine)
    longest = max(spans, key=lambda span: span.outage_ns, default=None)
    last = max((span.end_ns for span in spans), default=0)
    return FaultStream(
        stream=name,
        crossed=-1 if crossed is None else len(crossed.get(name, ())),
        hit=hit,
        in_flight=losses.in_flight.get(index, 0),
        repair=losses.repair.get(index, 0),
        longest_outage_ns=longest.outage_ns if longest else 0,
        error_ns=longest.error_ns if longest else 0,
        repair_ns=max(last - first_ns, 0) if spans else 0,
    )


def _stream(tally: StreamTally, losses: Losses) -> StreamResult:
    flows = losses.flows
    in_flight = sum(flow.in_flight for flow in flows)
    longest = max(flows, key=lambda flow: flow.longest_outage_ns, default=None)
    return StreamResult(
        name=tally.stream.name,
        source=tally.stream.source,
        destination=tally.stream.destination,
        proto=tally.stream.proto,
        rate_pps=tally.stream.rate_pps,
        size=tally.stream.size,
        sent=tally.sent,
        received=tally.received,
        lost=tally.lost,
        in_flight=in_flight,
        repair=tally.lost - in_flight,
        unexplained=losses.repair.get(-1, 0),
        duplicated=tally.duplicated,
        reordered=tally.reordered,
        flows_hit=sum(flow.lost > 0 for flow in flows),
        longest_outage_ns=longest.longest_outage_ns if longest else 0,
        error_ns=(longest.error_ns if longest else 0) or spacing_ns(tally),
        delay_p50_ns=tally.delay_p50_ns,
        delay_p99_ns=tally.delay_p99_ns,
        delay_max_ns=tally.delay_max_ns,
        generator=asdict(tally.generator),
        receiver=asdict(tally.receiver),
        flows=flows,
    )


def spacing_ns(tally: StreamTally) -> int:
    """Time between two packets of one flow: what an outage is known to."""
    return int(tally.stream.flows * 1e9 / tally.stream.rate_pps)


def _stalled(action: ActionRecord, index: int, tally: StreamTally, losses: Losses) -> int:
    """Nanoseconds for which a stream's sender stalled between a fault and its proven repair."""
    if not action.breaks:
        return 0
    spans = [span for pairs in losses.owners for owner, span in pairs if owner == index]
    last_loss = max((losses.zero_ns + span.end_ns for span in spans), default=0)
    begin = action.not_before_ns
    end = max(action.last_ns, last_loss) + GUARD_SPACINGS * spacing_ns(tally)
    return sum(
        max(min(start + length, end) - max(start, begin), 0) for start, length in tally.generator.pauses
    )


def _hidden(run: RunRecord, tally: StreamTally, losses: Losses) -> int:
    """Packets of a stream that could have been lost had they left when they were due.

    Those of stalls around faults, and those that the sender left out altogether.
    """
    stalled = sum(_stalled(action, index, tally, losses) for index, action in enumerate(run.actions))
    return -int(-stalled * tally.stream.rate_pps // 1e9) + tally.generator.skipped
