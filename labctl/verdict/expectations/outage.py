"""``outage``: of the flows that crossed a victim or were hit, so large a share was out no longer than this.

Held against the larger of the longest gap of arrivals and the loss-derived time (RFC 6412), with the
sampling interval; over all faults of each run, and over all runs pooled: both must hold, so that one
dead fail-over does not vanish among many good ones.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from labctl.document.durations import format_duration
from labctl.document.entries import Entry, Names
from labctl.verdict.crossing import spacing_ns
from labctl.verdict.expectations.base import (
    Bound,
    ExpectationKind,
    Longest,
    Quantile,
    against,
    blocked,
    names,
    result,
)
from labctl.verdict.outages import no_outage
from labctl.verdict.schema import Verdict, worst

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from labctl.verdict.facts import RunFacts
    from labctl.verdict.outages import FailoverOutage
    from labctl.verdict.parse_header import Expected
    from labctl.verdict.schema import ExpectationResult

__all__ = ["KIND", "OutageExpectation"]


@dataclass(frozen=True, slots=True)
class _Count:
    """Flows of a run, or of several.

    Attributes:
        low, high: flows that were surely, and possibly, out for longer than allowed.
        fewest, most: flows that surely, and possibly, crossed or were hit.
        longest: the longest outage.
    """

    low: int
    high: int
    fewest: int
    most: int
    longest: FailoverOutage | None
    open: int
    doubts: tuple[tuple[str, str], ...]

    def verdict(self, quantile: float) -> Verdict:
        if self.low > allowed(quantile, self.most):
            return Verdict.FAIL
        return against(self.low, self.high, allowed(quantile, self.fewest))


def allowed(quantile: float, flows: int) -> int:
    """How many flows a quantile forgives."""
    # Less a hair: a twentieth of 20 flows is one, whatever binary fractions make of it.
    return int((1 - quantile) * flows + 1e-9)


class OutageExpectation:
    """The rows of the outage table, held against the longest that is allowed."""

    def judge(self, expected: Expected, runs: Sequence[RunFacts]) -> ExpectationResult:
        """Judge each run and all of them together; the worse decides."""
        counts = [_count(expected, facts) for facts in runs]
        pooled = _pool(counts)
        own = [count.verdict(expected.quantile) for count in counts]
        verdict = worst(pooled.verdict(expected.quantile), *own)
        limit = allowed(expected.quantile, pooled.fewest)
        measured = _measured(expected, pooled)
        reason = f"{measured}; at most {limit} expected"
        if verdict != pooled.verdict(expected.quantile):
            place = own.index(verdict)
            one = counts[place]
            number = runs[place].run.header.run
            reason = (
                f"run {number} by itself: {one.low} of {one.most} flows beyond"
                f" {format_duration(expected.longest_ns)}; pooled: {measured}"
            )
        advice = ""
        if verdict == Verdict.INCONCLUSIVE:
            doubts = dict(doubt for count in counts for doubt in count.doubts)
            reason += f"; {pooled.high} may have been: {' and '.join(doubts) or 'the doubt is in the flows'}"
            advice = next(iter(doubts.values()), "")
        judged = result(
            expected, verdict, (measured, reason), (pooled.low, pooled.high, limit), "flows", advice=advice
        )
        return blocked(expected, runs, judged)

    def failover(self, expected: Expected, facts: RunFacts, fault: int) -> tuple[bool, bool]:
        """Whether some flow was surely, and whether it was possibly, out for too long at one fail-over."""
        count = _count(expected, facts, fault)
        return count.low > 0, count.high > 0

    def outside(self, expected: Expected, facts: RunFacts) -> tuple[bool, bool]:
        """The same of outages that no fail-over accounts for."""
        count = _count(expected, facts, -1)
        return count.low > 0, count.high > 0


def _measured(expected: Expected, count: _Count) -> str:
    if count.longest is None or not count.longest.outage_ns:
        return f"no outage in {count.most} flows"
    row = count.longest
    bar = f"{format_duration(row.outage_ns)} ± {format_duration(row.error_ns)}"
    still = " and still open when the traffic ended" if row.open else ""
    how = "longest gap" if row.gap_ns >= row.loss_derived_ns else "loss-derived"
    beyond = f"{count.low} of {count.most} flows beyond {format_duration(expected.longest_ns)}"
    return f"longest {bar}{still} ({how}); {beyond}" + (f"; {count.open} still open" if count.open else "")


def _pool(counts: Sequence[_Count]) -> _Count:
    rows = [count.longest for count in counts if count.longest]
    return _Count(
        low=sum(count.low for count in counts),
        high=sum(count.high for count in counts),
        fewest=sum(count.fewest for count in counts),
        most=sum(count.most for count in counts),
        longest=max(rows, key=lambda row: row.outage_ns, default=None),
        open=sum(count.open for count in counts),
        doubts=tuple(doubt for count in counts for doubt in count.doubts),
    )


def _count(expected: Expected, facts: RunFacts, fault: int | None = None) -> _Count:
    """Flows of one run, at all of its fail-overs or at one (-1: outside of all)."""
    low = high = fewest = most = still = 0
    longest: FailoverOutage | None = None
    doubts: dict[str, str] = {}
    for name in names(expected, facts):
        sure_flows = _sure_flows(facts, name)
        for row in _rows(expected, facts, name, fault):
            sure, possible = _bounds(facts, row, doubts, expected.longest_ns)
            low += sure > expected.longest_ns
            high += possible > expected.longest_ns
            still += row.open
            fewest += row.fault < 0 or row.flow in sure_flows(row.fault)
            most += 1
            if longest is None or row.outage_ns > longest.outage_ns:
                longest = row
    return _Count(low, high, fewest, most, longest, still, tuple(doubts.items()))


def _sure_flows(facts: RunFacts, name: str) -> Callable[[int], frozenset[int]]:
    """Flows of a stream that surely crossed a fault's victim or were hit, each fault looked at once."""
    return cache(lambda fault: facts.population(fault, name).sure)


