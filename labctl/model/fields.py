"""Reads typed values from a JSON object: a value of another type is one clear error."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["flag", "items", "number", "optional_number", "pairs", "text"]

_Kind = TypeVar("_Kind")


def text(data: Mapping[str, Any], key: str) -> str:
    """The text under a key; ValueError if there is none."""
    return _of(data, key, str, "text")


def number(data: Mapping[str, Any], key: str) -> int:
    """The whole number under a key; ValueError if there is none."""
    return _of(data, key, int, "a whole number")


def optional_number(data: Mapping[str, Any], key: str) -> int | None:
    """The whole number under a key, None where null stands there; ValueError for anything else."""
    return None if _present(data, key) is None else number(data, key)


def flag(data: Mapping[str, Any], key: str) -> bool:
    """The truth value under a key; ValueError if there is none."""
    return _of(data, key, bool, "true or false")


def items(data: Mapping[str, Any], key: str) -> list[Any]:
    """The list under a key; ValueError if there is none."""
    return _of(data, key, list, "a list")


def pairs(data: Mapping[str, Any], key: str) -> dict[str, Any]:
    """The object under a key; ValueError if there is none."""
    return _of(data, key, dict, "an object")


def _of(data: Mapping[str, Any], key: str, kind: type[_Kind], what: str) -> _Kind:
    value = _present(data, key)
    # In Python a truth value is a whole number too.
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise ValueError(f"{key}: expected {what}, found {value!r:.40}")
    return value


def _present(data: Mapping[str, Any], key: str) -> Any:  # noqa: ANN401 - any JSON
    if not isinstance(data, dict):
        raise ValueError(f"expected an object with {key!r}, found {data!r:.40}")  # noqa: TRY004 - one kind of error
    if key not in data:
        raise ValueError(f"{key} is missing")
    return data[key]
