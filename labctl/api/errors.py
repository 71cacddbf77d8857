"""Errors that only a program can meet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from labctl.errors import LabctlError

if TYPE_CHECKING:
    from datetime import timedelta

__all__ = ["Inconclusive", "NotMet"]


class Inconclusive(LabctlError):  # noqa: N818 - it is no fault of anybody
    """Nothing can be said: the measurement itself lost or hid too much, or no flow was concerned."""

    exit_code: ClassVar[int] = 3
    cause: ClassVar[str] = "inconclusive"


class NotMet(AssertionError):  # noqa: N818 - an assertion that did not hold
    """A condition did not hold in time.

    Attributes:
        last: what was seen last.
        polls: how often it was looked at.
        took: for how long.
    """

    def __init__(self, message: str, *, last: Any, polls: int, took: timedelta) -> None:  # noqa: ANN401
        super().__init__(message)
        self.last = last
        self.polls = polls
        self.took = took
