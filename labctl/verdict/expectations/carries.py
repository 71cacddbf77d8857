"""``carries``: each fault took something away that carried traffic: a standby that dies proves nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from labctl.document.entries import Entry, Names
from labctl.verdict.expectations.base import ExpectationKind, at_least, names, result
from labctl.verdict.schema import Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from labctl.verdict.facts import RunFacts
    from labctl.verdict.parse_header import Expected
    from labctl.verdict.schema import ExpectationResult

__all__ = ["KIND"]


class CarriesEntry(Entry):
    """``carries`` as a user writes it."""

    streams: Annotated[Names, Field(alias="carries", description="streams whose flows must cross the victim")]
    at_least: Annotated[int, Field(ge=1, alias="at-least", description="so many flows at each fault")]


@dataclass(frozen=True, slots=True)
class _Seen:
    """Flows that crossed the victim of one fault: no fewer than ``low``, no more than ``high``."""

    low: int
    high: int
    told: str


class CarriesExpectation:
    """By what was recorded on the victims' links alone: that a flow lost packets says nothing of its path."""

    def judge(self, expected: Expected, runs: Sequence[RunFacts]) -> ExpectationResult:
        """The fault that the fewest flows crossed decides."""
        limit = expected.at_least or 0
        seen = [_seen(expected, facts, fault) for facts in runs for fault in facts.breaking]
        if not seen:
            said = ("no fault", "nothing was taken away: nothing was proved")
            return result(expected, Verdict.INCONCLUSIVE, said, (0, 0, limit), "flows", advice="add a fault")
        least = min(seen, key=lambda one: (one.high, one.low))
        low, high = min(one.low for one in seen), least.high
        verdict = at_least(low, high, limit)
        measured = f"{low} flows at least" if low == high else f"{low} to {high} flows at least"
        reason = f"{least.told}; at least {limit} expected at each fault"
        if verdict == Verdict.INCONCLUSIVE:
            reason += ": it was not observed which flows crossed the victim"
        advice = "let the traffic run longer before the fault"
        return result(expected, verdict, (measured, reason), (low, high, limit), "flows", advice=advice)


def _seen(expected: Expected, facts: RunFacts, fault: int) -> _Seen:
    low = high = 0
    for name in names(expected, facts):
        crossing = facts.crossings[fault].get(name)
        if crossing is None:
            high += facts.tallies[name].stream.flows
        else:
            low += len(crossing.flows) if crossing.sure else 0
            high += len(crossing.flows)
    action = facts.run.actions[fault]
    count = str(low) if low == high else f"{low} to {high}"
    return _Seen(low, high, f"{count} flows crossed the victim of {action.action} {action.label}")


KIND = ExpectationKind(
    name="carries",
    doc="at each fault, at least so many flows of these streams crossed what was taken away, by what was"
    " recorded on its links: a standby that dies proves nothing",
    example="{carries: all, at-least: 8}",
    entry=CarriesEntry,
    judge=CarriesExpectation(),
)
