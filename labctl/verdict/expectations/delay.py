"""``delay``: so large a share of the packets arrives within this time; a lost packet's delay is infinite."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from labctl.document.durations import format_duration
from labctl.document.entries import Entry, Names
from labctl.verdict.expectations.base import (
    ExpectationKind,
    Longest,
    Quantile,
    against,
    blocked,
    names,
    result,
)
from labctl.verdict.schema import Verdict, worst

if TYPE_CHECKING:
    from collections.abc import Sequence

    from labctl.probe.types import StreamTally
    from labctl.verdict.facts import RunFacts
    from labctl.verdict.parse_header import Expected
    from labctl.verdict.schema import ExpectationResult

__all__ = ["KIND", "DelayExpectation"]


class DelayExpectation:
    """Quantiles of the one-way delay (RFC 7679), stream by stream and run by run."""

    def judge(self, expected: Expected, runs: Sequence[RunFacts]) -> ExpectationResult:
        """The worst stream of the worst run decides."""
        spans = [
            _interval(facts.tallies[name], expected.quantile)
            for facts in runs
            for name in names(expected, facts)
        ]
        verdict = worst(*(against(low, high, expected.longest_ns) for low, high in spans))
        low, high = max((span[0] for span in spans), default=0), max((span[1] for span in spans), default=0)
        told = "a packet in that share was lost" if math.isinf(low) else format_duration(int(low))
        measured = f"delay at quantile {expected.quantile:g}: {told}"
        reason = f"{measured}; {format_duration(expected.longest_ns)} expected"
        if verdict == Verdict.INCONCLUSIVE:
            reason += "; the tally holds the median, the 99th percentile and the maximum only"
        # JSON knows no infinity.
        numbers = (min(low, 2.0**62), min(high, 2.0**62), float(expected.longest_ns))
        judged = result(
            expected, verdict, (measured, reason), numbers, "ns", advice="ask for quantile 0.5, 0.99 or 1"
        )
        return blocked(expected, runs, judged)


def _interval(tally: StreamTally, quantile: float) -> tuple[float, float]:
    """Least and most of a quantile of the delays of all sent packets, from three that are known."""
    if not tally.sent:
        return 0.0, math.inf
    share = quantile * tally.sent / max(tally.received, 1)  # of the packets that arrived
    if tally.sent - tally.lost < math.ceil(quantile * tally.sent - 1e-9):
        return math.inf, math.inf
    known = [(0.0, 0), (0.5, tally.delay_p50_ns), (0.99, tally.delay_p99_ns), (1.0, tally.delay_max_ns)]
    low = max(value for at, value in known if at <= share + 1e-12)
    high = min(value for at, value in known if at >= min(share, 1.0) - 1e-12)
    return float(low), float(high)


class DelayEntry(Entry):
    """``delay`` as a user writes it."""

    streams: Annotated[Names, Field(alias="delay", description="streams whose one-way delay counts")]
    longest_ns: Longest
    quantile: Quantile = 1.0


KIND = ExpectationKind(
    name="delay",
    doc="in each run, of every stream at least this share of the packets (default: all) "
    "arrived within the time (RFC 7679); a lost packet did not",
    example="{delay: all, longest: 5ms, quantile: 0.99}",
    entry=DelayEntry,
    judge=DelayExpectation(),
)
