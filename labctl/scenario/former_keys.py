"""Keys of a scenario that have a better name by now; see :mod:`labctl.document.renamed`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labctl.document.renamed import with_renamed_keys
from labctl.document.tree import ValueKind

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from labctl.document.document import Document
    from labctl.document.tree import Value
    from labctl.errors import Problem

__all__ = ["with_current_keys"]

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
    return with_renamed_keys(document, _renamed_places(document.root))


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
