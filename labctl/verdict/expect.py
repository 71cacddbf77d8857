"""Expectations held against what was measured, as an interval: no less than, no more than.

PASS if even the most that the measurement leaves open is within the limit, FAIL if even the least
is beyond it, INCONCLUSIVE in between. So packets that the receiver itself dropped, packets that the
sender held back around a fault, and the spacing of the packets decide nothing by themselves.

More loss can only move both ends up: it never turns a FAIL into anything better.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from labctl.scenario.durations import format_duration
from labctl.verdict.faults import SLOW_CUT_NS, Measured, spacing_ns
from labctl.verdict.schema import ExpectationResult, Verdict, worst
from labctl.verdict.statistics import lower_bound, trials_needed, upper_bound

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from labctl.scenario.model import Expectation
    from labctl.verdict.schema import LossSpan

__all__ = ["judge_expectation"]


_SLOW = format_duration(SLOW_CUT_NS)


def judge_expectation(wish: Expectation, runs: Sequence[Measured]) -> ExpectationResult:
    """Judge one expectation over some runs.

    Losses are held against the limit run by run, outages over the flows of all runs together. With
    a bound, losses and outages are judged fail-over by fail-over, and the share that misses is held
    against the bound.
    """
    if not any(name for run in runs for name in _names(wish, run)):
        nothing = "nothing was measured"
        return _result(wish, Verdict.INCONCLUSIVE, (nothing, nothing), (0, 0, 0), "packets")
    if wish.bound:
        return _bounded(wish, runs)
    return _outage(wish, runs) if wish.kind == "outage" else _loss(wish, runs)


def _loss(wish: Expectation, runs: Sequence[Measured]) -> ExpectationResult:
    ranges = [(run.run.header["run"], *_lost(wish, run)) for run in runs]
    verdicts = [_against(low, high, wish.packets) for _, _, low, high in ranges]
    low = max((low for _, _, low, _ in ranges), default=0)
    high = max((high for _, _, _, high in ranges), default=0)
    verdict = worst(*verdicts)
    counts = [count for _, count, _, _ in ranges]
    most = max(counts, default=0)
    word = "lost to convergence" if wish.kind == "convergence-loss" else "lost"
    measured = f"{_packets(most)} {word}"
    if len(runs) > 1:
        missed = sum(one == Verdict.FAIL for one in verdicts)
        measured = f"{_packets(sum(counts))} {word} in {len(runs)} runs, at most {most} in one"
        measured += f"; {missed} runs missed" if missed else ""
    reason = f"{measured}; at most {wish.packets} expected"
    if verdict == Verdict.INCONCLUSIVE:
        unclear = sum(one == Verdict.INCONCLUSIVE for one in verdicts)
        where = f" in {unclear} of {len(runs)} runs" if len(runs) > 1 else ""
        reason += f"; the measurement leaves up to {high} open{where}: {_doubts(wish, runs)}"
    return _result(wish, verdict, (measured, reason), (low, high, wish.packets), "packets")


def _lost(wish: Expectation, run: Measured) -> tuple[int, int, int]:
    """Packets counted in a run, and the least and the most that may have been lost in truth."""
    count = low = high = 0
    for name in _names(wish, run):
        tally, losses = run.tallies[name], run.losses[name]
        in_flight = sum(flow.in_flight for flow in losses.flows)
        lost = tally.lost - in_flight if wish.kind == "convergence-loss" else tally.lost
        count += lost
        low += max(lost - tally.receiver.overflowed, 0)
        high += lost + run.hidden[name] + (run.doubtful[name] if wish.kind == "convergence-loss" else 0)
    # Counted for the whole machine, so once, and not once a stream.
    return count, max(low - _backlog(run), 0), high


def _backlog(run: Measured) -> int:
    return max((tally.receiver.backlog_dropped for tally in run.tallies.values()), default=0)


def _outage(wish: Expectation, runs: Sequence[Measured]) -> ExpectationResult:
    population = low = high = 0
    longest: LossSpan | None = None
    for run in runs:
        for name in _names(wish, run):
            flows = _population(run, name)
            beyond, doubtful, span = _beyond(wish, run, name)
            population += flows
            low += beyond
            # A flow that lost nothing may hide an outage as long as its spacing.
            blind = _error(run, name) > wish.longest_ns
            high += max(flows, doubtful) if blind else doubtful
            if span and (longest is None or span.outage_ns > longest.outage_ns):
                longest = span
    # Less a hair: a twentieth of 20 flows is one, whatever binary fractions make of it.
    allowed = int((1 - wish.quantile) * population + 1e-9)
    verdict = _against(low, high, allowed)
    limit = format_duration(wish.longest_ns)
    if longest is None:
        measured = f"no outage in {population} flows"
    else:
        bar = f"{format_duration(longest.outage_ns)} ± {format_duration(longest.error_ns)}"
        measured = f"longest {bar}; {low} of {population} flows beyond {limit}"
    reason = f"{measured}; at most {allowed} expected"
    if verdict == Verdict.INCONCLUSIVE:
        reason += f", and {high} may have been: the spacing of the packets rivals {limit}"
    return _result(wish, verdict, (measured, reason), (low, high, allowed), "flows")


def _population(run: Measured, name: str) -> int:
    """Flows that crossed the victim, over all fail-overs; in a run without any, all flows."""
    if not any(fault.breaks for fault in run.faults):
        return run.tallies[name].stream.flows
    return sum(len(crossed.get(name, ())) for crossed in run.crossed if crossed is not None)


def _beyond(wish: Expectation, run: Measured, name: str) -> tuple[int, int, LossSpan | None]:
    """Outages surely and possibly beyond the limit, one at most for a flow and an action.

    Outages that no fail-over explains count as well: they are the design's, too.
    """
    extra = _lateness(run, name)
    overflow = run.tallies[name].receiver.overflowed + _backlog(run)
    beyond = doubtful = 0
    longest: LossSpan | None = None
    for pairs in run.losses[name].owners:
        sure, possible = set(), set()
        for owner, span in pairs:
            if longest is None or span.outage_ns > longest.outage_ns:
                longest = span
            # So many packets may have arrived, and the receiver dropped them.
            if span.outage_ns - span.error_ns > wish.longest_ns and overflow < span.count:
                sure.add(owner)
            if span.outage_ns + span.error_ns + extra > wish.longest_ns:
                possible.add(owner)
        beyond += len(sure)
        doubtful += len(possible)
    return beyond, doubtful, longest


def _error(run: Measured, name: str) -> int:
    return spacing_ns(run.tallies[name]) + _lateness(run, name)


def _lateness(run: Measured, name: str) -> int:
    return run.tallies[name].generator.late_p99_ns


def _bounded(wish: Expectation, runs: Sequence[Measured]) -> ExpectationResult:
    trials = misses = doubtful = 0
    for run in runs:
        for index, fault in enumerate(run.faults):
            if not fault.breaks or fault.crossed <= 0:
                continue
            trials += 1
            sure, possible = _misses(wish, run, index)
            misses += sure
            doubtful += possible
    outside = sum(_outside(wish, run) for run in runs)
    low, high = lower_bound(misses, trials), upper_bound(max(misses, doubtful), trials)
    verdict = _against(low, high, wish.bound)
    measured = f"{misses} of {trials} fail-overs missed: at most {high:.1%} with 95 % confidence"
    reason = f"{measured}; {wish.bound:.1%} expected"
    if verdict == Verdict.INCONCLUSIVE:
        reason += f": too few fail-overs, {trials_needed(wish.bound)} without a miss would show it"
    if outside:
        verdict = Verdict.FAIL
        reason = f"{outside} runs missed it outside of any fail-over; {reason}"
    return _result(wish, verdict, (measured, reason), (low, high, wish.bound), "share")


def _misses(wish: Expectation, run: Measured, index: int) -> tuple[bool, bool]:
    """Whether one fail-over surely, and whether it possibly, missed an expectation."""
    if wish.kind == "outage":
        sure = possible = False
        for name in _names(wish, run):
            extra, blind = _lateness(run, name), _error(run, name) > wish.longest_ns
            spans = [span for pairs in run.losses[name].owners for owner, span in pairs if owner == index]
            sure |= any(span.outage_ns - span.error_ns > wish.longest_ns for span in spans)
            possible |= blind or any(
                span.outage_ns + span.error_ns + extra > wish.longest_ns for span in spans
            )
        return sure, possible
    lost = sum(_put_down(wish, run, name, index) for name in _names(wish, run))
    overflowed = sum(run.tallies[name].receiver.overflowed for name in _names(wish, run)) + _backlog(run)
    fault = run.faults[index] if index >= 0 else None
    hidden = fault is not None and (fault.stalled_ns > 0 or (fault.slow and fault.in_flight > 0))
    return lost - overflowed > wish.packets, lost > wish.packets or hidden


def _put_down(wish: Expectation, run: Measured, name: str, index: int) -> int:
    losses = run.losses[name]
    in_flight = 0 if wish.kind == "convergence-loss" else losses.in_flight.get(index, 0)
    return losses.repair.get(index, 0) + in_flight


def _outside(wish: Expectation, run: Measured) -> bool:
    """Whether a run missed it by what no fail-over accounts for: returns, heals, no reason at all."""
    others = [-1, *(fault.index for fault in run.faults if not fault.breaks)]
    if wish.kind == "outage":
        return any(_misses(wish, run, index)[0] for index in others)
    return (
        sum(_put_down(wish, run, name, index) for name in _names(wish, run) for index in others)
        > wish.packets
    )


def _names(wish: Expectation, run: Measured) -> Iterator[str]:
    return (name for name in run.tallies if not wish.streams or name in wish.streams)


def _against(low: float, high: float, limit: float) -> Verdict:
    if low > limit:
        return Verdict.FAIL
    return Verdict.PASS if high <= limit else Verdict.INCONCLUSIVE


def _doubts(wish: Expectation, runs: Sequence[Measured]) -> str:
    hidden = sum(run.hidden[name] for run in runs for name in _names(wish, run))
    overflowed = sum(run.tallies[name].receiver.overflowed for run in runs for name in _names(wish, run))
    doubts = []
    if hidden:
        doubts.append(f"{_packets(hidden)} held back by the generator around a fault")
    slow = sum(run.doubtful[name] for run in runs for name in _names(wish, run))
    if slow and wish.kind == "convergence-loss":
        doubts.append(f"{_packets(slow)} lost while a cut took longer than {_SLOW}")
    if overflowed:
        doubts.append(f"{_packets(overflowed)} dropped by the receiver itself")
    if backlog := sum(map(_backlog, runs)):
        doubts.append(f"{_packets(backlog)} dropped by this machine's kernel, which could not keep up")
    return " and ".join(doubts)


def _packets(count: int) -> str:
    return f"{count:,} packet{'' if count == 1 else 's'}"


def _result(
    wish: Expectation, verdict: Verdict, said: tuple[str, str], numbers: tuple[float, float, float], unit: str
) -> ExpectationResult:
    measured, reason = said
    low, high, limit = numbers
    return ExpectationResult(
        wish.text, wish.kind, wish.streams, verdict, measured, reason, low, high, limit, unit
    )
