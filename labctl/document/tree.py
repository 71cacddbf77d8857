"""YAML text -> a tree of values with their line and column.

Read from the parser's events, one at a time, so that nothing that a hostile file can say (deep
nesting, aliases of aliases) makes the tree larger than its limits before it is refused.

Scalars follow the core schema of YAML 1.2: ``yes``, ``on`` and ``12:34:56`` are text. Mapping
keys are always text. ``<<`` merges, as in YAML 1.1.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import Any, NoReturn

import yaml

from labctl.errors import InputError, Problem

__all__ = ["MAX_DEPTH", "MAX_VALUES", "MappingEntry", "Scalar", "Value", "ValueKind", "parse"]

Scalar = str | int | float | bool | None

MAX_DEPTH = 40
"""Deeper nesting is refused."""

MAX_VALUES = 200_000
"""More values than this, aliases counted at their full size, are refused."""

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TEXT_TAG = "tag:yaml.org,2002:str"
_MERGE_KEY = "<<"

_NULL = {"", "~", "null", "Null", "NULL"}
_BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
# More digits than these are no number that a lab has a use for; they stay text and are refused there.
_INT = re.compile(r"[-+]?[0-9]{1,30}\Z")
_BASED = re.compile(r"0o[0-7]{1,30}\Z|0x[0-9a-fA-F]{1,30}\Z")
_LONGEST_NUMBER = 40
_NO_TEXT = re.compile("[\0\ud800-\udfff]")
"""Characters that YAML can escape and that no file name, argument or UTF-8 file can hold."""
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]{1,3})?\Z")


class ValueKind:
    """The kind of a :class:`Value`."""

    SCALAR = "scalar"
    LIST = "list"
    MAPPING = "mapping"


@dataclass(slots=True)
class MappingEntry:
    """One key of a mapping, where it stands, and its value."""

    line: int
    column: int
    value: Value


@dataclass(slots=True)
class Value:
    """A value and where it begins.

    Attributes:
        kind: see :class:`ValueKind`.
        line, column: 1-based.
        scalar: of a scalar.
        items: of a list.
        entries: of a mapping.
        size: values in it, itself included, aliases at full size.
        depth: levels in it, 1 for a scalar or an empty list, aliases at full depth.
    """

    kind: str
    line: int
    column: int
    scalar: Scalar = None
    items: list[Value] = field(default_factory=list)
    entries: dict[str, MappingEntry] = field(default_factory=dict)
    size: int = 1
    depth: int = 1

    def plain(self) -> Any:  # noqa: ANN401 - whatever YAML can say
        """The same without positions: dict, list or scalar."""
        if self.kind == ValueKind.MAPPING:
            return {key: entry.value.plain() for key, entry in self.entries.items()}
        if self.kind == ValueKind.LIST:
            return [item.plain() for item in self.items]
        return self.scalar


def parse(text: str, file: str) -> Value:
    """Read one YAML document.

    Args:
        text: the whole file.
        file: what problems call it.

    Returns:
        The tree.

    Raises:
        InputError: the text is not YAML, or breaks a limit; or keys occur twice (each of them).
    """
    builder = _Builder(file)
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            builder.take(event)
    except yaml.MarkedYAMLError as error:
        raise InputError([_syntax_problem(error, file, text)]) from error
    except yaml.reader.ReaderError as error:
        raise InputError([_reader_problem(error, file, text)]) from error
    except yaml.YAMLError as error:
        raise InputError([Problem(file, 0, 0, f"is not YAML: {' '.join(str(error).split())}")]) from error
    return builder.result()


@dataclass(slots=True)
class _Open:
    """A list or mapping that has begun and not ended."""

    value: Value
    anchor: str | None
    key: tuple[str, int, int] | None = None
    merges: list[Value] = field(default_factory=list)


class _Builder:
    """Turns events into one tree."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._stack: list[_Open] = []
        self._anchors: dict[str, Value] = {}
        self._problems: list[Problem] = []
        self._root: Value | None = None
        self._total = 0

    def result(self) -> Value:
        """The tree, once the last event is taken."""
        if self._problems:
            raise InputError(self._problems)
        if self._root is None or (self._root.kind == ValueKind.SCALAR and self._root.scalar is None):
            raise InputError([Problem(self._file, 0, 0, "is empty")])
        return self._root

    def take(self, event: Any) -> None:  # noqa: ANN401 - the stubs think that marks may be missing
        """Take the next event."""
        line, column = event.start_mark.line + 1, event.start_mark.column + 1
        if isinstance(event, yaml.DocumentStartEvent) and self._root is not None:
            self._refuse(line, column, "a second YAML document begins here, expected one in a file")
        elif isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
            self._open(event, line, column)
        elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            self._close()
        elif isinstance(event, yaml.ScalarEvent):
            self._check_tag(event.tag, line, column)
            self._place(self._scalar(event, line, column), event.anchor, event.value)
        elif isinstance(event, yaml.AliasEvent):
            self._alias(str(event.anchor), line, column)

    def _open(self, event: yaml.CollectionStartEvent, line: int, column: int) -> None:
        self._check_tag(event.tag, line, column)
        if len(self._stack) >= MAX_DEPTH:
            self._refuse(line, column, f"is nested more than {MAX_DEPTH} levels deep")
        self._expect_key(line, column)
        kind = ValueKind.MAPPING if isinstance(event, yaml.MappingStartEvent) else ValueKind.LIST
        self._stack.append(_Open(Value(kind, line, column), event.anchor))

    def _close(self) -> None:
        done = self._stack.pop()
        for merged in done.merges:
            for key, entry in merged.entries.items():
                done.value.entries.setdefault(key, entry)
        children = done.value.items or [entry.value for entry in done.value.entries.values()]
        done.value.size = 1 + sum(child.size for child in children)
        done.value.depth = 1 + max((child.depth for child in children), default=0)
        self._place(done.value, done.anchor, None)

    def _alias(self, anchor: str, line: int, column: int) -> None:
        target = self._anchors.get(anchor)
        if target is None:
            self._refuse(line, column, f"*{anchor} has no anchor &{anchor} before it")
        if len(self._stack) + target.depth > MAX_DEPTH:
            self._refuse(line, column, f"is nested more than {MAX_DEPTH} levels deep")
        self._total += target.size
        self._place(target, None, None, alias_at=(line, column))

    def _scalar(self, event: yaml.ScalarEvent, line: int, column: int) -> Value:
        found = _NO_TEXT.search(event.value)
        if found:
            self._refuse(line, column, f"holds the character {found.group()!r}, which is no text")
        plain = event.implicit[0] and event.tag is None
        return Value(ValueKind.SCALAR, line, column, _resolve(event.value) if plain else event.value)

    def _place(
        self, value: Value, anchor: str | None, source: str | None, alias_at: tuple[int, int] | None = None
    ) -> None:
        """Put a finished value where it belongs; ``source`` is a scalar's own text."""
        line, column = alias_at or (value.line, value.column)
        self._total += 1
        if self._total > MAX_VALUES:
            self._refuse(line, column, f"holds more than {MAX_VALUES} values, aliases counted in full")
        if anchor is not None:
            self._anchors[anchor] = value
        if not self._stack:
            self._root = value
            return
        parent = self._stack[-1]
        if parent.value.kind == ValueKind.LIST:
            parent.value.items.append(value)
        elif parent.key is None:
            if value.kind != ValueKind.SCALAR:
                self._refuse(line, column, "a key must be text")
            text = source if source is not None else str(value.scalar)
            parent.key = (text, line, column)
        else:
            self._store(parent, value)
            parent.key = None

    def _store(self, parent: _Open, value: Value) -> None:
        key, line, column = parent.key or ("", 0, 0)
        if key == _MERGE_KEY:
            sources = value.items if value.kind == ValueKind.LIST else [value]
            if any(source.kind != ValueKind.MAPPING for source in sources):
                self._refuse(line, column, "<< merges mappings, expected an alias of one")
            parent.merges.extend(sources)
            return
        first = parent.value.entries.get(key)
        if first is not None:
            message = f"key {key!r} occurs twice, first in line {first.line}"
            self._problems.append(Problem(self._file, line, column, message))
            return
        parent.value.entries[key] = MappingEntry(line, column, value)

    def _expect_key(self, line: int, column: int) -> None:
        if self._stack and self._stack[-1].value.kind == ValueKind.MAPPING and self._stack[-1].key is None:
            hint = "quote it where it holds { } or [ ]"
            raise InputError([Problem(self._file, line, column, "a key must be text", hint)])

    def _check_tag(self, tag: str | None, line: int, column: int) -> None:
        if tag not in (None, "!", _TEXT_TAG):
            self._refuse(line, column, f"tag {tag} is not used here")

    def _refuse(self, line: int, column: int, message: str) -> NoReturn:
        raise InputError([*self._problems, Problem(self._file, line, column, message)])


