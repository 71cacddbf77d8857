"""docs/commands.md against the commands."""

from __future__ import annotations

from pathlib import Path

from labctl.cli.reference import page

DOCS = Path(__file__).parents[3] / "docs" / "commands.md"


def test_the_page_of_commands_is_what_the_commands_say() -> None:
    assert DOCS.read_text() == page(), "run: python -m labctl.cli.reference > docs/commands.md"
