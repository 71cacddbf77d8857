"""journal -> result. Pure: the same journal gives the same verdict, offline."""

from __future__ import annotations

from labctl.verdict.judge import judge
from labctl.verdict.schema import Result, Verdict, worst

__all__ = ["Result", "Verdict", "judge", "worst"]
