"""Whether a journal agrees with itself: sums, steps against the plan, one tally a stream, times in order.

It finds damage and what was left out, not a forger: whoever rewrites every line consistently writes
another measurement.
"""

from __future__ import annotations

import hashlib
import json
from itertools import pairwise
from typing import TYPE_CHECKING

from labctl.verdict.record import Damage

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from labctl.probe.types import FlowTally, LossPeriod, StreamTally
    from labctl.verdict.record import ActionRecord, RunRecord

__all__ = ["departures", "run_damage", "series_damage"]

_LISTED = 1000
"""Departures that the probe lists of one loss period."""

_PERIODS = 10_000
"""Loss periods that the probe lists of one flow."""


def run_damage(run: RunRecord) -> Iterator[Damage]:
    """What one run contradicts itself in."""
    yield from run.damage
    yield from _zero(run)
    yield from _steps(run)
    for action in run.actions:
        yield from (Damage(action.line, text) for text in _action(action))
    for name, tally in run.tallies.items():
        line = run.tally_lines[name]
        yield from (Damage(line, f"stream {name}: {text}") for text in _tally(run, tally))
    for witness in run.witnesses:
        for name, delay in witness.delay_p99_ns.items():
            counted = run.tallies.get(name)
            if name not in run.header.traffic:
                yield Damage(witness.line, f"the witness names stream {name}, which the run does not have")
            elif counted is not None and delay > counted.delay_max_ns:
                text = f"the witness reports a delay of stream {name} that no packet of it had"
                yield Damage(witness.line, text)
        for name, flows in witness.flows.items():
            stream = run.header.traffic.get(name)
            if stream is None or any(flow >= stream.flows for flow in flows):
                yield Damage(witness.line, f"the witness saw a flow of {name} that the run does not have")


def series_damage(runs: Sequence[RunRecord]) -> Iterator[Damage]:
    """What the runs of one journal contradict each other in; a run that is there twice is refused."""
    first = runs[0].header
    for place, run in enumerate(runs):
        header = run.header
        if header.run != place:
            yield Damage(header.line, f"run {header.run} stands in the place of run {place}")
        if (header.format, header.name, header.runs, header.expect, header.traffic) != (
            first.format,
            first.name,
            first.runs,
            first.expect,
            first.traffic,
        ):
            yield Damage(header.line, f"run {header.run} is of another scenario than run {first.run}")
    seen: dict[str, RunRecord] = {}
    for run in runs:
        for name, tally in run.tallies.items():
            if not tally.sent:
                continue
            digest = f"{name} {departures(tally)}"
            before = seen.setdefault(digest, run)
            if before is not run:
                text = (
                    f"stream {name} left at the same moments as in run {before.header.run}: one run, copied"
                )
                yield Damage(run.tally_lines[name], text)
    spans = [_span(run) for run in runs if run.tallies]
    for (_, end, before), (start, _, after) in pairwise(spans):
        if start < end:
            text = f"run {after.header.run} begins before run {before.header.run} has ended"
            yield Damage(after.header.line, text)


def _span(run: RunRecord) -> tuple[int, int, RunRecord]:
    tallies = run.tallies.values()
    return min(tally.start_ns for tally in tallies), max(tally.end_ns for tally in tallies), run


def departures(tally: StreamTally) -> str:
    """The digest of departures; without one, of what else no two runs have in common."""
    if tally.departures:
        return tally.departures
    told = [
        tally.end_ns - tally.start_ns,
        tally.start_ns,
        [[period.start_ns for period in flow.losses] for flow in tally.flows],
    ]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def _zero(run: RunRecord) -> Iterator[Damage]:
    """The zero of the timeline: what was lost before it is judged by nobody, so it must not wander."""
    if not run.zero_ns:
        return
    if any(action.requested_ns < run.zero_ns for action in run.actions):
        yield Damage(0, "an action was requested before the timeline started")
    for name, tally in run.tallies.items():
        # The first packet may be due a little after the zero.
        if tally.sent and run.zero_ns > tally.end_ns:
            yield Damage(run.tally_lines[name], f"stream {name} had ended when the timeline started")


def _steps(run: RunRecord) -> Iterator[Damage]:
    """Each planned step once, in a run that went through; actions as they were planned."""
    for action in run.actions:
        if action.step >= 0:
            yield from _as_planned(run, action)
    if run.ended == "done":
        yield from _missing(run)


