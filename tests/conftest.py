"""Shared by all tests: how hard properties are tried, and the signals that every test begins with."""

from __future__ import annotations

import signal

from effort import register_profiles
from hypothesis import settings

register_profiles()
# Another one is chosen by pytest's --hypothesis-profile, which is read after this file.
settings.load_profile("fixed")

# A shell starts what it puts in the background with SIGINT ignored, and nohup does so with SIGHUP. Every
# program that a test starts would inherit that, and labctl leaves an ignored signal ignored.
for _number, _default in (
    (signal.SIGINT, signal.default_int_handler),
    (signal.SIGQUIT, signal.SIG_DFL),
    (signal.SIGHUP, signal.SIG_DFL),
    (signal.SIGTERM, signal.SIG_DFL),
):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, _default)
