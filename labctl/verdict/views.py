"""The table of facts as a result shows it: by stream, by action, by flow. Queries only."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

from labctl.verdict.attribution import LossClass, owner_of
from labctl.verdict.crossing import spacing_ns
from labctl.verdict.facts import IN_FLIGHT
from labctl.verdict.schema import (
    FaultResult,
    FaultStream,
    FlowResult,
    LossCounts,
    LossSpan,
    OutageRow,
    StreamResult,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from labctl.probe.types import FlowTally, LossPeriod, StreamTally
    from labctl.verdict.attribution import FaultWindow, LostPacket
    from labctl.verdict.facts import RunFacts
    from labctl.verdict.outages import FailoverOutage
    from labctl.verdict.rows import FactCell

__all__ = ["fault_results", "loss_counts", "outage_rows", "stream_results"]


_Row = TypeVar("_Row", "FactCell", "FailoverOutage")


def loss_counts(
    facts: RunFacts, streams: Collection[str], faults: Collection[int] | None = None
) -> LossCounts:
    """Lost packets by class, of some streams and actions."""
    by_class: Counter[str] = Counter()
    doubtful = 0
    for name in streams:
        for cell in facts.cells.get(name, ()):
            if faults is None or cell.fault in faults:
                by_class[cell.loss_class] += cell.packets
                doubtful += cell.doubtful
    return LossCounts(
        in_node=by_class[LossClass.IN_NODE],
        dead_link=by_class[LossClass.DEAD_LINK],
        convergence=by_class[LossClass.CONVERGENCE],
        reversion=by_class[LossClass.REVERSION],
        unexplained=by_class[LossClass.UNEXPLAINED],
        before=by_class[LossClass.BEFORE],
        doubtful=doubtful,
    )


def zero_of(facts: RunFacts) -> int:
    """What times are shown after: the timeline's zero; without one, the start of the traffic."""
    return facts.run.zero_ns or min((tally.start_ns for tally in facts.tallies.values()), default=0)


def outage_rows(facts: RunFacts) -> tuple[OutageRow, ...]:
    """Every flow at every fail-over that it crossed or was hit by."""
    return tuple(
        OutageRow(
            stream=row.stream,
            flow=row.flow,
            fault=row.fault,
            crossed=row.crossed,
            lost=row.lost,
            outage_ns=row.outage_ns,
            error_ns=row.error_ns,
            gap_ns=row.gap_ns,
            loss_derived_ns=row.loss_derived_ns,
            last_loss_ns=row.last_loss_ns,
            open=row.open,
            unjudged=name in facts.unjudged,
        )
        for name, rows in facts.outages.items()
        for row in rows
    )


def stream_results(facts: RunFacts) -> tuple[StreamResult, ...]:
    """Every stream of a run."""
    return tuple(_stream(facts, tally) for tally in facts.tallies.values())


def _stream(facts: RunFacts, tally: StreamTally) -> StreamResult:
    name, rows = tally.stream.name, facts.outages[tally.stream.name]
    classes = loss_counts(facts, [name])
    cells_of, rows_of = _by_flow(facts.cells[name]), _by_flow(rows)
    flows = tuple(
        _flow(facts, name, flow, cells_of.get(flow.flow, []), rows_of.get(flow.flow, []))
        for flow in tally.flows
    )
    longest = max(rows, key=lambda row: row.outage_ns, default=None)
    return StreamResult(
        name=name,
        source=tally.stream.source,
        destination=tally.stream.destination,
        proto=tally.stream.proto,
        rate_pps=tally.stream.rate_pps,
        size=tally.stream.size,
        sent=tally.sent,
        received=tally.received,
        lost=tally.lost,
        in_flight=classes.in_flight,
        convergence_loss=classes.convergence_loss,
        unexplained=classes.unexplained,
        before=classes.before,
        classes=classes,
        duplicated=tally.duplicated,
        reordered=tally.reordered,
        flows_hit=sum(flow.lost > flow.before for flow in flows),
        longest_outage_ns=longest.outage_ns if longest else 0,
        error_ns=longest.error_ns if longest else spacing_ns(tally.stream),
        open=len({row.flow for row in rows if row.open}),
        delay_p50_ns=tally.delay_p50_ns,
        delay_p99_ns=tally.delay_p99_ns,
        delay_max_ns=tally.delay_max_ns,
        generator=asdict(tally.generator),
        receiver=asdict(tally.receiver),
        flows=flows,
        unjudged=name in facts.unjudged,
    )


def _by_flow(rows: Iterable[_Row]) -> dict[int, list[_Row]]:
    found: dict[int, list[_Row]] = {}
    for row in rows:
        found.setdefault(row.flow, []).append(row)
    return found


def _flow(
    facts: RunFacts, name: str, flow: FlowTally, cells: Sequence[FactCell], rows: Sequence[FailoverOutage]
) -> FlowResult:
    longest = max(rows, key=lambda row: row.outage_ns, default=None)
    in_flight = sum(cell.packets for cell in cells if cell.loss_class in IN_FLIGHT)
    before = sum(cell.packets for cell in cells if cell.loss_class == LossClass.BEFORE)
    return FlowResult(
        flow=flow.flow,
        source_port=flow.source_port,
        destination_port=flow.destination_port,
        sent=flow.sent,
        received=flow.received,
        lost=flow.lost,
        in_flight=in_flight,
        convergence_loss=flow.lost - in_flight - before,
        before=before,
        duplicated=flow.duplicated,
        reordered=flow.reordered,
        longest_outage_ns=longest.outage_ns if longest else 0,
        error_ns=longest.error_ns if longest and longest.outage_ns else 0,
        open=any(row.open for row in rows),
        losses=tuple(_spans(facts, name, flow)),
    )