def _as_planned(run: RunRecord, action: ActionRecord) -> Iterator[Damage]:
    planned = run.header.steps
    if not planned:
        return
    if action.step >= len(planned):
        yield Damage(action.line, f"step {action.step + 1} of {len(planned)} was done")
        return
    step = planned[action.step]
    name = step.action or step.text.partition(" ")[0]
    if name != action.action:
        text = f"step {action.step + 1} was planned as {name}, and {action.action} was done"
        yield Damage(action.line, text)


def _missing(run: RunRecord) -> Iterator[Damage]:
    """What a run that went through must have."""
    for number in sorted(set(run.begun) - run.ended_steps):
        yield Damage(run.begun[number], f"step {number + 1} was started, and its end is missing")
    for number, step in enumerate(run.header.steps):
        if number not in run.begun:
            yield Damage(0, f"step {number + 1} ({step.text}) was planned and never started")
    if run.unhealed:
        yield Damage(0, "a heal was started, and its end is missing, or the other way round")
    if not run.zero_ns:
        yield Damage(0, "the run is done, and its timeline never started")
    for name in run.header.streams:
        if name not in run.tallies:
            yield Damage(0, f"there is no tally of stream {name}")


def _action(action: ActionRecord) -> Iterator[str]:
    moments = (action.began_ns, action.requested_ns, action.first_ns, action.last_ns, action.done_ns)
    if any(later < earlier for earlier, later in pairwise(moments)):
        yield f"{action.action} {action.label}: its moments are not in order"
    if not action.requested_ns <= action.told_ns <= action.done_ns:
        yield f"{action.action} {action.label}: the kernel was notified outside of the action"
    told = [moment for moment in action.carriers if moment]
    if told and (min(told), max(told)) != (action.first_ns, action.last_ns):
        yield f"{action.action} {action.label}: its moments are not those of the carriers"


def _tally(run: RunRecord, tally: StreamTally) -> Iterator[str]:
    planned = run.header.traffic.get(tally.stream.name)
    if planned != tally.stream:
        yield "it is not the stream of the header"
        return
    yield from _sums(tally)
    if tally.end_ns < tally.start_ns:
        yield "it ends before it starts"
    if not tally.delay_p50_ns <= tally.delay_p99_ns <= tally.delay_max_ns:
        yield "its delays are not in order"
    for name in ("sent", "received", "lost", "duplicated", "reordered"):
        total = sum(getattr(flow, name) for flow in tally.flows)
        if total != getattr(tally, name):
            yield f"{name} {getattr(tally, name)}, and {total} over its flows"
    if [flow.flow for flow in tally.flows] != list(range(tally.stream.flows)):
        yield f"its flows are not 0 to {tally.stream.flows - 1}"
    for flow in tally.flows:
        yield from (f"flow {flow.flow}: {text}" for text in _flow(tally, flow))


def _sums(tally: StreamTally | FlowTally) -> Iterator[str]:
    if tally.sent != tally.received + tally.lost:
        yield f"sent {tally.sent} is not received {tally.received} + lost {tally.lost}"


def _flow(tally: StreamTally, flow: FlowTally) -> Iterator[str]:
    yield from _sums(flow)
    listed = sum(period.count for period in flow.losses)
    if listed > flow.lost or (listed < flow.lost and len(flow.losses) < _PERIODS):
        yield f"lost {flow.lost}, and {listed} over its loss periods"
    for period in flow.losses:
        yield from _period(tally, period)
    for before, after in pairwise(flow.losses):
        if (
            before.open
            or before.first_seq + before.count >= after.first_seq
            or before.end_ns > after.start_ns
        ):
            yield "its loss periods overlap or are not in order"
            break
    for begin, end in flow.gaps or ():
        if not tally.start_ns <= begin <= end:
            yield "a gap between its arrivals ends before it begins"
            break


def _period(tally: StreamTally, period: LossPeriod) -> Iterator[str]:
    sent = period.sent_ns
    if not tally.start_ns <= period.start_ns <= period.end_ns <= tally.end_ns:
        yield "a loss period lies outside of the tally"
    elif period.outage_ns < period.end_ns - period.start_ns:
        yield "an outage is shorter than its loss period"
    elif len(sent) != min(period.count, _LISTED) and sent:
        yield f"a loss period of {period.count} packets lists {len(sent)} departures"
    elif any(later < earlier for earlier, later in pairwise(sent)):
        yield "departures of lost packets are not in order"
    elif sent and (sent[0] != period.start_ns or sent[-1] > period.end_ns):
        yield "departures of lost packets lie outside of their period"
    elif len(sent) == period.count and sent and sent[-1] != period.end_ns:
        yield "the last departure of a loss period is not its end"
    elif not sent and period.count:
        yield "a loss period lists no departures"
