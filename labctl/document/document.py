"""A YAML file with the position of every key and value; every loader uses it.

Plain data for whoever validates, positions for whoever complains::

    document = read_document(Path("a.yml"))
    document.data                        # dict, list, scalars
    document.problem(("links", 3, "a"), "unknown node 'r9'", "did you mean 'r1'?")
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from labctl.document.files import read_text
from labctl.document.tree import MappingEntry, Scalar, Value, ValueKind, parse
from labctl.errors import InputError, Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

__all__ = ["Document", "Position", "read_document"]


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place in a file; both 1-based."""

    line: int
    column: int


@dataclass(frozen=True)
class Document:
    """One YAML file.

    Attributes:
        file: the path as the user gave it.
        root: the tree with positions.
        text: the file's text.
    """

    file: str
    root: Value
    text: str = ""

    @cached_property
    def data(self) -> Any:  # noqa: ANN401 - whatever YAML can say
        """The whole as plain dicts, lists and scalars."""
        return self.root.plain()

    def position(self, path: Sequence[str | int] = (), *, key: bool = False) -> Position:
        """Where something stands.

        Args:
            path: keys and indices from the root. A part that is not there is passed over, so that
                a path with tags of a validator in it still leads as near as can be.
            key: the place of the last key rather than that of its value.

        Returns:
            The nearest place on the path that the file has.
        """
        value = self.root
        place = Position(value.line, value.column)
        for part in path:
            found = _step(value, part)
            if found is None:
                continue
            value = found.value
            place = Position(found.line, found.column) if key else Position(value.line, value.column)
        return place

    def has(self, path: Sequence[str | int]) -> bool:
        """Whether every part of the path is there."""
        value = self.root
        for part in path:
            found = _step(value, part)
            if found is None:
                return False
            value = found.value
        return True

    def problem(
        self, path: Sequence[str | int], message: str, hint: str = "", *, key: bool = False
    ) -> Problem:
        """A problem with what stands at ``path``; see :meth:`position`."""
        place = self.position(path, key=key)
        return Problem(self.file, place.line, place.column, message, hint)

    def mapped(self, change: Callable[[str, Position], Scalar]) -> Document:
        """The same with every text, in keys and values, put through ``change``.

        Args:
            change: gets a text and where it stands; may raise InputError.

        Returns:
            A new document with the old positions.

        Raises:
            InputError: whatever ``change`` raised, all of it, and keys that became equal.
        """
        problems: list[Problem] = []
        root = _mapped(self.root, change, self.file, problems)
        if problems:
            raise InputError(problems)
        return Document(self.file, root, self.text)

    def at(self, *path: str | int) -> Document:
        """What stands at ``path`` as a document of its own; KeyError if the path is not there."""
        value = self.root
        for part in path:
            found = _step(value, part)
            if found is None:
                raise KeyError(part)
            value = found.value
        return Document(self.file, value, self.text)


def read_document(path: Path) -> Document:
    """Read a YAML file.

    Args:
        path: as the user gave it.

    Returns:
        The document.

    Raises:
        InputError: the file cannot be read or is not one sound YAML document.
    """
    text = read_text(path)
    return Document(str(path), parse(text, str(path)), text)


def _step(value: Value, part: str | int) -> MappingEntry | None:
    if value.kind == ValueKind.MAPPING:
        return value.entries.get(str(part))
    if value.kind == ValueKind.LIST and isinstance(part, int) and 0 <= part < len(value.items):
        item = value.items[part]
        return MappingEntry(item.line, item.column, item)
    return None


def _mapped(
    value: Value, change: Callable[[str, Position], Scalar], file: str, problems: list[Problem]
) -> Value:
    fresh = Value(value.kind, value.line, value.column, value.scalar, size=value.size, depth=value.depth)
    if value.kind == ValueKind.LIST:
        fresh.items = [_mapped(item, change, file, problems) for item in value.items]
    elif value.kind == ValueKind.MAPPING:
        for old, entry in value.entries.items():
            key = str(_changed(old, entry.line, entry.column, change, problems))
            if key in fresh.entries:
                first = fresh.entries[key].line
                message = f"key {key!r} occurs twice, first in line {first}, once variables are filled in"
                problems.append(Problem(file, entry.line, entry.column, message))
                continue
            mapped = _mapped(entry.value, change, file, problems)
            fresh.entries[key] = MappingEntry(entry.line, entry.column, mapped)
    elif isinstance(value.scalar, str):
        fresh.scalar = _changed(value.scalar, value.line, value.column, change, problems)
    return fresh


def _changed(
    text: str,
    line: int,
    column: int,
    change: Callable[[str, Position], Scalar],
    problems: list[Problem],
) -> Scalar:
    try:
        return change(text, Position(line, column))
    except InputError as error:
        problems.extend(error.problems)
        return text
