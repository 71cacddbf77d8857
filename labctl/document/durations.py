"""Durations as people write them: ``50ms``, ``3s``, ``2m``. Inside, nanoseconds."""

from __future__ import annotations

import re

__all__ = ["DURATION_PATTERN", "format_duration", "parse_duration"]

DURATION_PATTERN = r"^([0-9]+(\.[0-9]+)?)(us|µs|ms|s|m|h)$"
"""For the JSON Schema and for :func:`parse_duration`."""

_UNITS_NS = {
    "us": 1_000,
    "µs": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
_SHOWN_NS = {"m": _UNITS_NS["m"], "s": _UNITS_NS["s"], "ms": _UNITS_NS["ms"], "µs": _UNITS_NS["us"]}
_LONGEST_NS = 7 * 24 * _UNITS_NS["h"]


def parse_duration(value: object) -> int:
    """Nanoseconds of a duration in text.

    Args:
        value: number and unit (µs or us, ms, s, m, h) without a blank; a plain ``0`` needs no unit.

    Raises:
        ValueError: it is no duration, or longer than a week.
    """
    if value == 0 and not isinstance(value, bool):
        return 0
    match = re.fullmatch(DURATION_PATTERN, value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"a duration with its unit was expected, such as 50ms, 3s or 2m, not {value!r}")
    nanoseconds = round(float(match[1]) * _UNITS_NS[match[3]])
    if nanoseconds > _LONGEST_NS:
        raise ValueError(f"{value} is longer than a week")
    return nanoseconds


def format_duration(nanoseconds: float) -> str:
    """A duration for people: three significant digits and the unit that suits."""
    size = abs(nanoseconds)
    for unit, length in _SHOWN_NS.items():
        # A minute and a half reads better as 90 s; minutes begin where seconds get long.
        if size >= length * (10 if unit == "m" else 1):
            return f"{_short(nanoseconds / length)} {unit}"
    return "0 s" if size == 0 else f"{_short(nanoseconds)} ns"


def _short(number: float) -> str:
    size = abs(number)
    digits = 0 if size >= 100 else 1 if size >= 10 else 2  # noqa: PLR2004 - three significant digits
    text = f"{number:.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
