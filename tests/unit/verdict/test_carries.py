"""``carries``: whether what was taken away carried traffic, by evidence alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from labctl.scenario.model import Expectation
from labctl.verdict.schema import Verdict

if TYPE_CHECKING:
    from make_believe import Bench

    from labctl.verdict.schema import ExpectationResult


def judged(bench: Bench, at_least: int, *streams: str) -> ExpectationResult:
    names = streams or ("in", "out")
    bench.expect = (Expectation("carries", names, at_least=at_least, text=f"carries, at-least: {at_least}"),)
    (expected,) = bench.judge().expectations
    return expected


@pytest.mark.parametrize(("at_least", "verdict"), [(7, Verdict.PASS), (8, Verdict.FAIL)])
def test_the_flows_that_crossed_are_counted(bench: Bench, at_least: int, verdict: Verdict) -> None:
    bench.backend.crossing = {"gw1": {"in": {0, 1, 2, 3}, "out": {0, 1, 2}}}
    expected = judged(bench, at_least)
    assert (expected.verdict, expected.low, expected.high) == (verdict, 7, 7)
    assert expected.reason.startswith("7 flows crossed the victim of power-off gw1")


def test_a_standby_that_dies_fails_whatever_was_lost(bench: Bench) -> None:
    bench.backend.crossing = {"gw1": {"in": set(), "out": set()}}
    # That flows lost packets meanwhile is no proof of their path.
    bench.lose(0, 50)
    assert judged(bench, 1).verdict is Verdict.FAIL


def test_where_nobody_could_look_nothing_is_said(bench: Bench) -> None:
    bench.backend.watchable = False
    expected = judged(bench, 1)
    assert expected.verdict is Verdict.INCONCLUSIVE
    assert "it was not observed" in expected.reason


def test_without_a_fault_nothing_was_proved(bench: Bench) -> None:
    bench.timeline = ()
    assert judged(bench, 1).verdict is Verdict.INCONCLUSIVE
