"""Two results of one scenario -> whether the second is worse. Pure.

The unit is the fail-over: flows of one fail-over share its fate and are not independent. The share of
fail-overs with convergence loss is compared by Fisher's exact test (one-sided). Every other row is a figure
of each fail-over; it is worse where, with the confidence asked for, the median of the new ones lies above
that of the baseline by more than the tolerance and both sampling intervals (order statistics). A row for
which no outcome of so few fail-overs could have shown a difference cannot tell.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from labctl.document.durations import format_duration
from labctl.document.hints import nearest
from labctl.errors import InputError, Problem
from labctl.verdict.schema import Verdict
from labctl.verdict.statistics import fisher_more, nearest_rank, quantile_range

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from labctl.verdict.schema import FaultResult, Result

__all__ = ["Comparison", "ComparisonRow", "RowOutcome", "compare"]


class RowOutcome(StrEnum):
    """What one row says of the new result."""

    NOT_WORSE = "not worse"
    BETTER = "better"
    WORSE = "worse"
    CANNOT_TELL = "cannot tell"


@dataclass(frozen=True, slots=True)
class ComparisonRow:
    """One figure of both results.

    Attributes:
        name: of the figure.
        base, new: in words, with their intervals.
        reason: in one line.
    """

    name: str
    outcome: RowOutcome
    base: str
    new: str
    reason: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """A new result against a baseline."""

    rows: tuple[ComparisonRow, ...]
    confidence: float

    @property
    def worse(self) -> bool:
        """Some row is worse."""
        return any(row.outcome is RowOutcome.WORSE for row in self.rows)

    @property
    def cannot_tell(self) -> bool:
        """No row is worse, and some row cannot tell."""
        return not self.worse and any(row.outcome is RowOutcome.CANNOT_TELL for row in self.rows)

    @property
    def better(self) -> bool:
        """Some row is better, and no other is worse or cannot tell."""
        fine = all(row.outcome in (RowOutcome.BETTER, RowOutcome.NOT_WORSE) for row in self.rows)
        return fine and any(row.outcome is RowOutcome.BETTER for row in self.rows)

    @property
    def exit_code(self) -> int:
        """0 not worse, 1 worse, 3 cannot tell."""
        return 1 if self.worse else 3 if self.cannot_tell else 0

    @property
    def sentence(self) -> str:
        """The outcome in one line, with the figures that decide it."""
        if self.worse:
            return f"WORSE: {', '.join(row.name for row in self.rows if row.outcome is RowOutcome.WORSE)}"
        if self.cannot_tell:
            unsure = [row for row in self.rows if row.outcome is RowOutcome.CANNOT_TELL]
            return f"CANNOT TELL: {', '.join(row.name for row in unsure)}: {unsure[0].reason}"
        return (
            f"{'BETTER' if self.better else 'NOT WORSE'} (each figure with {self.confidence:.0%} confidence)"
        )

    def table(self) -> str:
        """Plain columns with a heading."""
        lines = [("figure", "baseline", "new", "outcome", "why")]
        lines += [(row.name, row.base, row.new, str(row.outcome), row.reason) for row in self.rows]
        widths = [max(len(line[column]) for line in lines) for column in range(5)]
        return "\n".join(
            "  ".join(f"{cell:{width}}" for cell, width in zip(line, widths, strict=True)).rstrip()
            for line in lines
        )


@dataclass(frozen=True, slots=True)
class _Figure:
    """What is read of each fail-over.

    Attributes:
        of: of one fail-over and the outages of its flows.
        show: in words.
        timed: the sampling interval of the outages applies.
    """

    name: str
    of: Callable[[FaultResult, Sequence[int]], int]
    show: Callable[[float], str]
    timed: bool


def _packets(count: float) -> str:
    return f"{count:,.0f}"


_FIGURES = (
    _Figure("convergence loss", lambda fault, _: fault.convergence_loss, _packets, timed=False),
    _Figure("outage p50", lambda _, outages: nearest_rank(outages, 0.5), format_duration, timed=True),
    _Figure("outage p95", lambda _, outages: nearest_rank(outages, 0.95), format_duration, timed=True),
    _Figure("longest outage", lambda _, outages: max(outages, default=0), format_duration, timed=True),
)
_SHARE = "fail-overs with convergence loss"


def compare(
    base: Result, new: Result, *, confidence: float, tolerance: Mapping[str, float] | None = None
) -> Comparison:
    """Compare a new result with a baseline.

    Args:
        base: the baseline.
        new: of the same scenario.
        confidence: of each row by itself, between 0 and 1.
        tolerance: by the name of a row, how much more it may be: packets, ns, or share.

    Raises:
        InputError: the tolerance names no row.
    """
    tolerance = tolerance or {}
    names = [_SHARE, *(figure.name for figure in _FIGURES)]
    if strange := [name for name in tolerance if name not in names]:
        raise InputError(
            [Problem("tolerance", 0, 0, f"no row {name!r}", nearest(name, names)) for name in strange]
        )
    if unlike := _unlike(base, new):
        return Comparison((unlike,), confidence)
    rows = [_share(base, new, confidence, tolerance.get(_SHARE, 0.0))]
    rows += [_row(figure, base, new, confidence, tolerance.get(figure.name, 0.0)) for figure in _FIGURES]
    return Comparison(tuple(rows), confidence)


def _unlike(base: Result, new: Result) -> ComparisonRow | None:
    """Why the two cannot be compared at all."""
    for name, one in (("baseline", base), ("new result", new)):
        if one.verdict in (Verdict.ERROR, Verdict.INTERRUPTED):
            why = f"the {name} is {one.verdict}: {(*one.reasons, 'no reason')[0]}"
            return ComparisonRow("verdict", RowOutcome.CANNOT_TELL, base.verdict, new.verdict, why)
    for name, read in (("traffic", _traffic), ("faults", _faults)):
        if read(base) != read(new):
            why = "they did not measure the same: record the baseline anew"
            return ComparisonRow(
                name, RowOutcome.CANNOT_TELL, ", ".join(read(base)), ", ".join(read(new)), why
            )
    return None


def _traffic(result: Result) -> tuple[str, ...]:
    streams = result.runs[0].streams
    return tuple(f"{one.name} {one.rate_pps:g}/s {one.size} B {len(one.flows)} flows" for one in streams)


def _faults(result: Result) -> tuple[str, ...]:
    return tuple(f"{one.action} {one.label}" for one in result.runs[0].faults if one.breaks)


def _share(base: Result, new: Result, confidence: float, tolerance: float) -> ComparisonRow:
    old, now = base.failovers, new.failovers
    shown = (
        f"{old.lossy_convergence} of {old.trials}",
        f"{now.lossy_convergence} of {now.trials}",
    )
    alpha = 1 - confidence
    surely = fisher_more(now.lossy_convergence, now.trials, old.lossy_convergence + old.doubtful, old.trials)
    possibly = fisher_more(
        now.lossy_convergence + now.doubtful, now.trials, old.lossy_convergence, old.trials
    )
    fewer = fisher_more(old.lossy_convergence, old.trials, now.lossy_convergence + now.doubtful, now.trials)
    at_most = fisher_more(now.trials, now.trials, 0, old.trials)
    p = f"p = {surely:.3g}, Fisher's exact test"
    within = _rate(now.lossy_convergence, now.trials) <= _rate(old.lossy_convergence, old.trials) + tolerance
    if surely < alpha and not within:
        return ComparisonRow(_SHARE, RowOutcome.WORSE, *shown, p)
    if not old.trials or not now.trials or at_most >= alpha:
        why = f"so few fail-overs can show no difference with {confidence:.0%} confidence"
        return ComparisonRow(_SHARE, RowOutcome.CANNOT_TELL, *shown, why)
    if possibly < alpha and now.doubtful + old.doubtful and not within:
        why = f"{now.doubtful + old.doubtful} fail-overs may have had convergence loss"
        return ComparisonRow(_SHARE, RowOutcome.CANNOT_TELL, *shown, why)
    return ComparisonRow(_SHARE, RowOutcome.BETTER if fewer < alpha else RowOutcome.NOT_WORSE, *shown, p)


def _rate(some: int, of: int) -> float:
    return some / of if of else 0.0


def _row(figure: _Figure, base: Result, new: Result, confidence: float, tolerance: float) -> ComparisonRow:
    before, error_before = _values(figure, base)
    after, error_after = _values(figure, new)
    (low0, high0), (low1, high1) = (quantile_range(one, 0.5, confidence) for one in (before, after))
    shown = _shown(figure, before, confidence), _shown(figure, after, confidence)
    slack = tolerance + error_before + error_after
    # Below so many the range ends at the extremes for want of values, and bounds nothing.
    if any(2 * 0.5 ** len(one) > 1 - confidence for one in (before, after)):
        few = min(len(before), len(after))
        why = f"{few} fail-overs do not bound a median with {confidence:.0%} confidence"
        return ComparisonRow(figure.name, RowOutcome.CANNOT_TELL, *shown, why)
    why = f"medians of fail-overs; {figure.show(slack)} is no difference"
    if low1 > high0 + slack:
        return ComparisonRow(figure.name, RowOutcome.WORSE, *shown, why)
    outcome = RowOutcome.BETTER if high1 + slack < low0 else RowOutcome.NOT_WORSE
    return ComparisonRow(figure.name, outcome, *shown, why)


def _values(figure: _Figure, result: Result) -> tuple[list[int], int]:
    """The figure of each fail-over that was measured, and how exact its times are."""
    values, errors = [], [0]
    for run in result.runs:
        for fault in run.faults:
            if not fault.breaks or not fault.measured:
                continue
            rows = [row for row in run.outages if row.fault == fault.index and not row.unjudged]
            values.append(figure.of(fault, [row.outage_ns for row in rows]))
            errors += [row.error_ns for row in rows if figure.timed]
    return values, max(errors)


def _shown(figure: _Figure, values: Sequence[int], confidence: float) -> str:
    if not values:
        return "none measured"
    low, high = quantile_range(values, 0.5, confidence)
    return (
        f"{figure.show(nearest_rank(values, 0.5))} [{figure.show(low)}, {figure.show(high)}] of {len(values)}"
    )
