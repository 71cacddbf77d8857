"""Variables of a topology: ``vars:``, ``--set name=value``, and ``{name}`` in any text.

``{size}`` stands for the variable, ``{size-1}`` and ``{size+1}`` for a number near it; ``{{`` and
``}}`` are the braces themselves. A text that is one variable and nothing else takes its type. In a
text of several lines (a piece of configuration) braces that hold no variable stay as they are.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from labctl.document.hints import nearest
from labctl.errors import InputError, Problem

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from labctl.document.document import Document, Position
    from labctl.document.tree import Scalar

__all__ = ["MAX_FILLED", "Filler", "read_vars", "substituted"]

MAX_FILLED = 4 << 20
"""Characters that variables may add to a document; variables of variables could add billions."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z", re.ASCII)
_TOKEN = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_TOKEN_OF_LINES = re.compile(r"\{\{|\}\}|\{([A-Za-z_][A-Za-z0-9_]*(?:[+-]\d{1,9})?)\}", re.ASCII)
_INSIDE = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_]*)\s*(?:([+-])\s*(\d{1,9}))?\s*\Z", re.ASCII)
_COMMAND_LINE = "--set"


def read_vars(document: Document, sets: Sequence[str]) -> tuple[dict[str, Scalar], list[Problem]]:
    """The variables of a topology after ``--set``.

    Args:
        document: the topology as it was read. A variable may use those before it.
        sets: ``name=value`` each, later ones win; a value is read as the type that the variable
            has in the file.

    Returns:
        The variables in the order of the file, and every problem with them.
    """
    given, problems = _given(sets)
    data = document.data.get("vars") if isinstance(document.data, dict) else None
    values: dict[str, Scalar] = {}
    filler = Filler(values, document.file)
    if data is not None and not isinstance(data, dict):
        problems.append(document.problem(("vars",), "expected a mapping of names and values"))
        data = None
    for name, value in (data or {}).items():
        path = ("vars", name)
        if not _NAME.match(name):
            message = f"{name!r} is not a name for a variable, expected letters, digits and '_'"
            problems.append(document.problem(path, message, key=True))
        elif isinstance(value, dict | list):
            problems.append(
                document.problem(path, f"variable {name!r} must be text, a number, true or false")
            )
        else:
            try:
                filled = filler.fill(value, document.position(path))
                values[name] = _typed(name, given.pop(name), filled) if name in given else filled
            except InputError as error:
                given.pop(name, None)
                values[name] = value
                problems.extend(error.problems)
    for name, text in given.items():
        hint = nearest(name, values) if values else "the file has no vars"
        problems.append(_set_problem(f"{name}={text}", f"{document.file} has no variable {name!r}", hint))
    return values, problems


def substituted(document: Document, values: Mapping[str, Scalar]) -> Document:
    """The document with every variable filled in.

    Raises:
        InputError: unknown variables and lone braces, all of them.
    """
    return document.mapped(Filler(values, document.file).fill)


class Filler:
    """Fills variables into the texts of one document."""

    def __init__(self, values: Mapping[str, Scalar], file: str) -> None:
        """Take the variables by name, and what problems call the file."""
        self._values = values
        self._file = file
        self._left = MAX_FILLED

    def fill(self, text: Scalar, place: Position) -> Scalar:
        """Fill variables into one text.

        Args:
            text: as written; what is no text comes back as it is.
            place: of the text, for problems.

        Returns:
            The text; or the variable's own value where the text is that and nothing else.

        Raises:
            InputError: an unknown variable, arithmetic on what is no whole number, a lone brace.
        """
        if not isinstance(text, str) or ("{" not in text and "}" not in text):
            return text
        problems: list[Problem] = []

        def one(match: re.Match[str]) -> str:
            try:
                filled = self._one(match.group(), match.group(1))
            except ValueError as error:
                message, _, hint = str(error).partition("\n")
                problems.append(Problem(self._file, place.line, place.column, message, hint))
                return ""
            self._left -= len(filled)
            if self._left < 0:
                message = f"variables make the file more than {MAX_FILLED} characters longer"
                raise InputError([Problem(self._file, place.line, place.column, message)])
            return filled

        token = _TOKEN_OF_LINES if "\n" in text else _TOKEN
        whole = token.fullmatch(text)
        filled = token.sub(one, text)
        if problems:
            raise InputError(problems)
        if whole is not None and whole.group(1) is not None:
            return _lookup(text, whole.group(1), self._values)
        return filled

    def _one(self, token: str, inside: str | None) -> str:
        if token in ("{{", "}}"):
            return token[0]
        return _as_text(_lookup(token, inside, self._values))


def _lookup(token: str, inside: str | None, values: Mapping[str, Scalar]) -> Scalar:
    """The value of what stands between two braces; ValueError: message and hint on two lines."""
    if inside is None:
        raise ValueError(f"a lone {token!r}\nwrite {token * 2} for the character itself")
    match = _INSIDE.match(inside)
    if match is None:
        raise ValueError(f"{token!r} is no variable, expected such as {{size}} or {{size-1}}")
    name, sign, number = match.groups()
    if name not in values:
        hint = nearest(name, values) or "the file has no vars"
        raise ValueError(f"unknown variable {name!r}\n{hint}")
    value = values[name]
    if sign is None:
        return value
    if type(value) is not int:  # a truth value is none to count with
        raise ValueError(f"{token!r} needs a whole number, {name} is {value!r}")
    return value + int(number) if sign == "+" else value - int(number)


def _as_text(value: Scalar) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def _given(sets: Sequence[str]) -> tuple[dict[str, str], list[Problem]]:
    given: dict[str, str] = {}
    problems = []
    for item in sets:
        name, equals, text = item.partition("=")
        if not equals or not name.strip():
            problems.append(_set_problem(item, "expected name=value"))
        else:
            given[name.strip()] = text
    return given, problems


def _typed(name: str, text: str, like: Scalar) -> Scalar:
    """``text`` of the command line as the type of ``like``."""
    words = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
    expected = "text"
    try:
        if isinstance(like, bool):
            expected = "true or false"
            return words[text.strip().lower()]
        if isinstance(like, int):
            expected = "a whole number"
            return _whole(text)
        if isinstance(like, float):
            expected = "a number"
            return float(text)
    except (KeyError, ValueError) as error:
        problem = _set_problem(f"{name}={text}", f"expected {expected} for {name}, as in the file ({like})")
        raise InputError([problem]) from error
    return text


def _whole(text: str) -> int:
    if not re.fullmatch(r"\s*[-+]?\d{1,18}\s*", text, re.ASCII):
        raise ValueError(text)
    return int(text)


def _set_problem(item: str, message: str, hint: str = "") -> Problem:
    return Problem(f"{_COMMAND_LINE} {item}", 0, 0, message, hint)
