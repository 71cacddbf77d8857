"""A strict checker of what labctl uses of JSON Schema 2020-12; an unknown keyword is an error."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["complaints"]

_NOTES = {"$schema", "$defs", "title", "description", "default", "x-unit", "examples"}
_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
    "null": (type(None),),
}


def complaints(
    value: object, schema: Mapping[str, Any], at: str = "$", root: Mapping[str, Any] | None = None
) -> Iterator[str]:
    """What of a value, as ``json.loads`` gives it, the schema does not allow."""
    root = schema if root is None else root
    for word, wanted in schema.items():
        if word in _NOTES or word in ("minItems", "maxItems", "required", "properties", "prefixItems"):
            continue
        yield from _word(value, word, wanted, at, root)
    if isinstance(value, dict):
        yield from _object(value, schema, at, root)
    if isinstance(value, list):
        yield from _array(value, schema, at, root)


def _word(value: object, word: str, wanted: Any, at: str, root: Mapping[str, Any]) -> Iterator[str]:
    match word:
        case "$ref":
            yield from complaints(value, root["$defs"][wanted.removeprefix("#/$defs/")], at, root)
        case "anyOf" | "oneOf":
            found = [list(complaints(value, one, at, root)) for one in wanted]
            good = found.count([])
            if good == 0:
                yield from min(found, key=len)
            elif good > 1 and word == "oneOf":
                yield f"{at}: {good} alternatives fit"
        case "additionalProperties" | "items":
            pass  # with the properties and the prefix
        case _:
            yield from _plain(value, word, wanted, at)


def _plain(value: object, word: str, wanted: Any, at: str) -> Iterator[str]:
    """A keyword that is about the value alone."""
    names = [wanted] if isinstance(wanted, str) else wanted
    if word == "type" and not any(_is(value, name) for name in names):
        yield f"{at}: {value!r} is no {wanted}"
    elif word == "const" and value != wanted:
        yield f"{at}: {value!r} is not {wanted!r}"
    elif word == "enum" and value not in wanted:
        yield f"{at}: {value!r} is none of {wanted!r}"
    elif word == "minimum" and isinstance(value, int | float) and value < wanted:
        yield f"{at}: {value} is below {wanted}"
    elif word == "pattern" and isinstance(value, str) and not re.search(wanted, value):
        yield f"{at}: {value!r} does not match {wanted}"
    elif word not in ("type", "const", "enum", "minimum", "pattern"):
        yield f"{at}: the checker does not know {word}"


def _object(
    value: dict[str, Any], schema: Mapping[str, Any], at: str, root: Mapping[str, Any]
) -> Iterator[str]:
    known = schema.get("properties", {})
    yield from (f"{at}: {name} is missing" for name in schema.get("required", ()) if name not in value)
    for name, one in value.items():
        allowed = known.get(name, schema.get("additionalProperties", True))
        if allowed is False:
            yield f"{at}: {name} is unknown"
        elif allowed is not True:
            yield from complaints(one, allowed, f"{at}.{name}", root)


def _array(value: list[Any], schema: Mapping[str, Any], at: str, root: Mapping[str, Any]) -> Iterator[str]:
    prefix, rest = schema.get("prefixItems", []), schema.get("items", True)
    if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value)):
        yield f"{at}: {len(value)} items"
    for index, one in enumerate(value):
        allowed = prefix[index] if index < len(prefix) else rest
        if allowed is False:
            yield f"{at}: too many items"
        elif allowed is not True:
            yield from complaints(one, allowed, f"{at}[{index}]", root)


def _is(value: object, name: str) -> bool:
    return isinstance(value, _TYPES[name]) and (name == "boolean" or not isinstance(value, bool))
