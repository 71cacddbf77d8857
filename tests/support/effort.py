"""How many examples a property is tried with: one figure a test, multiplied in a thorough run.

The profiles are registered in tests/conftest.py and chosen by ``--hypothesis-profile``.
"""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, settings

ORDINARY = 100
"""Examples of a property that names no figure, in the profile ``fixed``."""

THOROUGH = 20 * ORDINARY
"""The same in the profile ``nightly``."""


def register_profiles() -> None:
    """Make ``fixed`` and ``nightly`` known to Hypothesis."""
    # A busy machine is no fault of what is tested: wall-clock bounds on single examples fail at random.
    common: dict[str, Any] = {
        "deadline": None,
        "suppress_health_check": [HealthCheck.too_slow],
        "database": None,
    }
    # The same examples in every run: a change is red by what it changes, never by chance. What a nightly
    # run finds is committed as @example beside the property.
    settings.register_profile("fixed", derandomize=True, max_examples=ORDINARY, **common)
    settings.register_profile("nightly", derandomize=False, max_examples=THOROUGH, print_blob=True, **common)


def examples(ordinary: int, *suppressed: HealthCheck) -> settings:
    """Settings of a property that wants another number of examples than most.

    Args:
        ordinary: examples in an ordinary run; a thorough one has as many times more as for any property.
        suppressed: health checks that do not suit the test, besides the profile's own.
    """
    profile = settings.get_current_profile_name()
    chosen = settings.get_profile(profile)
    return settings(
        max_examples=ordinary * chosen.max_examples // ORDINARY,
        suppress_health_check=[*chosen.suppress_health_check, *suppressed],
    )
