"""Ordinary runs try the same examples every time; a thorough run multiplies each test's own figure."""

from __future__ import annotations

from effort import ORDINARY, THOROUGH, examples
from hypothesis import HealthCheck, settings


def test_the_fixed_profile_depends_on_nothing_but_the_test() -> None:
    fixed = settings.get_profile("fixed")
    assert fixed.derandomize
    assert fixed.database is None
    assert fixed.deadline is None


def test_the_nightly_profile_is_random_and_thorough() -> None:
    nightly = settings.get_profile("nightly")
    assert not nightly.derandomize
    assert nightly.max_examples == THOROUGH > ORDINARY


def test_a_figure_of_a_test_is_multiplied_by_the_profile() -> None:
    profile = settings.get_profile(settings.get_current_profile_name())
    assert examples(60).max_examples == 60 * profile.max_examples // ORDINARY
    assert examples(60).derandomize == profile.derandomize


def test_health_checks_are_suppressed_besides_those_of_the_profile() -> None:
    chosen = examples(1, HealthCheck.function_scoped_fixture)
    assert {HealthCheck.too_slow, HealthCheck.function_scoped_fixture} <= set(chosen.suppress_health_check)
