"""The published JSON Schema of a journal's line, and the table of kinds in docs/journal.md.

Both come from :data:`labctl.journal.kinds.KINDS`, which tests hold what is written, and what the verdict
reads, against. ``python -m labctl.journal.schema`` prints the table.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from labctl.journal import fields as f
from labctl.journal.file import FORMAT
from labctl.journal.kinds import KINDS

if TYPE_CHECKING:
    from labctl.journal.kinds import EventKind

__all__ = ["json_schema", "kinds_table"]

_CHAIN = {"type": "string", "pattern": "^[0-9a-f]{32}$"}


def json_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of one line of ``journal.jsonl``: one alternative a kind."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"labctl journal, format {FORMAT}: one line",
        "oneOf": [_line(kind) for kind in KINDS],
    }


def kinds_table() -> str:
    """The table of kinds, Markdown: every kind with its fields and their units."""
    rows = [f"| `{kind.name}` | {kind.text} | {_told(kind)} |" for kind in KINDS]
    return "\n".join(["| kind | when | data |", "|---|---|---|", *rows]) + "\n"


def _line(kind: EventKind) -> dict[str, Any]:
    line = f.object_of(
        f.JournalField("kind", {"const": kind.name}, "which kind of line"),
        f.moment("t_ns", "when it happened"),
        f.record("data", kind.text, *kind.fields),
        f.count("n", "number of the line, from 1", "lines", least=1),
        f.JournalField("chain", _CHAIN, "hash over this line and the chain of the line before"),
    )
    return {**line, "title": kind.name, "description": kind.text}


def _told(kind: EventKind) -> str:
    return "; ".join(_field(field) for field in kind.fields)


def _field(field: f.JournalField) -> str:
    inner = field.shape.get("items", field.shape)
    names = inner.get("properties", {}) if isinstance(inner, dict) else {}
    parts = f" ({', '.join(f'`{name}`' for name in names)})" if names else ""
    unit = f", {field.unit}" if field.unit and field.unit != "index" else ""
    left_out = "" if field.required else ", may be left out"
    return f"`{field.name}`{parts}: {field.text}{unit}{left_out}"


if __name__ == "__main__":
    print(kinds_table(), end="")  # noqa: T201 - this is its output
