"""Shared by all tests: how hard properties are tried."""

from __future__ import annotations

from effort import register_profiles
from hypothesis import settings

register_profiles()
# Another one is chosen by pytest's --hypothesis-profile, which is read after this file.
settings.load_profile("fixed")
