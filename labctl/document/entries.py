"""What entries of a user's file are made of: the strict model, names, selectors, durations."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from labctl.document.durations import DURATION_PATTERN, parse_duration

__all__ = ["Duration", "Entry", "Name", "Names"]

Duration: TypeAlias = Annotated[
    int,
    BeforeValidator(parse_duration),
    WithJsonSchema(
        {
            "description": "number and unit: 50ms, 3s, 2m",
            "anyOf": [{"type": "string", "pattern": DURATION_PATTERN}, {"const": 0}],
        }
    ),
]


def _as_names(value: object) -> object:
    """``all`` is no names; one name is a list of one."""
    if value == "all":
        return ()
    return (value,) if isinstance(value, str) else value


Name: TypeAlias = Annotated[
    str, Field(min_length=1, max_length=63, pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]*)$")
]
Names: TypeAlias = Annotated[
    tuple[Name, ...],
    BeforeValidator(_as_names),
    WithJsonSchema(
        {
            "description": "all, one name, or a list of names",
            "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}],
        }
    ),
]


class Entry(BaseModel):
    """An entry that refuses keys it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False)
