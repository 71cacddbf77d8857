"""A command that a scenario runs in a node, and what is expected of it: exit code, text, JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

from pydantic import Field, model_validator

from labctl.document.entries import Entry, Name

if TYPE_CHECKING:
    from labctl.lab.runtime import ExecResult

__all__ = ["JsonEntry", "NodeCommand", "NodeCommandEntry", "shown"]

_READ = 1 << 20
"""Bytes of an output that are looked at."""

_SHOWN = 120

Word: TypeAlias = Annotated[str, Field(max_length=4096, pattern=r"^[^\x00]*$")]
Scalar: TypeAlias = str | int | float | bool | None


class JsonEntry(Entry):
    """One value of JSON output."""

    path: Annotated[
        str, Field(min_length=1, description="keys and indices that lead to it: ipv4Unicast.peers.eth1.state")
    ]
    equals: Annotated[Scalar, Field(description="what it must be")] = None
    at_least: Annotated[float | None, Field(alias="at-least", description="no smaller number")] = None
    at_most: Annotated[float | None, Field(alias="at-most", description="no greater number")] = None

    @model_validator(mode="after")
    def _one_wish(self) -> JsonEntry:
        if not self.model_fields_set & {"equals", "at_least", "at_most"}:
            raise ValueError("one of equals, at-least, at-most was expected")
        return self


class NodeCommandEntry(Entry):
    """A command in a node, and what is expected of it."""

    node: Name
    run: Annotated[
        Word | Annotated[list[Word], Field(min_length=1)],
        Field(description="words, or a line for the node's shell"),
    ]
    exit: Annotated[int, Field(ge=0, le=255, description="the exit code that is expected; 0")] = 0
    stdout: Annotated[str | None, Field(min_length=1, description="text that the output holds")] = None
    json_: Annotated[JsonEntry | None, Field(alias="json", description="a value of the output")] = None


@dataclass(frozen=True, slots=True)
class NodeCommand:
    """A command of a node, and what is expected of it.

    Attributes:
        argv: words; a line of a user's is run by the node's own shell.
        code: exit code.
        stdout: text that the output must hold; empty for any.
        wanted: a value of JSON output: path, and what it must be; None if not asked.
    """

    argv: tuple[str, ...]
    code: int = 0
    stdout: str = ""
    wanted: JsonEntry | None = None

    @classmethod
    def of(cls, entry: NodeCommandEntry) -> NodeCommand:
        """As a user wrote it."""
        argv = ("sh", "-c", entry.run) if isinstance(entry.run, str) else tuple(entry.run)
        return cls(argv, entry.exit, entry.stdout or "", entry.json_)

    def fault(self, result: ExecResult) -> str:
        """What is not as expected, in a few words; empty if all is."""
        if result.code != self.code:
            said = shown(result.stderr or result.stdout)
            return f"exit code {result.code}, expected {self.code}" + (f": {said}" if said else "")
        output = result.stdout[:_READ]
        if self.stdout and self.stdout.encode() not in output:
            return f"no {self.stdout!r} in the output {shown(output)!r}"
        return "" if self.wanted is None else _json_fault(output, self.wanted)

    def __str__(self) -> str:
        return self.argv[2] if self.argv[:2] == ("sh", "-c") else " ".join(self.argv)


def shown(output: bytes) -> str:
    """The first line of an output, short enough for a message."""
    lines = output[:_READ].decode(errors="replace").strip().splitlines()
    text = "".join(char if char.isprintable() else "?" for char in lines[0]) if lines else ""
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."


def _json_fault(output: bytes, wanted: JsonEntry) -> str:
    try:
        value: Any = json.loads(output)
        for key in wanted.path.split("."):
            value = value[int(key)] if isinstance(value, list) else value[key]
    except json.JSONDecodeError:
        return f"the output is no JSON: {shown(output)!r}"
    except (KeyError, IndexError, ValueError, TypeError, RecursionError):
        return f"no {wanted.path} in the output"
    expected = _expected(value, wanted)
    return f"{wanted.path} is {shown(json.dumps(value).encode())}, expected {expected}" if expected else ""


def _expected(value: object, wanted: JsonEntry) -> str:
    """What a value should be instead; empty if it is as wanted."""
    # 1 is not true, and true is no number.
    alike = isinstance(value, bool) is isinstance(wanted.equals, bool)
    if "equals" in wanted.model_fields_set and not (alike and value == wanted.equals):
        return json.dumps(wanted.equals)
    if (wanted.at_least, wanted.at_most) == (None, None):
        return ""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "a number"
    if wanted.at_least is not None and value < wanted.at_least:
        return f"at least {wanted.at_least:g}"
    return f"at most {wanted.at_most:g}" if wanted.at_most is not None and value > wanted.at_most else ""
