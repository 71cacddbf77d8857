"""Keys that have a better name by now: the old one is taken, and the user is told.

A key that is renamed is taken for two minor versions; :data:`LAST_VERSION` says until when. What a file says
under an old key is read as if it stood under the new one, at the same line and column.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from labctl.document.document import Document
from labctl.document.tree import MappingEntry, Value
from labctl.errors import InputError, Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["LAST_VERSION", "with_renamed_keys"]

LAST_VERSION = "0.3"
"""The version that refuses the old keys."""


def with_renamed_keys(
    document: Document, places: Iterable[tuple[Value, Mapping[str, str]]]
) -> tuple[Document, tuple[Problem, ...]]:
    """A document with every renamed key under its current name.

    Args:
        document: the file as read; it is not changed.
        places: mappings of the document in which keys were renamed, with the former and the current names.

    Returns:
        The document, and a warning for each old key in it.

    Raises:
        InputError: a mapping has both the old key and the new one.
    """
    warnings: dict[tuple[int, int], Problem] = {}
    clashes: list[Problem] = []
    replaced: dict[int, Value] = {}
    for mapping, names in places:
        for old, new in names.items():
            entry = mapping.entries.get(old)
            if entry is None:
                continue
            place = (document.file, entry.line, entry.column)
            if new in mapping.entries:
                clashes.append(Problem(*place, f"{old} is the former name of {new}, which is there too"))
                continue
            text = f"{old} is called {new} now: {LAST_VERSION} will refuse the old name"
            # What an alias repeats stands in the file once.
            warnings[entry.line, entry.column] = Problem(*place, text)
            replaced[id(mapping)] = _with_key(replaced.get(id(mapping), mapping), old, new)
    if clashes:
        raise InputError(clashes)
    if not replaced:
        return document, ()
    return Document(document.file, _rebuilt(document.root, replaced), document.text), tuple(warnings.values())


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
