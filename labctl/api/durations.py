"""Durations as programs write them: ``"3s"``, seconds as a number, or a timedelta. Inside, nanoseconds."""

from __future__ import annotations

from datetime import timedelta
from typing import TypeAlias

from labctl.document.durations import parse_duration
from labctl.errors import InputError, Problem

__all__ = ["Span", "as_delta", "as_ns", "as_word"]

Span: TypeAlias = str | float | timedelta
"""Text with a unit, a number of seconds, or a timedelta."""


def as_ns(value: Span, name: str = "duration") -> int:
    """Nanoseconds.

    Args:
        value: not negative.
        name: of the parameter, for the message.

    Raises:
        InputError: it is no duration.
    """
    try:
        if isinstance(value, timedelta):
            value = value.total_seconds()
        if isinstance(value, int | float) and not isinstance(value, bool):
            return parse_duration(f"{value:.9f}s")
        return parse_duration(value)
    except ValueError as error:
        raise InputError([Problem(name, 0, 0, str(error))]) from error


def as_word(value: Span, name: str = "duration") -> str:
    """The same as a scenario file writes it."""
    return f"{as_ns(value, name) / 1e6:.6f}ms"


def as_delta(nanoseconds: float) -> timedelta:
    """A timedelta, to the microsecond."""
    return timedelta(microseconds=nanoseconds / 1e3)
