"""labctl graph: a drawing of a topology."""

from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from labctl.cli.console import out, say
from labctl.cli.params import LabFile, Sets
from labctl.model.lab import Lab

__all__ = ["command"]


class Format(StrEnum):
    """Format of the drawing."""

    MERMAID = "mermaid"
    DOT = "dot"
    SVG = "svg"


def command(
    topology: LabFile,
    form: Annotated[
        Format,
        typer.Option("--format", "-f", metavar="mermaid|dot|svg", help="Format of the drawing."),
    ] = Format.MERMAID,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE", help="Write to this file instead of stdout."),
    ] = None,
    set_: Sets = None,
) -> None:
    """Draw a topology.

    GitHub shows mermaid in a README, Graphviz reads dot, any browser opens svg.
    """
    lab = _load(topology, set_ or [])
    if form is Format.SVG:
        from labctl.drawing import svg

        text = svg.draw(lab)
    elif form is Format.DOT:
        from labctl.drawing import dot

        text = dot.draw(lab)
    else:
        from labctl.drawing import mermaid

        text = mermaid.draw(lab)
    if output is None:
        out(text)
        return
    from labctl.output_file import write_output

    write_output(output, text + "\n")


def _load(path: Path, sets: list[str]) -> Lab:
    from labctl.clab import labels
    from labctl.lab.loaded import load_lab_file

    loaded = load_lab_file(path, sets=sets)
    if loaded.definition is None:
        return loaded.lab
    from labctl.runtime.embedded.boot_spec import refusals

    for line in refusals(loaded.definition):
        say(f"{line} (--runtime netns)")
    # A file of ours says of each node its role, and what it acts as, which is its shape in the drawing.
    nodes = tuple(
        replace(node, role=spec.labels.get(labels.ROLE, spec.kind), acts_as=labels.acts_as(spec) or "")
        for node, spec in zip(loaded.lab.nodes, loaded.definition.nodes, strict=True)
    )
    return replace(loaded.lab, nodes=nodes)