def _rows(expected: Expected, facts: RunFacts, name: str, fault: int | None) -> Iterator[FailoverOutage]:
    """Of a run without faults a row for every flow: nothing else says how many there are."""
    rows = [
        row
        for row in facts.outages[name]
        if (fault is None or row.fault == fault) and (not expected.off_path or not row.crossed)
    ]
    yield from rows
    if fault is None and (expected.off_path or not facts.breaking):
        present = {row.flow for row in rows}
        spacing = spacing_ns(facts.tallies[name].stream)
        crossing = {row.flow for row in facts.outages[name] if row.crossed}
        for flow in facts.tallies[name].flows:
            if flow.flow not in present and not (expected.off_path and flow.flow in crossing):
                yield no_outage(name, flow.flow, spacing, arrivals=flow.gaps is not None)


def _bounds(
    facts: RunFacts, row: FailoverOutage, doubts: dict[str, str], longest_ns: int
) -> tuple[float, float]:
    """The shortest and the longest that one flow's outage can have been, ns."""
    tally = facts.tallies[row.stream]
    late = tally.generator.late_p99_ns
    low: float = max(row.gap_ns - row.gap_error_ns, row.loss_derived_ns - row.spacing_ns, 0)
    dropped = tally.receiver.overflowed + tally.receiver.backlog_dropped
    if dropped and row.lost <= dropped:
        # So many packets may have arrived, and the receiver dropped them.
        low = 0
    high: float = max(row.gap_ns + row.gap_error_ns, row.loss_derived_ns + row.spacing_ns) + late
    if row.gap_ns == row.loss_derived_ns == 0:
        high = row.spacing_ns + late
    causes = [(high, "the spacing of the packets rivals the limit", "raise the rate, or use fewer flows")]
    if row.fault >= 0 and (stalled := facts.stalled(row.fault, row.stream)):
        causes.append(
            (high + stalled, f"the sender stalled for {format_duration(stalled)}", "run on a quieter machine")
        )
    if not row.arrivals and tally.delay_max_ns > longest_ns:
        # Nobody looked at the gaps between arrivals: a packet that came so late may have ended one.
        late_by = tally.delay_max_ns - tally.delay_p50_ns
        text = f"a packet came {format_duration(late_by)} late, and gaps of arrivals were not looked at"
        causes.append((high + late_by, text, "measure again with this version"))
    if row.open:
        causes.append(
            (math.inf, "an outage was still open when the traffic ended", "let it settle for longer")
        )
    high = max(value for value, _, _ in causes)
    if low <= longest_ns < high:
        doubts.update({text: advice for value, text, advice in causes if value > longest_ns})
    return low, high


class OutageEntry(Entry):
    """``outage`` as a user writes it."""

    streams: Annotated[Names, Field(alias="outage", description="streams whose flows' outages count")]
    longest_ns: Longest
    quantile: Quantile = 1.0
    bound: Bound | None = None


_JUDGE = OutageExpectation()

KIND = ExpectationKind(
    name="outage",
    doc="of the flows that crossed a victim or were hit, at least 95 % were out for 50 ms or "
    "less, in each run by itself and over all runs together",
    example="{outage: all, longest: 50ms, quantile: 0.95}",
    entry=OutageEntry,
    judge=_JUDGE,
    bounded=_JUDGE,
)
