"""Translates errors of pydantic into the user's words, with the user's line and column."""

from __future__ import annotations

import re
import types
import typing
from typing import TYPE_CHECKING, Annotated, Any, Union

from pydantic import BaseModel, Tag, ValidationError

from labctl.document.hints import nearest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pydantic_core import ErrorDetails

    from labctl.document.document import Document
    from labctl.errors import Problem

__all__ = ["problems_from", "shown"]

_EXPECTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "list_type": "a list",
    "tuple_type": "a list",
    "ip_v4_address": "an IPv4 address such as 192.0.2.1",
    "ip_v6_address": "an IPv6 address such as 2001:db8::1",
    "ip_any_address": "an IP address such as 192.0.2.1 or 2001:db8::1",
    "ip_v4_interface": "an IPv4 address with prefix length such as 192.0.2.1/24",
    "ip_v6_interface": "an IPv6 address with prefix length such as 2001:db8::1/64",
    "ip_v4_network": "an IPv4 network such as 192.0.2.0/24",
    "ip_v6_network": "an IPv6 network such as 2001:db8::/64",
}

_BOUNDS = {
    "greater_than": ("more than", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than": ("less than", "lt"),
    "less_than_equal": ("at most", "le"),
}

_LONGEST = 60


def problems_from(
    error: ValidationError,
    document: Document,
    model: Any = None,  # noqa: ANN401 - any annotation that pydantic takes
    prefix: Sequence[str | int] = (),
) -> list[Problem]:
    """Every error of a pydantic validation as a :class:`~labctl.errors.Problem` with its place.

    Args:
        error: what ``model_validate(document.data)`` raised.
        document: what was validated.
        model: the model (or other annotation) that it was validated against; with it, unknown
            keys get the nearest known one as a hint.
        prefix: path from the document's root to what was validated.

    Returns:
        One problem an error, in pydantic's order.
    """
    return [_problem(details, document, model, tuple(prefix)) for details in error.errors()]


def _problem(
    details: ErrorDetails,
    document: Document,
    model: Any,  # noqa: ANN401 - any annotation
    prefix: tuple[str | int, ...],
) -> Problem:
    loc, kind = details["loc"], details["type"]
    path = (*prefix, *loc)
    parent = loc[:-1]
    last = loc[-1] if loc else ""
    if kind == "extra_forbidden":
        hint = nearest(str(last), _names_at(model, parent))
        return document.problem(path, f"unknown key {str(last)!r}", hint, key=True)
    if kind == "missing":
        # A missing item of a list of fixed length has a number for a name.
        what = f"item {last + 1}" if isinstance(last, int) else f"key {last!r}"
        return document.problem((*prefix, *parent), f"{what} is missing")
    is_key = last == "[key]"
    hint = _quoting_hint(details.get("input")) or _choice_hint(details)
    return document.problem(path[:-1] if is_key else path, _message(details), hint, key=is_key)


def _choice_hint(details: ErrorDetails) -> str:
    """The nearest of a few words, all of which stand in the message already."""
    given = details.get("input")
    if details["type"] not in ("literal_error", "enum") or not isinstance(given, str):
        return ""
    words = re.findall(r"'([^']*)'", str(details.get("ctx", {}).get("expected", "")))
    hint = nearest(given, words)
    return hint if hint.startswith("did you mean") else ""


def _quoting_hint(given: object) -> str:
    """``asn: {base}`` without quotes is a mapping with one key and nothing under it."""
    if isinstance(given, dict) and len(given) == 1:
        ((key, value),) = given.items()
        if value is None:
            return f'write a variable in quotes: "{{{key}}}"'
    return ""


def _message(details: ErrorDetails) -> str:
    kind, given, context = details["type"], details.get("input"), details.get("ctx", {})
    if kind in ("value_error", "assertion_error"):
        return str(context.get("error", details["msg"]))
    if kind in ("too_long", "too_short"):
        return f"expected {_size(context)}, not {context.get('actual_length')}"
    if kind in _BOUNDS:
        return f"expected {_BOUNDS[kind][0]} {context[_BOUNDS[kind][1]]}, not {shown(given)}"
    if kind in _EXPECTED:
        return f"expected {_EXPECTED[kind]}, not {shown(given)}"
    message = details["msg"]
    for start in ("Input should be ", "String should ", "Value should "):
        if message.startswith(start):
            verb = "" if start == "Input should be " else "to "
            return f"expected {verb}{message.removeprefix(start)}, not {shown(given)}"
    return f"{message[:1].lower()}{message[1:]}" + (f", not {shown(given)}" if _is_scalar(given) else "")


def _size(context: Mapping[str, Any]) -> str:
    low, high = context.get("min_length"), context.get("max_length")
    bound, number = ("at most", high) if high is not None else ("at least", low)
    return f"{bound} {number} item" + ("" if number == 1 else "s")


def _is_scalar(value: object) -> bool:
    return isinstance(value, str | int | float | bool) or value is None


def shown(value: object) -> str:
    """A value as a problem names it, in few words."""
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}"
    if isinstance(value, bool):
        return "true" if value else "false"
    text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _names_at(model: Any, path: Sequence[str | int]) -> list[str]:  # noqa: ANN401
    """The keys that the models at the end of a pydantic location know."""
    candidates = _unfolded(model)
    for part in path:
        narrowed = [inner for candidate in candidates for inner in _inner(candidate, part)]
        # A part that leads nowhere is a tag or the name of a union's member.
        if narrowed:
            candidates = narrowed
        else:
            named = [candidate for candidate in candidates if _is_called(candidate, part)]
            candidates = named or candidates
    names: list[str] = []
    for _, candidate in candidates:
        names.extend(_fields(candidate))
    return names


