"""``bound``: with 95 % confidence no larger share of fail-overs misses an expectation.

A fail-over counts if it was measured, or if it missed; one that says nothing is no success. The bound
is that of independent trials (Clopper-Pearson, one-sided).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from labctl.verdict.expectations.base import against, names, result, unmeasured
from labctl.verdict.schema import Verdict
from labctl.verdict.statistics import lower_bound, trials_needed, upper_bound

if TYPE_CHECKING:
    from collections.abc import Sequence

    from labctl.verdict.expectations.base import Bounded
    from labctl.verdict.facts import RunFacts
    from labctl.verdict.parse_header import Expected
    from labctl.verdict.schema import ExpectationResult

__all__ = ["judge_bounded"]


def judge_bounded(kind: Bounded, expected: Expected, runs: Sequence[RunFacts]) -> ExpectationResult:
    """Judge an expectation fail-over by fail-over, over all runs."""
    trials = misses = doubtful = silent = 0
    for facts in runs:
        streams = list(names(expected, facts))
        for fault in facts.breaking:
            sure, possible = kind.failover(expected, facts, fault)
            if not sure and facts.unmeasured(fault, streams):
                silent += 1
                continue
            trials += 1
            misses += sure
            doubtful += possible and not sure
    outside = [kind.outside(expected, facts) for facts in runs]
    low, high = lower_bound(misses, trials), upper_bound(misses + doubtful, trials)
    verdict = against(low, high, expected.bound)
    measured = f"{misses} of {trials} measured fail-overs missed: at most {high:.1%} with 95 % confidence"
    reason = f"{measured}; {expected.bound:.1%} expected"
    advice = ""
    if silent:
        why = next((text for facts in runs if (text := unmeasured(expected, facts))), "")
        reason += f"; {silent} fail-overs were not measured and do not count" + (f" ({why})" if why else "")
    if verdict == Verdict.INCONCLUSIVE:
        needed = trials_needed(expected.bound)
        if doubtful:
            reason += f"; {doubtful} fail-overs may have missed"
        else:
            reason += f": too few fail-overs, {needed} without a miss would show it"
        advice = f"more runs, until {needed} fail-overs are measured"
    missed = sum(sure for sure, _ in outside)
    if missed:
        verdict = Verdict.FAIL
        reason = f"{missed} runs missed it outside of any fail-over; {reason}"
    elif verdict == Verdict.PASS and any(possible for _, possible in outside):
        verdict = Verdict.INCONCLUSIVE
        reason = f"a run may have missed it outside of any fail-over; {reason}"
    return result(expected, verdict, (measured, reason), (low, high, expected.bound), "share", advice=advice)
