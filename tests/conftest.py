"""Shared by all tests: helpers under tests/support can be imported by their plain names."""

from __future__ import annotations

import sys
from pathlib import Path

from hypothesis import HealthCheck, settings

sys.path.insert(0, str(Path(__file__).parent / "support"))

# A busy machine is no fault of what is tested: wall-clock bounds on single examples fail at random.
settings.register_profile("labctl", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("labctl")
