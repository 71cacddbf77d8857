"""A result as a program holds it: what the verdict says, and the journal that it was made of."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING

from labctl.errors import InputError
from labctl.journal.file import JOURNAL_NAME, JournalWriter, read_journal
from labctl.verdict import judge
from labctl.verdict.comparison import compare
from labctl.verdict.copies import copies
from labctl.verdict.statistics import CONFIDENCE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from labctl.events import Event
    from labctl.verdict.comparison import Comparison
    from labctl.verdict.schema import (
        ExpectationResult,
        FailoverStatistics,
        OutageStatistics,
        Result,
        RunResult,
        Verdict,
    )

__all__ = ["JudgedResult", "result_of"]

_WIDTH = 100


class JudgedResult:
    """Everything that a verdict says of a journal: ``result.json``, and what can be done with it.

    Attributes:
        data: the whole of it, as ``result.json`` has it.
        events: the journal.
        folder: where its files are; None before they were written.
    """

    def __init__(self, events: Sequence[Event], folder: Path | None = None) -> None:
        """Judge a journal.

        Raises:
            InputError: these are no journal's events.
        """
        self.events = tuple(events)
        self.data: Result = judge(self.events)
        self.folder = folder

    def __repr__(self) -> str:
        return f"<Result {self.name}: {self.verdict}>"

    @property
    def name(self) -> str:
        """Of the scenario, or of the traffic."""
        return self.data.name

    @property
    def verdict(self) -> Verdict:
        """What can be said in the end."""
        return self.data.verdict

    @property
    def exit_code(self) -> int:
        """Of a process that says it: 0 PASS, 1 FAIL, 2 ERROR, 3 INCONCLUSIVE, 130 INTERRUPTED."""
        return self.data.exit_code

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why the verdict is what it is, the weightiest first."""
        return self.data.reasons

    @property
    def expectations(self) -> tuple[ExpectationResult, ...]:
        """Each expectation, judged."""
        return self.data.expectations

    @property
    def failovers(self) -> FailoverStatistics:
        """Over all runs."""
        return self.data.failovers

    @property
    def outages(self) -> OutageStatistics:
        """Over all flows that crossed a victim or were hit, ns."""
        return self.data.outages

    @property
    def runs(self) -> tuple[RunResult, ...]:
        """Each run, with its faults and streams."""
        return self.data.runs

    def compare(
        self,
        baseline: JudgedResult | Path,
        *,
        confidence: float = CONFIDENCE,
        tolerance: Mapping[str, float] | None = None,
    ) -> Comparison:
        """Whether this result is worse than a baseline; see :mod:`labctl.verdict.comparison`.

        Args:
            baseline: a result, or the folder of one.
            confidence: of each row, between 0 and 1.
            tolerance: by the name of a row, how much larger it may be: ns, packets, or share.

        Raises:
            InputError: the folder holds no sound journal, the two are copies of one run, or a row has another
                name.
        """
        base = baseline if isinstance(baseline, JudgedResult) else _baseline(baseline)
        if problems := list(copies({"baseline": base.events, "new result": self.events})):
            raise InputError(problems)
        return compare(base.data, self.data, confidence=confidence, tolerance=tolerance or {})

    def write(self, folder: Path) -> None:
        """Write journal.jsonl, result.json, report.html, junit.xml and summary.md.

        Raises:
            HostError: a file cannot be written.
        """
        from labctl.report.write import write_report  # noqa: PLC0415 - drawing a page is not what tests do

        folder.mkdir(parents=True, exist_ok=True)
        if self.folder != folder:
            with JournalWriter(folder / JOURNAL_NAME) as journal:
                for event in self.events:
                    journal(event)
        write_report(self.data, folder)
        self.folder = folder

    def explain(self) -> str:
        """What ``labctl run`` prints: what was sent, what was lost when, and why the verdict is so."""
        from rich.console import Console  # noqa: PLC0415 - asked for when something failed

        from labctl.report.terminal import summary  # noqa: PLC0415

        text = io.StringIO()
        Console(file=text, width=_WIDTH, no_color=True, highlight=False).print(summary(self.data))
        lines = "\n".join(line.rstrip() for line in text.getvalue().splitlines())
        return re.sub(r"\n{3,}", "\n\n", lines).strip("\n")


def _baseline(folder: Path) -> JudgedResult:
    from labctl.report.baseline import check_baseline  # noqa: PLC0415 - as the report, not needed by most

    check_baseline(folder)
    return result_of(folder)


def result_of(folder: Path) -> JudgedResult:
    """Judge the journal in a folder.

    Raises:
        InputError: there is none, or it is damaged.
    """
    return JudgedResult(read_journal(folder / JOURNAL_NAME), folder)
