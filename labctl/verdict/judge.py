"""journal -> result. Pure: the same events give the same result, at any time, on any machine."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from labctl.verdict.expect import judge_expectation
from labctl.verdict.faults import Measured, measure, spacing_ns
from labctl.verdict.record import RunRecord, read_runs
from labctl.verdict.schema import (
    FORMAT,
    Check,
    ExpectationResult,
    FailoverStatistics,
    OutageStatistics,
    Result,
    RunResult,
    Verdict,
    worst,
)
from labctl.verdict.statistics import nearest_rank, upper_bound

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from labctl.events import Event

__all__ = ["judge"]


def judge(events: Sequence[Event]) -> Result:
    """Judge a journal: one run or a series of the same scenario.

    Raises:
        InputError: these are no journal's events.
    """
    records = read_runs(events)
    runs = [measure(record) for record in records]
    wishes = records[0].expect
    expectations = tuple(judge_expectation(wish, runs) for wish in wishes)
    results = tuple(_run(run) for run in runs)
    header = records[0].header
    asked = int(header["runs"])
    checks = [*_unique_checks(results), *_series_checks(len(records), asked, records[-1].ended)]
    verdict = worst(*(check.verdict for check in checks), *(one.verdict for one in expectations))
    return Result(
        format=FORMAT,
        name=header["scenario"]["name"],
        verdict=verdict,
        exit_code=verdict.exit_code,
        reasons=_reasons(verdict, checks, expectations),
        expectations=expectations,
        failovers=_failovers(runs, breaks=True),
        returns=_failovers(runs, breaks=False),
        outages=_outages(runs),
        runs=results,
        runs_asked=asked,
        about={
            **{
                key: header[key]
                for key in ("scenario", "topology", "lab", "machine", "versions", "seed", "clock")
            },
            **records[0].about,
        },
    )


def _run(run: Measured) -> RunResult:
    record = run.run
    expectations = tuple(judge_expectation(wish, [run]) for wish in record.expect if not wish.bound)
    checks = tuple(_checks(run))
    clock = record.header["clock"]
    begin = record.zero_ns or clock["monotonic_ns"]
    real_s = (clock["realtime_ns"] + begin - clock["monotonic_ns"]) / 1e9
    return RunResult(
        run=record.header["run"],
        verdict=worst(*(check.verdict for check in checks), *(one.verdict for one in expectations)),
        started=datetime.fromtimestamp(real_s, UTC).isoformat(timespec="milliseconds"),
        length_ns=max((tally.end_ns for tally in record.tallies), default=begin) - begin,
        checks=checks,
        expectations=expectations,
        faults=run.faults,
        streams=run.streams,
    )


def _checks(run: Measured) -> Iterator[Check]:
    """What keeps a run from being a measurement of what was asked. Only failed checks are told."""
    record = run.run
    yield from _ending(record)
    if not record.expect:
        yield Check(Verdict.INCONCLUSIVE, "the scenario expects nothing: nothing was judged")
    yield from _traffic_checks(run)
    for fault in run.faults:
        told, awaited = fault.carriers
        if fault.breaks and not fault.silent and told < max(awaited, 1):
            reason = f"{fault.action} {fault.label} had no effect at {awaited - told or 'any'} of its peers"
            yield Check(Verdict.ERROR, reason)
    breaking = [fault for fault in run.faults if fault.breaks]
    # Whoever expects that others lose nothing does not ask how those who crossed were repaired.
    repaired = not all(wish.off_path for wish in record.expect)
    if repaired and breaking and all(fault.crossed <= 0 for fault in breaking):
        watched = any(fault.crossed == 0 for fault in breaking)
        reason = "no flow crossed the victim" if watched else "nobody saw which flows crossed the victim"
        yield Check(Verdict.INCONCLUSIVE, f"{reason}: the run says nothing of a repair")
    for missed in record.missed:
        if missed.when == "after":
            verdict = Verdict.ERROR if missed.kind == "ready" else Verdict.FAIL
            yield Check(verdict, f"not steady again after the last heal: {missed.condition}")


def _ending(record: RunRecord) -> Iterator[Check]:
    for error in record.errors:
        yield Check(Verdict.ERROR, error)
    if record.ended == "interrupted":
        yield Check(Verdict.INTERRUPTED, "interrupted")
    elif not record.ended:
        yield Check(Verdict.ERROR, "the journal ends in the middle of the run: labctl was killed")


def _traffic_checks(run: Measured) -> Iterator[Check]:
    record = run.run
    if record.ended != "done":
        return  # it has been told why
    for name in record.streams:
        tally = run.tallies.get(name)
        if tally is None or tally.sent == 0:
            yield Check(Verdict.INCONCLUSIVE, f"stream {name} sent nothing")
            continue
        silent = sum(flow.sent == 0 for flow in tally.flows) + tally.stream.flows - len(tally.flows)
        if silent:
            yield Check(Verdict.INCONCLUSIVE, f"{silent} flows of stream {name} sent nothing")
    if not record.streams:
        yield Check(Verdict.INCONCLUSIVE, "there was no traffic")


def _series_checks(done: int, asked: int, ended: str) -> Iterator[Check]:
    if done < asked and ended != "interrupted":
        yield Check(Verdict.ERROR, f"only {done} of {asked} runs took place")


def _unique_checks(results: Sequence[RunResult]) -> list[Check]:
    """Every check of every run; what several runs say is said once, with their number."""
    runs: dict[Check, list[int]] = {}
    for result in results:
        for check in result.checks:
            runs.setdefault(check, []).append(result.run)
    if len(results) == 1:
        return list(runs)
    return [
        Check(check.verdict, f"{check.reason} (run {', '.join(map(str, numbers))})")
        if len(numbers) < len(results)
        else Check(check.verdict, f"{check.reason} (every run)")
        for check, numbers in runs.items()
    ]


def _reasons(
    verdict: Verdict, checks: Sequence[Check], expectations: Sequence[ExpectationResult]
) -> tuple[str, ...]:
    if verdict == Verdict.PASS:
        return tuple(one.measured for one in expectations)
    told = [*checks, *(Check(one.verdict, f"{one.text}: {one.reason}") for one in expectations)]
    # The weightiest first; sorting keeps the order of equals.
    told.sort(key=lambda check: list(Verdict).index(check.verdict), reverse=True)
    return tuple(check.reason for check in told if check.verdict != Verdict.PASS)


def _failovers(runs: Sequence[Measured], *, breaks: bool) -> FailoverStatistics:
    trials = null = lossy = lossy_repair = 0
    for run in runs:
        for fault in run.faults:
            if fault.breaks != breaks:
                continue
            if breaks and fault.crossed <= 0:
                null += 1
                continue
            trials += 1
            lossy += fault.in_flight + fault.repair > 0
            lossy_repair += fault.repair > 0
    return FailoverStatistics(trials, null, lossy, lossy_repair, upper_bound(lossy_repair, trials))


def _outages(runs: Sequence[Measured]) -> OutageStatistics:
    longest: list[int] = []
    error = 0
    for run in runs:
        for name, tally in run.tallies.items():
            if name in run.beside:
                continue
            error = max(error, spacing_ns(tally))
            for fault, crossed in zip(run.faults, run.crossed, strict=True):
                if not fault.breaks or crossed is None:
                    continue
                for number, pairs in enumerate(run.losses[name].owners):
                    spans = [span.outage_ns for owner, span in pairs if owner == fault.index]
                    if spans or number in crossed.get(name, ()):
                        longest.append(max(spans, default=0))
    return OutageStatistics(
        flows=len(longest),
        hit=sum(value > 0 for value in longest),
        p50_ns=nearest_rank(longest, 0.5),
        p95_ns=nearest_rank(longest, 0.95),
        p99_ns=nearest_rank(longest, 0.99),
        max_ns=max(longest, default=0),
        error_ns=error,
    )
