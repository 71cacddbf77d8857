"""Typed reading of a journal's JSON: a value of another shape is an error with its place, never a crash."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Fields", "ShapeError"]

_MISSING = object()
_MOST = 2**63
_DEEPEST = 60


class ShapeError(ValueError):
    """A value that is missing or of another type than the format says."""


class Fields:
    """One JSON object of a journal, read field by field.

    Args:
        data: as it was decoded.
        where: what it is called in messages, such as ``tally.flows[3]``.

    Raises:
        ShapeError: it is no object.
    """

    def __init__(self, data: object, where: str) -> None:
        if not isinstance(data, Mapping):
            raise ShapeError(f"{where} is {_type(data)} where an object is expected")
        self.data: Mapping[str, Any] = data
        self.where = where

    def __contains__(self, name: str) -> bool:
        return name in self.data

    def integer(self, name: str, default: Any = _MISSING, *, least: int = -_MOST) -> int:  # noqa: ANN401
        """A whole number, no smaller than ``least``."""
        return _integer(self._get(name, default), self._at(name), least)

    def number(self, name: str, default: Any = _MISSING, *, least: float = -math.inf) -> float:  # noqa: ANN401
        """A finite number, no smaller than ``least``."""
        value = self._get(name, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise ShapeError(f"{self._at(name)} is {_type(value)} where a number is expected")
        if value < least:
            raise ShapeError(f"{self._at(name)} is {value}, less than {least:g}")
        return float(value)

    def text(self, name: str, default: Any = _MISSING) -> str:  # noqa: ANN401
        """A string that UTF-8 can hold."""
        return _text(self._get(name, default), self._at(name))

    def flag(self, name: str, default: Any = _MISSING) -> bool:  # noqa: ANN401
        """True or false."""
        value = self._get(name, default)
        if not isinstance(value, bool):
            raise ShapeError(f"{self._at(name)} is {_type(value)} where true or false is expected")
        return value

    def integers(self, name: str, default: Any = _MISSING, *, least: int = -_MOST) -> tuple[int, ...]:  # noqa: ANN401
        """A list of whole numbers."""
        at = self._at(name)
        return tuple(_integer(one, at, least) for one in self.items(name, default))

    def texts(self, name: str, default: Any = _MISSING) -> tuple[str, ...]:  # noqa: ANN401
        """A list of strings."""
        at = self._at(name)
        return tuple(_text(one, at) for one in self.items(name, default))

    def rows(self, name: str, width: int, default: Any = _MISSING) -> tuple[tuple[int, ...], ...]:  # noqa: ANN401
        """A list of lists of ``width`` whole numbers each."""
        at = self._at(name)
        found = []
        for row in self.items(name, default):
            if not isinstance(row, list | tuple) or len(row) != width:
                raise ShapeError(f"{at} holds {_type(row)} where {width} numbers are expected")
            found.append(tuple(_integer(one, at, -_MOST) for one in row))
        return tuple(found)

    def items(self, name: str, default: Any = _MISSING) -> tuple[object, ...]:  # noqa: ANN401
        """A list of anything."""
        value = self._get(name, default)
        if not isinstance(value, list | tuple):
            raise ShapeError(f"{self._at(name)} is {_type(value)} where a list is expected")
        return tuple(value)

    def records(self, name: str, default: Any = _MISSING) -> Iterator[Fields]:  # noqa: ANN401
        """A list of objects."""
        for index, one in enumerate(self.items(name, default)):
            yield Fields(one, f"{self._at(name)}[{index}]")

    def record(self, name: str, default: Any = _MISSING) -> Fields:  # noqa: ANN401
        """An object."""
        return Fields(self._get(name, default), self._at(name))

    def mapping(self, name: str, default: Any = _MISSING) -> Mapping[str, Any]:  # noqa: ANN401
        """An object of anything that JSON and UTF-8 can hold."""
        fields = self.record(name, default)
        _plain(fields.data, self._at(name), 0)
        return fields.data

    def _get(self, name: str, default: object) -> Any:  # noqa: ANN401
        value = self.data.get(name, default)
        if value is _MISSING:
            raise ShapeError(f"{self._at(name)} is missing")
        return value

    def _at(self, name: str) -> str:
        return f"{self.where}.{name}"


def _integer(value: object, at: str, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ShapeError(f"{at} is {_type(value)} where a whole number is expected")
    if not least <= value < _MOST:
        raise ShapeError(f"{at} is out of range")
    return value


def _text(value: object, at: str) -> str:
    if not isinstance(value, str):
        raise ShapeError(f"{at} is {_type(value)} where text is expected")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ShapeError(f"{at} holds text that UTF-8 cannot") from error
    return value


def _plain(value: object, at: str, depth: int) -> None:
    if depth > _DEEPEST:
        raise ShapeError(f"{at} is nested too deep")
    if isinstance(value, Mapping):
        for key, one in value.items():
            _plain(one, f"{at}.{_text(key, at)}", depth + 1)
    elif isinstance(value, list | tuple):
        for one in value:
            _plain(one, at, depth + 1)
    elif isinstance(value, str):
        _text(value, at)
    elif isinstance(value, float) and not math.isfinite(value):
        raise ShapeError(f"{at} is no finite number")


def _type(value: object) -> str:
    if value is None:
        return "null"
    names = {bool: "true or false", int: "a number", float: "a number", str: "text", list: "a list"}
    return names.get(type(value), "an object" if isinstance(value, Mapping) else "something else")
