"""``loss``: of what left after the timeline began, no more packets are lost in any run, in flight or not.

With ``at-least`` no fewer: for isolation, where packets must not arrive.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from pydantic import Field, model_validator

from labctl.document.entries import Entry, Names
from labctl.verdict.expectations.base import (
    Bound,
    ExpectationKind,
    Interval,
    OffPath,
    Packets,
    against,
    at_least,
    blocked,
    chooser,
    names,
    packets,
    result,
)
from labctl.verdict.facts import LOSS
from labctl.verdict.schema import Verdict, worst

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from labctl.verdict.facts import RunFacts
    from labctl.verdict.parse_header import Expected
    from labctl.verdict.schema import ExpectationResult

__all__ = ["KIND", "LossExpectation"]

_EITHER = "that were either in flight or lost to convergence: they were not observed on the victim's links"
_RECORD = "record evidence on the victim's links (journal format 2)"
_BEHIND = "which could not keep up"
_AGAIN = "measure again with this version"


@dataclass(frozen=True, slots=True)
class LossExpectation:
    """Packets of some classes, counted run by run.

    Attributes:
        classes: of losses that count.
        told_apart: a packet in doubt between in flight and convergence widens the interval.
        word: for people.
    """

    classes: Collection[str] = LOSS
    told_apart: bool = False
    word: str = "lost"

    def judge(self, expected: Expected, runs: Sequence[RunFacts]) -> ExpectationResult:
        """Hold each run by itself against the limit; the worst run decides."""
        intervals = [self.interval(expected, facts) for facts in runs]
        lower = expected.at_least is not None
        limit = expected.at_least if expected.at_least is not None else expected.packets
        hold = at_least if lower else against
        verdicts = [hold(one.low, one.high, limit) for one in intervals]
        verdict = worst(*verdicts)
        pick = min if lower else max
        low = pick((one.low for one in intervals), default=0)
        high = pick((one.high for one in intervals), default=0)
        measured = self._measured(intervals, verdicts)
        reason = f"{measured}; at {'least' if lower else 'most'} {limit} expected"
        advice = ""
        if verdict == Verdict.INCONCLUSIVE:
            doubts = dict(doubt for one in intervals for doubt in one.doubts)
            unclear = sum(one == Verdict.INCONCLUSIVE for one in verdicts)
            where = f" in {unclear} of {len(runs)} runs" if len(runs) > 1 else ""
            reason += f"; {int(low):,} to {int(high):,} are possible{where}: {' and '.join(doubts)}"
            advice = next(iter(doubts.values()), "")
        judged = result(expected, verdict, (measured, reason), (low, high, limit), "packets", advice=advice)
        return blocked(expected, runs, judged)

    def _measured(self, intervals: Sequence[Interval], verdicts: Sequence[Verdict]) -> str:
        counts = [int(one.told) for one in intervals]
        if len(counts) == 1:
            return f"{packets(counts[0])} {self.word}"
        missed = sum(one == Verdict.FAIL for one in verdicts)
        told = f"{packets(sum(counts))} {self.word} in {len(counts)} runs, at most {max(counts)} in one"
        return told + (f"; {missed} runs missed" if missed else "")

    def interval(
        self, expected: Expected, facts: RunFacts, faults: Collection[int] | None = None
    ) -> Interval:
        """Packets lost in a run (or at some of its faults), and the least and the most in truth."""
        chosen = chooser(expected, facts)
        streams = list(names(expected, facts))
        least = counted = doubtful_in = doubtful_out = 0
        for name in streams:
            one = facts.count([name], self.classes, faults=faults, chosen=chosen)
            others = facts.count([name], LOSS - set(self.classes), faults=faults, chosen=chosen)
            counted += one.packets
            doubtful_in += one.doubtful if self.told_apart else 0
            doubtful_out += others.doubtful if self.told_apart else 0
            sure = one.packets - (one.doubtful if self.told_apart else 0)
            # So many packets may have arrived, and the receiver dropped them.
            least += max(sure - facts.tallies[name].receiver.overflowed, 0)
        overflowed = sum(facts.tallies[name].receiver.overflowed for name in streams)
        # Counted for a whole lab (or machine), so once, and not once a stream.
        backlog = max((facts.tallies[name].receiver.backlog_dropped for name in streams), default=0)
        hidden = sum(facts.hidden(name) for name in streams) if faults is None else 0
        late = sum(facts.late(name) for name in streams) if faults is None else 0
        low = max(least - backlog, 0)
        high = counted + doubtful_out + hidden + late
        either = doubtful_in + doubtful_out
        tmax = f"{facts.run.header.tmax_ns / 1e9:g} s"
        doubts = (
            (hidden, f"{packets(hidden)} held back by the sender around a fault", "run on a quieter machine"),
            (
                either,
                f"{packets(either)} {_EITHER}",
                _RECORD,
            ),
            (overflowed, f"{packets(overflowed)} dropped by the receiver itself", "lower the rate"),
            (backlog, f"{packets(backlog)} dropped by this machine's kernel, {_BEHIND}", "lower the rate"),
            (late, f"packets later than Tmax ({tmax}) were not counted", _AGAIN),
        )
        told = tuple((text, advice) for count, text, advice in doubts if count)
        return Interval(low, high, counted, told)

    def failover(self, expected: Expected, facts: RunFacts, fault: int) -> tuple[bool, bool]:
        """Whether one fail-over surely, and whether it possibly, lost more than allowed."""
        one = self.interval(expected, facts, {fault})
        hidden = any(facts.stalled(fault, name) or facts.late(name) for name in names(expected, facts))
        return one.low > expected.packets, one.high > expected.packets or hidden

    def outside(self, expected: Expected, facts: RunFacts) -> tuple[bool, bool]:
        """Whether more than allowed was lost at returns, heals, or for no reason at all."""
        others = {-1, *(index for index, action in enumerate(facts.run.actions) if not action.breaks)}
        one = self.interval(expected, facts, others)
        return one.low > expected.packets, one.high > expected.packets


class LossEntry(Entry):
    """``loss`` as a user writes it: at most, or at least, so many packets."""

    streams: Annotated[Names, Field(alias="loss", description="streams whose every lost packet counts")]
    packets: Packets | None = None
    at_least: Annotated[
        int | None, Field(ge=1, alias="at-least", description="so many must be lost: for isolation")
    ] = None
    off_path: OffPath = False
    bound: Bound | None = None

    @model_validator(mode="after")
    def _one_limit(self) -> LossEntry:
        if self.packets is None and self.at_least is None:
            raise ValueError("loss needs packets or at-least")
        if self.packets is not None and self.at_least is not None:
            raise ValueError("loss takes one of packets and at-least: write two expectations")
        if self.at_least is not None and self.bound is not None:
            raise ValueError("bound counts fail-overs that lost too much: it does not go with at-least")
        return self


_JUDGE = LossExpectation()

KIND = ExpectationKind(
    name="loss",
    doc="in each run, at most so many packets are lost after the timeline began, in-flight loss included;"
    " with `at-least: N` no fewer: for traffic that must not pass",
    example="{loss: all, packets: 3}",
    entry=LossEntry,
    judge=_JUDGE,
    bounded=_JUDGE,
)