_Tagged = tuple[str, Any]
"""A tag (empty without one) and an annotation without Annotated and unions around it."""


def _unfolded(annotation: Any, tag: str = "") -> list[_Tagged]:  # noqa: ANN401
    origin = typing.get_origin(annotation)
    if origin is Annotated:
        inner, *extras = typing.get_args(annotation)
        tags = [extra.tag for extra in extras if isinstance(extra, Tag)]
        return _unfolded(inner, tags[0] if tags else tag)
    if origin in (Union, types.UnionType):
        return [found for member in typing.get_args(annotation) for found in _unfolded(member, tag)]
    if annotation is None or annotation is type(None):
        return []
    return [(tag, annotation)]


def _inner(tagged: _Tagged, part: str | int) -> list[_Tagged]:
    _, annotation = tagged
    origin: Any = typing.get_origin(annotation)
    arguments = typing.get_args(annotation)
    if origin is dict and arguments:
        return _unfolded(arguments[1])
    if isinstance(part, int) and arguments:
        at = part if origin is tuple and part < len(arguments) and Ellipsis not in arguments else 0
        return _unfolded(arguments[at])
    for name, annotated in _fields(annotation).items():
        if name == part:
            return _unfolded(annotated)
    return []


def _is_called(tagged: _Tagged, part: str | int) -> bool:
    tag, annotation = tagged
    return part in (tag, getattr(annotation, "__name__", None))


def _fields(annotation: Any) -> dict[str, Any]:  # noqa: ANN401
    """Name in YAML -> annotation, of a model; nothing of anything else."""
    if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
        return {}
    found: dict[str, Any] = {}
    for name, field in annotation.model_fields.items():
        for alias in _aliases(name, field.alias, field.validation_alias):
            extras = [extra for extra in field.metadata if isinstance(extra, Tag)]
            found[alias] = Annotated[field.annotation, *extras] if extras else field.annotation
    return found


def _aliases(name: str, alias: str | None, validation: object) -> Iterable[str]:
    if isinstance(validation, str):
        return [validation]
    choices = getattr(validation, "choices", None)
    if choices:
        return [choice for choice in choices if isinstance(choice, str)]
    return [alias or name]
