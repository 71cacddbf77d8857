"""journal -> result. Pure: the same events give the same result, at any time, on any machine."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from labctl.verdict.expectations import judge_expectation
from labctl.verdict.facts import RunFacts, make_facts
from labctl.verdict.integrity import run_damage, series_damage
from labctl.verdict.record import RunRecord, read_runs
from labctl.verdict.retries import repeated_runs, retry_checks, retry_lines
from labctl.verdict.schema import (
    FORMAT,
    ExpectationResult,
    FailoverStatistics,
    FaultResult,
    OutageStatistics,
    Result,
    RunCheck,
    RunResult,
    Verdict,
    worst,
)
from labctl.verdict.statistics import nearest_rank, quantile_range, upper_bound
from labctl.verdict.views import fault_results, outage_rows, stream_results

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from labctl.events import Event
    from labctl.verdict.parse_header import Expected

__all__ = ["judge"]


def judge(events: Sequence[Event]) -> Result:
    """Judge a journal: one run or a series of the same scenario.

    Raises:
        InputError: these are no journal's events.
    """
    records = read_runs(events)
    runs = [make_facts(record) for record in records]
    header = records[0].header
    repeated = repeated_runs(records)
    counted = [facts for facts in runs if facts.run.header.run not in repeated]
    expectations = tuple(_expectation(one, runs if one.bound else counted) for one in header.expect)
    results = tuple(replace(one, repeated=one.run in repeated) for one in map(_run, runs))
    checks = [
        *_unique_checks([result for result in results if not result.repeated]),
        *retry_checks(results),
        *(RunCheck(Verdict.ERROR, str(damage)) for damage in series_damage(records)),
        *_series_checks(len(counted), header.runs, records[-1].ended),
    ]
    verdict = worst(*(check.verdict for check in checks), *(one.verdict for one in expectations))
    return Result(
        format=FORMAT,
        name=header.name,
        verdict=verdict,
        exit_code=verdict.exit_code,
        reasons=_reasons(verdict, checks, expectations),
        expectations=expectations,
        failovers=_failovers(results, breaks=True),
        returns=_failovers(results, breaks=False),
        outages=_outages(results),
        runs=results,
        runs_asked=header.runs,
        retries=tuple(retry_lines(results)),
        about={**header.about, **records[0].about},
    )


def _expectation(expected: Expected, runs: Sequence[RunFacts]) -> ExpectationResult:
    return replace(judge_expectation(expected, runs), off_path=expected.off_path)


def _run(facts: RunFacts) -> RunResult:
    record = facts.run
    header = record.header
    expectations = tuple(_expectation(one, [facts]) for one in header.expect if not one.bound)
    faults, streams = fault_results(facts), stream_results(facts)
    checks = tuple(_checks(facts, faults))
    begin = record.zero_ns or header.monotonic_ns
    return RunResult(
        run=header.run,
        verdict=worst(*(check.verdict for check in checks), *(one.verdict for one in expectations)),
        started=_real_time(header.realtime_ns + begin - header.monotonic_ns),
        length_ns=max([begin, *(tally.end_ns for tally in record.tallies.values())]) - begin,
        checks=checks,
        expectations=expectations,
        faults=faults,
        streams=streams,
        facts=tuple(cell for cells in facts.cells.values() for cell in cells),
        outages=outage_rows(facts),
        retry_of=header.retry_of,
    )


_LAST_NS = 253_402_300_799_000_000_000
"""The last second of the year 9999: what a damaged clock tells beyond it is shown as that."""


def _real_time(real_ns: int) -> str:
    moment = datetime.fromtimestamp(min(max(real_ns, 0), _LAST_NS) / 1e9, UTC)
    return moment.isoformat(timespec="milliseconds")


def _checks(facts: RunFacts, faults: Sequence[FaultResult]) -> Iterator[RunCheck]:
    """What keeps a run from being a measurement of what was asked. Only failed checks are told."""
    record = facts.run
    yield from (RunCheck(Verdict.ERROR, str(damage)) for damage in run_damage(record))
    yield from _ending(record)
    for change in record.disturbed:
        yield RunCheck(Verdict.ERROR, f"another program changed the lab during the run: {change}")
    if not record.header.expect:
        yield RunCheck(Verdict.INCONCLUSIVE, "the scenario expects nothing: nothing was judged")
    yield from _traffic_checks(facts)
    for fault in faults:
        told, awaited = fault.carriers
        if fault.breaks and not fault.silent and told < max(awaited, 1):
            reason = f"{fault.action} {fault.label} had no effect at {awaited - told or 'any'} of its peers"
            yield RunCheck(Verdict.ERROR, reason)
    for action in record.actions:
        if action.missed:
            yield RunCheck(Verdict.FAIL, f"check of step {action.step + 1} missed: {action.missed}")
    for missed in record.missed:
        if missed.when == "after":
            verdict = Verdict.ERROR if missed.kind == "ready" else Verdict.FAIL
            yield RunCheck(verdict, f"not steady again after the last heal: {missed.condition}")


def _ending(record: RunRecord) -> Iterator[RunCheck]:
    for error in record.errors:
        yield RunCheck(Verdict.ERROR, error)
    if record.ended == "interrupted":
        yield RunCheck(Verdict.INTERRUPTED, "interrupted")
    elif not record.ended:
        yield RunCheck(Verdict.ERROR, "the journal ends in the middle of the run: labctl was killed")


def _traffic_checks(facts: RunFacts) -> Iterator[RunCheck]:
    record = facts.run
    if record.ended != "done":
        return  # it has been told why
    for name in record.header.streams:
        tally = facts.tallies.get(name)
        if tally is None or tally.sent == 0:
            yield RunCheck(Verdict.INCONCLUSIVE, f"stream {name} sent nothing")
            continue
        silent = sum(flow.sent == 0 for flow in tally.flows) + tally.stream.flows - len(tally.flows)
        if silent:
            yield RunCheck(Verdict.INCONCLUSIVE, f"{silent} flows of stream {name} sent nothing")
    if not record.header.streams:
        yield RunCheck(Verdict.INCONCLUSIVE, "there was no traffic")


def _series_checks(done: int, asked: int, ended: str) -> Iterator[RunCheck]:
    if done < asked and ended != "interrupted":
        yield RunCheck(Verdict.ERROR, f"only {done} of {asked} runs took place")


def _unique_checks(results: Sequence[RunResult]) -> list[RunCheck]:
    """Every check of every run; what several runs say is said once, with their number."""
    runs: dict[RunCheck, list[int]] = {}
    for result in results:
        for check in result.checks:
            runs.setdefault(check, []).append(result.run)
    if len(results) == 1:
        return list(runs)
    return [
        RunCheck(check.verdict, f"{check.reason} (run {', '.join(map(str, numbers))})")
        if len(numbers) < len(results)
        else RunCheck(check.verdict, f"{check.reason} (every run)")
        for check, numbers in runs.items()
    ]


def _reasons(
    verdict: Verdict, checks: Sequence[RunCheck], expectations: Sequence[ExpectationResult]
) -> tuple[str, ...]:
    if verdict == Verdict.PASS:
        return tuple(one.measured for one in expectations)
    told = [*checks, *(RunCheck(one.verdict, f"{one.text}: {one.reason}") for one in expectations)]
    # The weightiest first; sorting keeps the order of equals.
    told.sort(key=lambda check: list(Verdict).index(check.verdict), reverse=True)
    return tuple(check.reason for check in told if check.verdict != Verdict.PASS)


def _failovers(runs: Sequence[RunResult], *, breaks: bool) -> FailoverStatistics:
    """Fail-overs that were measured, or that lost packets; of returns all."""
    faults = [fault for run in runs for fault in run.faults if fault.breaks == breaks]
    trials = [fault for fault in faults if fault.measured or not fault.breaks]
    lossy = sum(fault.convergence_loss > 0 for fault in trials)
    doubtful = sum(fault.convergence_loss == 0 and fault.classes.doubtful > 0 for fault in trials)
    return FailoverStatistics(
        trials=len(trials),
        null=len(faults) - len(trials),
        lossy=sum(fault.in_flight + fault.convergence_loss > 0 for fault in trials),
        lossy_convergence=lossy,
        doubtful=doubtful,
        bound_convergence=upper_bound(lossy + doubtful, len(trials)),
    )


def _outages(runs: Sequence[RunResult]) -> OutageStatistics:
    rows = [row for run in runs for row in run.outages if row.fault >= 0 and not row.unjudged]
    values = [row.outage_ns for row in rows]
    longest = max(rows, key=lambda row: row.outage_ns, default=None)
    return OutageStatistics(
        flows=len(rows),
        hit=sum(value > 0 for value in values),
        open=sum(row.open for row in rows),
        p50_ns=nearest_rank(values, 0.5),
        p95_ns=nearest_rank(values, 0.95),
        p99_ns=nearest_rank(values, 0.99),
        max_ns=max(values, default=0),
        p50_range_ns=quantile_range(values, 0.5),
        p95_range_ns=quantile_range(values, 0.95),
        error_ns=longest.error_ns if longest else 0,
    )
