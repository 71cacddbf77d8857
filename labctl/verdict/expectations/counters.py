"""``duplicated`` (RFC 5560) and ``reordered`` (RFC 4737): no more such packets arrive in any run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from labctl.verdict.expectations.base import against, blocked, names, packets, result
from labctl.verdict.schema import Verdict, worst

if TYPE_CHECKING:
    from collections.abc import Sequence

    from labctl.verdict.facts import RunFacts
    from labctl.verdict.parse_header import Expected
    from labctl.verdict.schema import ExpectationResult

__all__ = ["CounterExpectation"]


@dataclass(frozen=True, slots=True)
class CounterExpectation:
    """A counter of the tally, run by run.

    Attributes:
        counter: ``duplicated`` or ``reordered``.
    """

    counter: str

    def judge(self, expected: Expected, runs: Sequence[RunFacts]) -> ExpectationResult:
        """Copies that the receiver dropped may have been of this kind: they widen the interval."""
        spans = []
        for facts in runs:
            tallies = [facts.tallies[name] for name in names(expected, facts)]
            counted = sum(int(getattr(tally, self.counter)) for tally in tallies)
            overflowed = sum(tally.receiver.overflowed for tally in tallies)
            spans.append((counted, counted + overflowed))
        verdict = worst(*(against(low, high, expected.packets) for low, high in spans))
        low, high = max((span[0] for span in spans), default=0), max((span[1] for span in spans), default=0)
        measured = f"{packets(sum(span[0] for span in spans))} {self.counter}"
        reason = f"{measured}; at most {expected.packets} expected in a run"
        if verdict == Verdict.INCONCLUSIVE:
            reason += f"; up to {high} are possible: the receiver dropped packets itself"
        judged = result(
            expected,
            verdict,
            (measured, reason),
            (low, high, expected.packets),
            "packets",
            advice="lower the rate",
        )
        return blocked(expected, runs, judged)
