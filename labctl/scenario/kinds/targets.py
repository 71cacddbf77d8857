"""What entries of actions name: nodes and links, one, a list, or a pattern such as ``gw[1-3]``."""

from __future__ import annotations

import itertools
import re
from typing import Annotated, TypeAlias, TypeVar

from pydantic import BeforeValidator, WithJsonSchema

from labctl.load.ranges import RangeError, expand

__all__ = ["LinkTargets", "NodeTargets"]

_MOST = 1024
"""Targets of one entry."""

_Target = TypeVar("_Target")
_NODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\Z")
_END = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(:[A-Za-z0-9._-]+)?\Z")


def _expanded(text: object, form: re.Pattern[str], what: str) -> tuple[str, ...]:
    if not isinstance(text, str):
        raise ValueError(f"expected {what}, not {text!r}")  # noqa: TRY004 - pydantic takes ValueErrors
    try:
        names = expand(text, _MOST)
    except RangeError as error:
        raise ValueError(str(error)) from error
    for name in names:
        if len(name) > 2 * 63 or not form.match(name):
            raise ValueError(f"expected {what}, not {name!r}")
    return names


def _nodes(given: object) -> tuple[str, ...]:
    texts = given if isinstance(given, list | tuple) else [given]
    if not texts:
        raise ValueError("expected a node, a pattern such as gw[1-3], or a list of them")
    names = tuple(name for text in texts for name in _expanded(text, _NODE, "the name of a node"))
    return _once(names)


def _links(given: object) -> tuple[tuple[str, str], ...]:
    if not isinstance(given, list | tuple) or not given:
        raise ValueError("expected a link such as [r1, gw1], or a list of links")
    pairs = given if all(isinstance(one, list | tuple) for one in given) else [given]
    links: list[tuple[str, str]] = []
    for pair in pairs:
        if len(pair) != 2:  # noqa: PLR2004 - a link has two ends
            raise ValueError(f"expected the two ends of a link, not {len(pair)}")
        a, b = (_expanded(end, _END, "node or node:interface") for end in pair)
        links += itertools.product(a, b)
    return _once(tuple(links))


def _once(targets: tuple[_Target, ...]) -> tuple[_Target, ...]:
    if len(targets) > _MOST:
        raise ValueError(f"{len(targets)} targets, expected at most {_MOST}")
    seen: set[_Target] = set()
    for target in targets:
        if target in seen:
            named = " - ".join(target) if isinstance(target, tuple) else target
            raise ValueError(f"{named} is named twice")
        seen.add(target)
    return targets


NodeTargets: TypeAlias = Annotated[
    tuple[str, ...],
    BeforeValidator(_nodes),
    WithJsonSchema(
        {
            "description": "a node, a pattern such as gw[1-3], or a list of them",
            "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}],
        }
    ),
]
LinkTargets: TypeAlias = Annotated[
    tuple[tuple[str, str], ...],
    BeforeValidator(_links),
    WithJsonSchema(
        {
            "description": "a link: two nodes, or node:interface for one of many; or a list of links",
            "type": "array",
            "minItems": 1,
            "items": {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]},
        }
    ),
]