def _spans(facts: RunFacts, name: str, flow: FlowTally) -> Iterator[LossSpan]:
    """The loss periods of a flow, each with what its packets were."""
    packets = iter(facts.packets[name].get(flow.flow, ()))
    windows, zero = facts.windows[name], zero_of(facts)
    for period in flow.losses:
        yield _span(period, list(islice(packets, period.count)), windows, zero, facts.run.zero_ns)


def _span(
    period: LossPeriod, packets: Sequence[LostPacket], windows: Sequence[FaultWindow], zero: int, began: int
) -> LossSpan:
    in_flight = [packet for packet in packets if packet.loss_class in IN_FLIGHT]
    before = sum(packet.loss_class is LossClass.BEFORE for packet in packets)
    start = max(period.start_ns, began)
    step = owner_of(windows, [window.starts_ns for window in windows], start) if before < len(packets) else -1
    if step < 0 and in_flight:
        step = in_flight[0].fault
    return LossSpan(
        first_seq=period.first_seq,
        count=period.count,
        in_flight=len(in_flight),
        convergence_loss=period.count - len(in_flight) - before,
        before=before,
        start_ns=period.start_ns - zero,
        end_ns=period.end_ns - zero,
        outage_ns=max(period.outage_ns - (start - period.start_ns), 0),
        error_ns=period.error_ns,
        open=period.open,
        step=step,
    )


def fault_results(facts: RunFacts) -> tuple[FaultResult, ...]:
    """Every action of a run."""
    return tuple(_fault(facts, index) for index in range(len(facts.run.actions)))


def _fault(facts: RunFacts, index: int) -> FaultResult:
    action, zero = facts.run.actions[index], zero_of(facts)
    judged = [name for name in facts.tallies if name not in facts.unjudged]
    streams = tuple(_fault_stream(facts, index, name) for name in facts.tallies)
    known = [facts.crossings[index].get(name) for name in judged]
    crossed = -1 if not known or None in known else sum(len(one.flows) for one in known if one is not None)
    unmeasured = facts.unmeasured(index, judged, by_hits=True) if action.breaks else ""
    classes = loss_counts(facts, judged, {index})
    spans = [facts.windows[name][index] for name in facts.tallies]
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
        told_ns=action.told_ns - zero,
        first_ns=action.first_ns - zero,
        last_ns=action.last_ns - zero,
        done_ns=action.done_ns - zero,
        window_ns=action.last_ns - min(action.told_ns, action.first_ns),
        excused_from_ns=min((span.from_ns for span in spans), default=zero) - zero,
        excused_to_ns=max((span.to_ns for span in spans), default=zero) - zero,
        carriers=(sum(moment > 0 for moment in action.carriers), len(action.carriers)),
        crossed=crossed,
        null=action.breaks and crossed == 0 and bool(unmeasured),
        measured=action.breaks and not unmeasured,
        unmeasured=unmeasured,
        evidence=_evidence(facts, index),
        stalled_ns=sum(facts.stalled(index, name) for name in facts.tallies),
        in_flight=classes.in_flight,
        convergence_loss=classes.convergence_loss,
        classes=classes,
        streams=streams,
    )


def _evidence(facts: RunFacts, index: int) -> str:
    action = facts.run.actions[index]
    evidence = facts.run.evidence.get(action.step) if action.step >= 0 else None
    if evidence is None:
        return "none"
    return "complete" if evidence.complete(action.told_ns, action.last_ns, action.ends) else "partial"


def _fault_stream(facts: RunFacts, index: int, name: str) -> FaultStream:
    action = facts.run.actions[index]
    crossing, hit = facts.crossings[index].get(name), facts.hit(index, name)
    classes = loss_counts(facts, [name], {index})
    longest = max(_rows_of(facts, index, name), key=lambda row: row.outage_ns, default=None)
    last = facts.last_loss_ns(index, name)
    return FaultStream(
        stream=name,
        crossed=-1 if crossing is None else len(crossing.flows),
        hit=len(hit),
        population=len(facts.population(index, name).possible) if action.breaks else len(hit),
        in_flight=classes.in_flight,
        convergence_loss=classes.convergence_loss,
        classes=classes,
        longest_outage_ns=longest.outage_ns if longest else 0,
        error_ns=longest.error_ns if longest else 0,
        open=longest is not None and longest.open,
        last_loss_ns=max(last - action.first_ns, 0) if last else 0,
        longest_pause_ns=max((length for _, length in facts.pauses(index, name)), default=0),
        unjudged=name in facts.unjudged,
    )


def _rows_of(facts: RunFacts, index: int, name: str) -> list[FailoverOutage]:
    """The outages of a fault: of its fail-over. A return has none of its own: they are in the fail-over's."""
    return [row for row in facts.outages[name] if row.fault == index]
