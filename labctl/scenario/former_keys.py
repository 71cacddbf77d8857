"""Keys of a scenario that have a better name by now: the old one is taken, and the user is told.

A key that is renamed stands here for two minor versions; :data:`LAST_VERSION` says until when. What a
file says under an old key is read as if it stood under the new one, at the same line and column.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from labctl.document.document import Document
from labctl.document.tree import MappingEntry, Value, ValueKind
from labctl.errors import InputError, Problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["LAST_VERSION", "with_current_keys"]

LAST_VERSION = "0.3"
"""The version that refuses the old keys."""

_CONDITION = {"width": "ecmp-paths", "delay": "wait", "first-answer": "first-reply"}
_EXPECTATION = {"repair-loss": "convergence-loss", "aside": "off-path"}


def with_current_keys(document: Document) -> tuple[Document, tuple[Problem, ...]]:
    """A scenario with every renamed key under its current name.

    Args:
        document: the file as read; it is not changed.

    Returns:
        The document, and a warning for each old key in it.

    Raises:
        InputError: an entry has both the old key and the new one.
    """
    warnings: list[Problem] = []
    clashes: list[Problem] = []
    replaced: dict[int, Value] = {}
    for mapping, names in _renamed_places(document.root):
        for old, new in names.items():
            entry = mapping.entries.get(old)
            if entry is None:
                continue
            place = (document.file, entry.line, entry.column)
            if new in mapping.entries:
                clashes.append(Problem(*place, f"{old} is the former name of {new}, which is there too"))
                continue
            text = f"{old} is called {new} now: {LAST_VERSION} will refuse the old name"
            warnings.append(Problem(*place, text))
            current = replaced.get(id(mapping), mapping)
            replaced[id(mapping)] = _with_key(current, old, new)
    if clashes:
        raise InputError(clashes)
    if not replaced:
        return document, ()
    return Document(document.file, _rebuilt(document.root, replaced), document.text), tuple(warnings)


def _renamed_places(root: Value) -> Iterator[tuple[Value, Mapping[str, str]]]:
    """Every mapping in which keys were renamed, with the old and new names."""
    for condition in _items(root, "steady"):
        yield condition, _CONDITION
    for step in _items(root, "timeline"):
        after = step.entries.get("after") if step.kind == ValueKind.MAPPING else None
        if after is not None and after.value.kind == ValueKind.MAPPING:
            yield after.value, _CONDITION
    for expectation in _items(root, "expect"):
        yield expectation, _EXPECTATION


def _items(root: Value, section: str) -> Iterator[Value]:
    entry = root.entries.get(section) if root.kind == ValueKind.MAPPING else None
    if entry is not None and entry.value.kind == ValueKind.LIST:
        yield from (item for item in entry.value.items if item.kind == ValueKind.MAPPING)


def _with_key(mapping: Value, old: str, new: str) -> Value:
    entries = {(new if key == old else key): entry for key, entry in mapping.entries.items()}
    return Value(
        mapping.kind, mapping.line, mapping.column, entries=entries, size=mapping.size, depth=mapping.depth
    )


def _rebuilt(value: Value, replaced: Mapping[int, Value]) -> Value:
    found = replaced.get(id(value), value)
    return Value(
        found.kind,
        found.line,
        found.column,
        found.scalar,
        [_rebuilt(item, replaced) for item in found.items],
        {
            key: MappingEntry(entry.line, entry.column, _rebuilt(entry.value, replaced))
            for key, entry in found.entries.items()
        },
        found.size,
        found.depth,
    )
