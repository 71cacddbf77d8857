"""Names with ranges in them: ``gw[1-3]``, ``r[1,3,5-7]``, ``leaf[01-10]``, ``rack[1-2]srv[1-4]``.

A range lists numbers and spans of numbers. A leading zero at the start of a span pads every
number of it to that width. Of several ranges in one name the last varies fastest.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass

__all__ = ["RangeError", "expand", "how_many"]

_PARTS = re.compile(r"\[([^\[\]]*)\]")
_SPAN = re.compile(r"(\d+)(?:-(\d+))?\Z", re.ASCII)
_MAX_DIGITS = 9


class RangeError(ValueError):
    """A range that cannot be read; the message says why."""


@dataclass(frozen=True, slots=True)
class _Span:
    first: int
    last: int
    width: int

    @property
    def size(self) -> int:
        return self.last - self.first + 1

    def names(self) -> list[str]:
        return [str(number).zfill(self.width) for number in range(self.first, self.last + 1)]


def how_many(text: str) -> int:
    """How many names ``text`` stands for, without making them.

    Raises:
        RangeError: a range in it cannot be read.
    """
    total = 1
    for spans in _spans(text)[1]:
        total *= sum(span.size for span in spans)
    return total


def expand(text: str, limit: int) -> tuple[str, ...]:
    """Every name that ``text`` stands for, in order.

    Args:
        text: a name with any number of ranges in it, also none.
        limit: more names than this are refused before they are made.

    Returns:
        The names; equal ones stay.

    Raises:
        RangeError: a range cannot be read, or stands for too many names.
    """
    literals, ranges = _spans(text)
    if not ranges:
        return (text,)
    count = how_many(text)
    if count > limit:
        raise RangeError(f"{text!r} stands for {count} names, expected at most {limit}")
    choices = [[name for span in spans for name in span.names()] for spans in ranges]
    names = []
    for chosen in itertools.product(*choices):
        pieces = [piece for pair in zip(literals, (*chosen, ""), strict=True) for piece in pair]
        names.append("".join(pieces))
    return tuple(names)


def _spans(text: str) -> tuple[list[str], list[list[_Span]]]:
    """The text around the ranges (one piece more than there are ranges), and the ranges."""
    pieces = _PARTS.split(text)
    literals, ranges = pieces[0::2], pieces[1::2]
    if any("[" in literal or "]" in literal for literal in literals):
        raise RangeError(f"{text!r} has a bracket without its partner")
    return literals, [[_span(item.strip(), text) for item in inner.split(",")] for inner in ranges]


def _span(item: str, text: str) -> _Span:
    match = _SPAN.match(item)
    if match is None:
        raise RangeError(f"{item!r} in {text!r} is no range, expected numbers such as [1-3] or [1,4,7-9]")
    start, end = match.group(1), match.group(2) or match.group(1)
    if max(len(start), len(end)) > _MAX_DIGITS:
        raise RangeError(f"{item!r} in {text!r} has a number of more than {_MAX_DIGITS} digits")
    if int(end) < int(start):
        raise RangeError(f"{item!r} in {text!r} runs backwards, expected the smaller number first")
    padded = len(start) > 1 and start.startswith("0")
    return _Span(int(start), int(end), len(start) if padded else 0)
