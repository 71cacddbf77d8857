"""Shared by all tests: helpers under tests/support can be imported by their plain names."""

from __future__ import annotations

import sys
from pathlib import Path

from hypothesis import HealthCheck, settings

sys.path.insert(0, str(Path(__file__).parent / "support"))

# A busy machine is no fault of what is tested: wall-clock bounds on single examples fail at random.
# The same examples every time, so that a change is judged by itself; `--hypothesis-profile nightly`
# looks for new ones, and what it finds becomes an `@example`.
settings.register_profile(
    "labctl", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)
settings.register_profile(
    "nightly",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    max_examples=2000,
    print_blob=True,
)
settings.load_profile("labctl")
