"""Runs that were repeated because they were INCONCLUSIVE: which of them count, and what they may not hide.

A run that failed is never repeated. One that could not be told is set aside for expectations that are held
run by run; for those with ``bound`` it still counts, because its fail-overs are trials like all others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from labctl.verdict.schema import RunCheck, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from labctl.verdict.record import RunRecord
    from labctl.verdict.schema import RunResult

__all__ = ["repeated_runs", "retry_checks", "retry_lines"]


def repeated_runs(records: Sequence[RunRecord]) -> frozenset[int]:
    """Numbers of the runs that a later one repeats."""
    return frozenset(record.header.retry_of for record in records if record.header.retry_of >= 0)


def retry_checks(results: Sequence[RunResult]) -> Iterator[RunCheck]:
    """What is wrong with the repeats of a series: of a run that was not INCONCLUSIVE, or two of one run."""
    by_number: Mapping[int, RunResult] = {result.run: result for result in results}
    seen: set[int] = set()
    for result in results:
        if result.retry_of < 0:
            continue
        first = by_number.get(result.retry_of)
        if first is None or first.verdict != Verdict.INCONCLUSIVE:
            was = "not there" if first is None else str(first.verdict)
            yield RunCheck(
                Verdict.ERROR,
                f"run {result.run} repeats run {result.retry_of}, which is {was} and not INCONCLUSIVE",
            )
        if result.retry_of in seen:
            yield RunCheck(Verdict.ERROR, f"run {result.retry_of} is repeated twice")
        seen.add(result.retry_of)


def retry_lines(results: Sequence[RunResult]) -> Iterator[str]:
    """Each repeat in one line, with why."""
    by_number = {result.run: result for result in results}
    for result in results:
        first = by_number.get(result.retry_of)
        if first is not None:
            yield f"run {first.run} was INCONCLUSIVE and repeated as run {result.run}: {_why(first)}"


def _why(result: RunResult) -> str:
    told = [check.reason for check in result.checks if check.verdict == Verdict.INCONCLUSIVE]
    told += [one.reason for one in result.expectations if one.verdict == Verdict.INCONCLUSIVE]
    return told[0] if told else "no reason was given"
