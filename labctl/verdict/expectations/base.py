"""What every expectation has in common: an interval that the evidence allows, held against a limit.

PASS if even the worst case holds, FAIL if even the best case does not, INCONCLUSIVE in between, with the
reason in one sentence and what to change. More loss can only move both ends for the worse.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Protocol, TypeAlias

from pydantic import Field

from labctl.document.entries import Duration, Entry
from labctl.verdict.schema import ExpectationResult, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from labctl.verdict.facts import RunFacts
    from labctl.verdict.parse_header import Expected
    from labctl.verdict.schema import FactCell

__all__ = [
    "Bound",
    "Bounded",
    "ExpectationKind",
    "Interval",
    "Judge",
    "Longest",
    "OffPath",
    "Packets",
    "Quantile",
    "against",
    "chooser",
    "names",
    "packets",
    "result",
    "unmeasured",
]


@dataclass(frozen=True, slots=True)
class Interval:
    """What was measured is no less than ``low`` and no more than ``high``.

    Attributes:
        told: what was counted, for people; within the interval.
        doubts: why the two differ, each in a few words, with what to change.
    """

    low: float
    high: float
    told: float
    doubts: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class ExpectationKind:
    """One word of ``expect:``, with everything that labctl knows of it.

    Attributes:
        name: its key in a scenario.
        doc: when it holds, in one line.
        example: as a user writes it.
        entry: what a user may write; its fields are named as those of an expectation in the journal.
        judge: holds it against runs.
        bounded: judges it fail-over by fail-over, for ``bound``; None if that cannot be done.
    """

    name: str
    doc: str
    example: str
    entry: type[Entry]
    judge: Judge
    bounded: Bounded | None = None


Bound: TypeAlias = Annotated[
    float, Field(gt=0, lt=1, description="share of fail-overs that may miss it at most, with 95 % confidence")
]
OffPath: TypeAlias = Annotated[
    bool, Field(alias="off-path", description="of the flows that do not cross the victim")
]
Packets: TypeAlias = Annotated[int, Field(ge=0, description="at most so many in a run")]
Quantile: TypeAlias = Annotated[
    float, Field(gt=0, le=1, description="for this share of the flows or packets")
]
Longest: TypeAlias = Annotated[Duration, Field(alias="longest", description="no longer than this")]


class Judge(Protocol):
    """One kind of expectation."""

    def judge(self, expected: Expected, runs: Sequence[RunFacts]) -> ExpectationResult:
        """Hold what is expected against some runs of one scenario."""


class Bounded(Protocol):
    """A kind that can be judged fail-over by fail-over."""

    def failover(self, expected: Expected, facts: RunFacts, fault: int) -> tuple[bool, bool]:
        """Whether one fail-over surely, and whether it possibly, missed what is expected."""

    def outside(self, expected: Expected, facts: RunFacts) -> tuple[bool, bool]:
        """The same of what no fail-over accounts for: returns, heals, no reason at all."""


def names(expected: Expected, facts: RunFacts) -> Iterator[str]:
    """The streams of an expectation that were counted."""
    return (name for name in expected.streams if name in facts.tallies)


def against(low: float, high: float, limit: float) -> Verdict:
    """An interval against an upper limit."""
    if low > limit:
        return Verdict.FAIL
    return Verdict.PASS if high <= limit else Verdict.INCONCLUSIVE


def at_least(low: float, high: float, limit: float) -> Verdict:
    """An interval against a lower limit."""
    if high < limit:
        return Verdict.FAIL
    return Verdict.PASS if low >= limit else Verdict.INCONCLUSIVE


def chooser(expected: Expected, facts: RunFacts) -> Callable[[FactCell], bool]:
    """Which cells an expectation is about: all, or those of flows off the path of the fault."""
    return facts.off_path if expected.off_path else lambda _cell: True


def unmeasured(expected: Expected, facts: RunFacts) -> str:
    """Why a run says nothing of what is expected; empty if it does.

    An expectation of flows off the path needs flows that are known not to cross; every other one a
    fault that some flow of its streams crossed. A run without any fault says what it says.
    """
    streams = list(names(expected, facts))
    breaking = facts.breaking
    if not streams or not any(facts.tallies[name].sent for name in streams):
        return "nothing was sent"
    if not breaking:
        return ""
    if not expected.off_path:
        reasons = [facts.unmeasured(fault, streams) for fault in breaking]
        return "" if "" in reasons else reasons[0]
    for fault in breaking:
        for name in streams:
            crossing = facts.crossings[fault].get(name)
            if crossing is None or not crossing.exact:
                return (
                    "it was not observed which flows crossed the victim, so none is known to be off its path"
                )
    apart = any(
        len(crossing.flows) < facts.tallies[name].stream.flows
        for fault in breaking
        for name in streams
        if (crossing := facts.crossings[fault].get(name)) is not None
    )
    return "" if apart else "every flow crossed the victim: none is off its path"


_ADVICE = {
    "no flow crossed the victim": "use more flows, or a fault on their path",
    "it was not observed which flows crossed the victim": "let the traffic run longer before the fault",
    "nothing was sent": "see why the sender did not start",
}


def blocked(expected: Expected, runs: Sequence[RunFacts], judged: ExpectationResult) -> ExpectationResult:
    """A verdict that is no better than INCONCLUSIVE where a run says nothing of what is expected."""
    if judged.verdict != Verdict.PASS:
        return judged
    told = [(facts.run.header.run, reason) for facts in runs if (reason := unmeasured(expected, facts))]
    if not told:
        return judged
    run, reason = told[0]
    where = f" in run {run}" if len(runs) > 1 else ""
    advice = _ADVICE.get(reason, "raise the rate, or wait longer between the fault and the return")
    return replace(
        judged, verdict=Verdict.INCONCLUSIVE, reason=f"{reason}{where}: nothing was proved", advice=advice
    )


def packets(count: float) -> str:
    """A number of packets in words."""
    return f"{int(count):,} packet{'' if count == 1 else 's'}"


def result(
    expected: Expected,
    verdict: Verdict,
    said: tuple[str, str],
    numbers: tuple[float, float, float],
    unit: str,
    *,
    advice: str = "",
) -> ExpectationResult:
    """One judged expectation; ``said``: what was measured, and the reason."""
    measured, reason = said
    low, high, limit = numbers
    return ExpectationResult(
        text=expected.text,
        kind=expected.kind,
        streams=expected.streams,
        verdict=verdict,
        measured=measured,
        reason=reason,
        low=low,
        high=high,
        limit=limit,
        unit=unit,
        advice=advice if verdict == Verdict.INCONCLUSIVE else "",
    )
