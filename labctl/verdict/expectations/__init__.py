"""What can be expected of a run: one kind a file. A kind yields an interval that the evidence allows.

A file says everything of its kind: what a user may write, one line of documentation with an example, and
how it is judged. :data:`EXPECTATIONS` finds the files; the scenario language and its docs are made from it.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from labctl.document.kinds import discover_kinds
from labctl.verdict.expectations.base import ExpectationKind
from labctl.verdict.expectations.bound import judge_bounded

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from labctl.verdict.facts import RunFacts
    from labctl.verdict.parse_header import Expected
    from labctl.verdict.schema import ExpectationResult

__all__ = ["EXPECTATIONS", "judge_expectation"]

EXPECTATIONS: Mapping[str, ExpectationKind] = discover_kinds(
    sys.modules[__name__], ExpectationKind, beside=("base", "bound", "counters")
)
"""Every kind by its key in a scenario."""


def judge_expectation(expected: Expected, runs: Sequence[RunFacts]) -> ExpectationResult:
    """Judge one expectation over some runs; with a bound fail-over by fail-over where its kind can."""
    kind = EXPECTATIONS[expected.kind]
    if expected.bound and kind.bounded is not None:
        return judge_bounded(kind.bounded, expected, runs)
    return kind.judge.judge(expected, runs)
