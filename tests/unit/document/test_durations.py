from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.document.durations import format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("50ms", 50_000_000),
        ("3s", 3_000_000_000),
        ("2m", 120_000_000_000),
        ("1.5s", 1_500_000_000),
        ("100us", 100_000),
        ("100µs", 100_000),
    ],
)
def test_durations_are_read(text: str, nanoseconds: int) -> None:
    assert parse_duration(text) == nanoseconds


@pytest.mark.parametrize(
    "text", ["", "3", "3 s", "-1s", "s", "1e3s", "3S", "nan s", "9999999999h", None, True, 3.5, [], "३s"]
)
def test_what_is_no_duration_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        parse_duration(text)


@given(st.integers(min_value=0, max_value=10**15))
def test_a_formatted_duration_keeps_its_first_digits(nanoseconds: int) -> None:
    number, unit = format_duration(nanoseconds).split()
    size = {"ns": 1, "µs": 1e3, "ms": 1e6, "s": 1e9, "m": 60e9}[unit]
    assert abs(float(number) * size - nanoseconds) <= max(nanoseconds * 0.006, 0.01 * size)
