"""Model items as JSON, and back.

A document is ``{class name: [item, ...]}`` with the class names of
:data:`labctl.overlay.config.model.KINDS`; an item is an object of its attributes, defaults left out. What
a newer program wrote and this one does not know is an error, never a guess.
"""

from __future__ import annotations

import json
from dataclasses import MISSING, fields
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING, Any

from labctl.overlay.config.model import KINDS, Direction, HostKind, Item

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

__all__ = ["class_name", "dump", "from_plain", "kind_of", "load", "to_plain"]

_NAMES = {kind: name for name, kind in KINDS.items()}
_ADDRESSES = (IPv4Address, IPv6Address, IPv4Network, IPv6Network)
_READERS: dict[str, Callable[[Any], object]] = {
    "Address": ip_address,
    "Prefix": ip_network,
    "Prefix | None": ip_network,
    "tuple[Address, ...]": lambda values: tuple(map(ip_address, values)),
    "tuple[str, ...]": tuple,
    "tuple[str, str]": tuple,
    "Direction": Direction,
    "HostKind": HostKind,
}


def class_name(kind: type[Item]) -> str:
    """Name of a class in documents and messages."""
    return _NAMES[kind]


def kind_of(item: Item) -> str:
    """Name of an item's class."""
    return _NAMES[type(item)]


def _plain(value: object) -> object:
    if isinstance(value, _ADDRESSES):
        return str(value)
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return value


# Name, type as written, and default of every attribute.
_SHAPES = {
    kind: tuple((field.name, str(field.type), field.default) for field in fields(kind))
    for kind in KINDS.values()
}


def to_plain(item: Item) -> dict[str, object]:
    """An item as plain JSON values."""
    return {
        name: _plain(getattr(item, name))
        for name, _, default in _SHAPES[type(item)]
        if default is MISSING or getattr(item, name) != default
    }


def from_plain(kind: type[Item], plain: Mapping[str, Any]) -> Item:
    """The reverse of :func:`to_plain`.

    Raises:
        ValueError: an attribute is unknown, missing, or not readable.
    """
    values: dict[str, Any] = {}
    shape = {name: (written, default) for name, written, default in _SHAPES[kind]}
    for name, value in plain.items():
        if name not in shape:
            raise ValueError(f"{_NAMES[kind]}: unknown attribute {name!r}")
        reader = _READERS.get(shape[name][0])
        values[name] = reader(value) if reader is not None and value is not None else value
    absent = [name for name, (_, default) in shape.items() if default is MISSING and name not in values]
    if absent:
        raise ValueError(f"{_NAMES[kind]}: no {', '.join(absent)}")
    return kind(**values)


def dump(items: Iterable[Item]) -> bytes:
    """A document, always the same bytes for the same items."""
    document: dict[str, list[dict[str, object]]] = {}
    for item in sorted(items, key=lambda item: (kind_of(item), item.name)):
        document.setdefault(kind_of(item), []).append(to_plain(item))
    return json.dumps(document, separators=(",", ":"), sort_keys=True).encode()


def load(document: bytes) -> tuple[Item, ...]:
    """The reverse of :func:`dump`.

    Raises:
        ValueError: it is no such document.
    """
    parsed = json.loads(document)
    items: list[Item] = []
    for name, plains in parsed.items():
        if name not in KINDS:
            raise ValueError(f"unknown class {name!r}")
        items += [from_plain(KINDS[name], plain) for plain in plains]
    return tuple(items)
