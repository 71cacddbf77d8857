"""Runs that were INCONCLUSIVE are repeated; one that failed never is, and the result says so."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from labctl.report.html import page
from labctl.report.junit import junit_xml
from labctl.report.markdown import summary_markdown
from labctl.scenario.model import Expectation
from labctl.verdict import Verdict, judge

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from make_believe import Bench

    from labctl.events import Event

NOBODY: dict[str, dict[str, set[int]]] = {"gw1": {"in": set(), "out": set()}}


def unclear(events: Sequence[Event]) -> bool:
    return judge(events).runs[0].verdict is Verdict.INCONCLUSIVE


def crossed_in(bench: Bench, *runs: int) -> Callable[[Sequence[Event]], bool]:
    """No flow crosses the victim, but in these runs, by the order in which they are carried out.

    Returns:
        Whether a run was INCONCLUSIVE; to be asked after each.
    """
    crossing = bench.backend.crossing
    seen: list[int] = []

    def now(events: Sequence[Event]) -> bool:
        seen.append(len(seen))
        bench.backend.crossing = crossing if len(seen) in runs else NOBODY
        return unclear(events)

    bench.backend.crossing = crossing if 0 in runs else NOBODY
    return now


def test_an_inconclusive_run_is_repeated_and_the_result_says_so(bench: Bench) -> None:
    result = bench.judge(runs=3, retries=1, unclear=crossed_in(bench, 0, 2, 3))
    assert result.verdict == Verdict.PASS
    assert [run.verdict for run in result.runs] == ["PASS", "INCONCLUSIVE", "PASS", "PASS"]
    assert [run.retry_of for run in result.runs] == [-1, -1, -1, 1]
    assert [run.repeated for run in result.runs] == [False, True, False, False]
    (line,) = result.retries
    assert line.startswith("run 1 was INCONCLUSIVE and repeated as run 3: no flow crossed the victim")
    for told in (page(result), summary_markdown(result)):
        assert line in told
    assert 'errors="0"' in junit_xml(result)


def test_no_more_runs_are_repeated_than_asked_and_what_stays_unclear_counts(bench: Bench) -> None:
    result = bench.judge(retries=2, unclear=crossed_in(bench))
    assert result.verdict == Verdict.INCONCLUSIVE
    assert [run.retry_of for run in result.runs] == [-1, 0, 1]
    assert len(result.retries) == 2


def test_a_run_that_failed_is_never_repeated(bench: Bench) -> None:
    result = bench.lose(0, 300).judge(retries=5, unclear=unclear)
    assert result.verdict == Verdict.FAIL
    assert len(result.runs) == 1


def forged(bench: Bench, runs: int) -> list[Event]:
    """The last run of a series claims that it repeats the first."""
    events = bench.seen(runs=runs)
    place = max(index for index, event in enumerate(events) if event.kind == "run.header")
    header = events[place]
    events[place] = replace(header, data={**header.data, "retry_of": 0})
    return events


@pytest.mark.parametrize("lost_ms", [0, 300])
def test_a_repeat_of_a_run_that_could_be_told_is_an_error(bench: Bench, lost_ms: int) -> None:
    if lost_ms:
        bench.lose(0, lost_ms)
    result = judge(forged(bench, 2))
    assert result.verdict == Verdict.ERROR
    was = "FAIL" if lost_ms else "PASS"
    assert f"run 1 repeats run 0, which is {was} and not INCONCLUSIVE" in " ".join(result.reasons)


def test_a_repeated_run_still_counts_for_a_bound(bench: Bench) -> None:
    """Else a fail-over that missed could be dropped with the run that it was in."""
    bench.expect = (
        Expectation("convergence-loss", packets=0, bound=0.99, text="bound"),
        Expectation("delay", longest_ns=1, streams=("out",), text="delay"),
    )
    events = bench.seen(runs=1, retries=1, unclear=crossed_in(bench, 1))
    result = judge(events)
    bounded = result.expectations[0]
    assert bounded.kind == "convergence-loss"
    assert "1 fail-overs were not measured" in bounded.reason
