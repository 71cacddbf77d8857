"""What can be expected of a run: one kind a file. A kind yields an interval that the evidence allows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labctl.verdict.expectations.bound import judge_bounded
from labctl.verdict.expectations.convergence_loss import CONVERGENCE_LOSS_EXPECTATION
from labctl.verdict.expectations.counters import CounterExpectation
from labctl.verdict.expectations.delay import DelayExpectation
from labctl.verdict.expectations.loss import LossExpectation
from labctl.verdict.expectations.outage import OutageExpectation

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from labctl.verdict.expectations.base import Bounded, Judge
    from labctl.verdict.facts import RunFacts
    from labctl.verdict.parse_header import Expected
    from labctl.verdict.schema import ExpectationResult

__all__ = ["BOUNDED", "JUDGES", "judge_expectation"]

BOUNDED: Mapping[str, Bounded] = {
    "loss": LossExpectation(),
    "convergence-loss": CONVERGENCE_LOSS_EXPECTATION,
    "outage": OutageExpectation(),
}
"""Kinds that can be judged fail-over by fail-over."""

JUDGES: Mapping[str, Judge] = {
    "loss": LossExpectation(),
    "convergence-loss": CONVERGENCE_LOSS_EXPECTATION,
    "outage": OutageExpectation(),
    "duplicated": CounterExpectation("duplicated"),
    "reordered": CounterExpectation("reordered"),
    "delay": DelayExpectation(),
}
"""Every kind by its key in a scenario."""


def judge_expectation(expected: Expected, runs: Sequence[RunFacts]) -> ExpectationResult:
    """Judge one expectation over some runs; with a bound fail-over by fail-over where its kind can."""
    if expected.bound and expected.kind in BOUNDED:
        return judge_bounded(BOUNDED[expected.kind], expected, runs)
    return JUDGES[expected.kind].judge(expected, runs)