def _resolve(text: str) -> Scalar:
    """A plain scalar as the core schema of YAML 1.2 has it."""
    if text in _NULL:
        return None
    if text in _BOOL:
        return _BOOL[text]
    if _INT.match(text):
        return int(text)
    if _BASED.match(text):
        return int(text, 0)
    if len(text) <= _LONGEST_NUMBER and _FLOAT.match(text) and math.isfinite(number := float(text)):
        return number
    return text


def _syntax_problem(error: yaml.MarkedYAMLError, file: str, text: str) -> Problem:
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
    message = error.problem or error.context or "is not YAML"
    hint = ""
    lines = text.split("\n")
    here = lines[line - 1] if 0 < line <= len(lines) else ""
    if here[column - 1 : column] == "\t":
        message, hint = "a tab stands where YAML expects spaces", "indent with spaces"
    elif "expected" in message and re.search(r"[\w-]\[", here):
        hint = 'inside [ ] or { } write ranges in quotes: "r[1-2]"'
    elif "expected" in message and re.search(r"\{\w+[}+-]", here):
        hint = 'inside [ ] or { } write variables in quotes: "{size}"'
    return Problem(file, line, column, f"YAML syntax: {message}", hint)


def _reader_problem(error: yaml.reader.ReaderError, file: str, text: str) -> Problem:
    # libyaml counts bytes, the Python reader characters; the first such character is what is meant.
    found = re.search(r"[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", text)
    if found is None:
        return Problem(file, 0, 0, f"is not YAML: {error.reason}")
    line = text.count("\n", 0, found.start()) + 1
    column = found.start() - text.rfind("\n", 0, found.start())
    message = f"control character U+{ord(found.group()):04X}, expected YAML text"
    return Problem(file, line, column, message)
