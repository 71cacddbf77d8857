"""The little statistics that a verdict needs, exact rather than approximate."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "CONFIDENCE",
    "fisher_more",
    "lower_bound",
    "nearest_rank",
    "quantile_range",
    "trials_needed",
    "upper_bound",
]

CONFIDENCE = 0.95


def upper_bound(failures: int, trials: int, confidence: float = CONFIDENCE) -> float:
    """The largest share of failures that so many in so many trials leave credible.

    Clopper-Pearson, one-sided: the p at which ``failures`` or fewer have probability
    ``1 - confidence``. With none it is ``1 - (1 - confidence) ** (1 / trials)``.

    Args:
        failures: 0 to ``trials``.
        trials: 0 or more; without trials everything is credible and the bound is 1.
        confidence: between 0 and 1.
    """
    if trials == 0 or failures >= trials:
        return 1.0
    if failures == 0:
        return float(1 - (1 - confidence) ** (1 / trials))
    ways = _log_combinations(failures, trials)
    return _bisect(lambda share: _at_most(ways, trials, share) - (1 - confidence))


def lower_bound(failures: int, trials: int, confidence: float = CONFIDENCE) -> float:
    """The smallest share of failures that so many in so many trials leave credible; one-sided."""
    if trials == 0 or failures <= 0:
        return 0.0
    ways = _log_combinations(failures - 1, trials)
    return _bisect(lambda share: confidence - _at_most(ways, trials, share), rising=True)


def fisher_more(some: int, of: int, others: int, of_others: int) -> float:
    """How likely it is by chance alone that a share is as much larger than another as it is, or more.

    Fisher's exact test, one-sided: given both sums, the first count is hypergeometric.

    Args:
        some: failures of the first ...
        of: ... in so many trials.
        others: failures of the second ...
        of_others: ... in so many trials.
    """
    failures = some + others
    ways = sum(
        math.comb(of, count) * math.comb(of_others, failures - count)
        for count in range(some, min(of, failures) + 1)
    )
    return ways / math.comb(of + of_others, failures)


def trials_needed(share: float, confidence: float = CONFIDENCE) -> int:
    """How many trials without a failure it takes to show a share no larger than this."""
    return math.ceil(math.log(1 - confidence) / math.log(1 - share))


def nearest_rank(values: Sequence[int], quantile: float) -> int:
    """The smallest value that so large a share of all values does not exceed; 0 of nothing."""
    if not values:
        return 0
    ordered = sorted(values)
    # Less a hair: 0.95 * 20 must be the 19th, whatever binary fractions make of it.
    return ordered[max(math.ceil(quantile * len(ordered) - 1e-9), 1) - 1]


def quantile_range(values: Sequence[int], quantile: float, confidence: float = CONFIDENCE) -> tuple[int, int]:
    """Between which of the values a quantile of what they were drawn from lies; 0 to 0 of nothing.

    Distribution-free, by order statistics: how many of ``n`` independent values lie below a quantile
    is binomial. Where too few values bound it, it ends at the smallest or the largest of them.
    """
    if not values:
        return 0, 0
    ordered, count, tail = sorted(values), len(values), (1 - confidence) / 2

    def at_most(rank: int) -> float:
        return _at_most(_log_combinations(rank, count), count, quantile)

    low = bisect_right(range(count), tail, key=at_most) - 1
    high = bisect_left(range(count), 1 - tail, key=at_most)
    return ordered[max(low, 0)], ordered[min(high, count - 1)]


def _at_most(ways: Sequence[float], trials: int, share: float) -> float:
    """P(X < len(ways)) of a binomial; summed by logarithms so that large trials do not overflow."""
    if share <= 0:
        return 1.0
    if share >= 1:
        return 1.0 if len(ways) > trials else 0.0
    failed, passed = math.log(share), math.log1p(-share)
    logs = (log + count * failed + (trials - count) * passed for count, log in enumerate(ways))
    return min(math.fsum(math.exp(value) for value in logs), 1.0)


def _log_combinations(failures: int, trials: int) -> tuple[float, ...]:
    """Logarithms of the ways to choose 0 to ``failures`` of so many trials: the same for every share."""
    return tuple(
        math.lgamma(trials + 1) - math.lgamma(count + 1) - math.lgamma(trials - count + 1)
        for count in range(failures + 1)
    )


def _bisect(function: object, *, rising: bool = False) -> float:
    """Zero of a monotone function on [0, 1]."""
    if not callable(function):
        raise TypeError(function)
    low, high = 0.0, 1.0
    for _ in range(100):
        middle = (low + high) / 2
        if middle in (low, high):  # nothing between them has a float of its own
            break
        above = function(middle) > 0
        if above != rising:
            low = middle
        else:
            high = middle
    return high
