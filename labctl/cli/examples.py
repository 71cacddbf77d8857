"""labctl examples: the scenarios and topologies that come with labctl."""

import re
from pathlib import Path
from typing import Annotated

import typer

from labctl.cli.console import out, out_json, table
from labctl.cli.params import Json

__all__ = ["command", "summary"]

_KINDS = {"scenarios": "scenario", "topologies": "topology"}


def command(
    name: Annotated[
        str | None,
        typer.Argument(metavar="[NAME]", help="Print this scenario or topology; list all if not given."),
    ] = None,
    json: Json = False,
) -> None:
    """List the shipped scenarios and topologies, or print one.

    `labctl run`, `up`, `validate`, `graph` and `render` take their names in place of a file.
    """
    from labctl.shipped import examples, file_or_example

    if name is not None:
        out(file_or_example(Path(name), *_KINDS).read_text(encoding="utf-8").rstrip("\n"))
        return
    found = [
        {"name": one, "kind": noun, "path": str(path), "summary": summary(path.read_text(encoding="utf-8"))}
        for kind, noun in _KINDS.items()
        for one, path in examples(kind).items()
    ]
    if json:
        out_json(found)
        return
    out(table(["NAME", "KIND", "WHAT"], [[one["name"], one["kind"], one["summary"]] for one in found]))


def summary(text: str) -> str:
    """The first sentence of the comment that a file begins with, without what ends it.

    An indented line of the comment, such as a command to type, ends the sentence too.
    """
    lines = []
    for line in text.splitlines():
        if not line.startswith("# ") or line.startswith("#  "):
            break
        lines.append(line.removeprefix("# ").strip())
    return re.split(r"[.](?:\s|$)", " ".join(lines), maxsplit=1)[0].rstrip(":")
