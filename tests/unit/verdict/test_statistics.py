"""The bounds against their closed forms and against counting."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.verdict.statistics import (
    lower_bound,
    nearest_rank,
    quantile_range,
    trials_needed,
    upper_bound,
)


@given(st.integers(1, 5000))
def test_without_failures_the_bound_has_a_closed_form(trials: int) -> None:
    assert upper_bound(0, trials) == pytest.approx(1 - 0.05 ** (1 / trials))


# Clopper-Pearson, one-sided 95 %: quantiles of the beta distribution from published tables.
@pytest.mark.parametrize(
    ("failures", "trials", "bound"),
    [
        (1, 10, 0.3942),
        (2, 20, 0.2826),
        (5, 10, 0.7776),
        (1, 59, 0.0779),
        (0, 59, 0.0495),
        (3, 3, 1.0),
        (0, 0, 1.0),
    ],
)
def test_upper_bounds_as_in_tables(failures: int, trials: int, bound: float) -> None:
    assert upper_bound(failures, trials) == pytest.approx(bound, abs=6e-4)


@given(st.integers(1, 80).flatmap(lambda trials: st.tuples(st.integers(0, trials), st.just(trials))))
def test_the_upper_bound_is_where_so_few_failures_have_one_chance_in_twenty(pair: tuple[int, int]) -> None:
    failures, trials = pair
    bound = upper_bound(failures, trials)
    if failures == trials:
        assert bound == 1
        return
    chance = sum(
        math.comb(trials, count) * bound**count * (1 - bound) ** (trials - count)
        for count in range(failures + 1)
    )
    assert chance == pytest.approx(0.05, rel=1e-6)
    assert lower_bound(failures, trials) <= failures / trials <= bound


@given(st.integers(1, 300).flatmap(lambda trials: st.tuples(st.integers(0, trials - 1), st.just(trials))))
def test_more_failures_raise_both_bounds(pair: tuple[int, int]) -> None:
    failures, trials = pair
    assert upper_bound(failures, trials) < upper_bound(failures + 1, trials) + 1e-12
    assert lower_bound(failures, trials) < lower_bound(failures + 1, trials)


@given(st.floats(0.001, 0.9))
def test_so_many_trials_show_it_and_one_fewer_does_not(share: float) -> None:
    trials = trials_needed(share)
    assert upper_bound(0, trials) <= share + 1e-12
    assert trials == 1 or upper_bound(0, trials - 1) > share - 1e-12


@given(st.lists(st.integers(0, 50), min_size=1), st.floats(0.01, 1.0))
def test_nearest_rank_leaves_no_more_above_it_than_allowed(values: list[int], quantile: float) -> None:
    rank = nearest_rank(values, quantile)
    assert rank in values
    assert sum(value <= rank for value in values) >= quantile * len(values) - 1e-6
    assert sum(value < rank for value in values) < quantile * len(values) + 1e-6


def test_nearest_rank_of_round_numbers() -> None:
    assert [nearest_rank(range(1, 21), share) for share in (0.5, 0.95, 0.96, 1.0)] == [10, 19, 20, 20]
    assert nearest_rank([], 0.5) == 0


def test_quantile_range_as_in_tables() -> None:
    # 95 % for the median of n values: the 2nd to the 9th of 10, the 40th to the 61st of 100 (Conover).
    assert quantile_range(range(1, 11), 0.5) == (2, 9)
    assert quantile_range(range(1, 101), 0.5) == (40, 61)
    assert quantile_range([], 0.5) == (0, 0)
    assert quantile_range([7], 0.95) == (7, 7)


@given(st.lists(st.integers(0, 50), min_size=1), st.sampled_from([0.5, 0.95]))
def test_a_quantile_lies_within_its_range(values: list[int], quantile: float) -> None:
    low, high = quantile_range(values, quantile)
    assert low <= nearest_rank(values, quantile) <= high
