"""The words that the journal's schema is written in: a field with its type, unit and meaning. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "JournalField",
    "by_name",
    "count",
    "duration",
    "flag",
    "free",
    "items",
    "moment",
    "number",
    "object_of",
    "optional",
    "record",
    "records",
    "row",
    "span",
    "text",
    "texts",
]


@dataclass(frozen=True, slots=True)
class JournalField:
    """One field of an object on the wire.

    Attributes:
        name: its key.
        shape: its JSON Schema, without the description.
        text: what it means, in one line.
        unit: of its numbers; empty where there is none.
        required: whether every writer of this format writes it.
    """

    name: str
    shape: Mapping[str, Any]
    text: str
    unit: str = ""
    required: bool = True

    @property
    def schema(self) -> dict[str, Any]:
        """JSON Schema of the value; the unit stands under ``x-unit``."""
        unit = {"x-unit": self.unit} if self.unit else {}
        return {**self.shape, **unit, "description": self.text}


def object_of(*fields: JournalField) -> dict[str, Any]:
    """An object of these fields and no other."""
    return {
        "type": "object",
        "properties": {field.name: field.schema for field in fields},
        "required": [field.name for field in fields if field.required],
        "additionalProperties": False,
    }


def optional(field: JournalField, *, null: bool = False) -> JournalField:
    """The same field, which may be left out.

    Args:
        field: any.
        null: or be null in its place: then it is always there.
    """
    shape = {"anyOf": [dict(field.shape), {"type": "null"}]} if null else field.shape
    return JournalField(field.name, shape, field.text, field.unit, required=null)


def text(name: str, meaning: str, *words: str) -> JournalField:
    """A string; one of ``words`` if there are any."""
    return JournalField(name, {"type": "string", **({"enum": list(words)} if words else {})}, meaning)


def flag(name: str, meaning: str) -> JournalField:
    """True or false."""
    return JournalField(name, {"type": "boolean"}, meaning)


def count(name: str, meaning: str, unit: str = "packets", *, least: int | None = 0) -> JournalField:
    """A whole number, no smaller than ``least``."""
    bound = {} if least is None else {"minimum": least}
    return JournalField(name, {"type": "integer", **bound}, meaning, unit)


def moment(name: str, meaning: str) -> JournalField:
    """A moment of CLOCK_MONOTONIC."""
    return count(name, meaning, "ns of CLOCK_MONOTONIC")


def duration(name: str, meaning: str, *, least: int | None = 0) -> JournalField:
    """A length of time."""
    return count(name, meaning, "ns", least=least)


def number(name: str, meaning: str, unit: str) -> JournalField:
    """Any number that is not negative."""
    return JournalField(name, {"type": "number", "minimum": 0}, meaning, unit)


def texts(name: str, meaning: str) -> JournalField:
    """A list of strings."""
    return items(name, meaning, {"type": "string"})


def items(name: str, meaning: str, shape: Mapping[str, Any], unit: str = "") -> JournalField:
    """A list of one shape."""
    return JournalField(name, {"type": "array", "items": dict(shape)}, meaning, unit)


def row(*shapes: Mapping[str, Any]) -> dict[str, Any]:
    """A list of exactly these shapes."""
    return {
        "type": "array",
        "prefixItems": [dict(shape) for shape in shapes],
        "minItems": len(shapes),
        "items": False,
    }


def span() -> dict[str, Any]:
    """A pair of moments, or of a moment and a length."""
    return row({"type": "integer"}, {"type": "integer"})


def record(name: str, meaning: str, *fields: JournalField) -> JournalField:
    """An object."""
    return JournalField(name, object_of(*fields), meaning)


def records(name: str, meaning: str, *fields: JournalField) -> JournalField:
    """A list of objects."""
    return items(name, meaning, object_of(*fields))


def by_name(name: str, meaning: str, shape: Mapping[str, Any], unit: str = "") -> JournalField:
    """An object with names that the run gives, each with a value of one shape."""
    return JournalField(name, {"type": "object", "additionalProperties": dict(shape)}, meaning, unit)


def free(name: str, meaning: str) -> JournalField:
    """An object whose form is defined elsewhere."""
    return JournalField(name, {"type": "object"}, meaning)
