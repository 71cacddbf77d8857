"""labctl graph: a drawing of a topology."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from labctl.cli.console import out
from labctl.cli.params import LabFile, Sets
from labctl.errors import InputError, Problem
from labctl.model.lab import Endpoint, Lab, Link, Node

__all__ = ["command"]


class Format(StrEnum):
    """What the drawing is written in."""

    MERMAID = "mermaid"
    DOT = "dot"
    SVG = "svg"


def command(
    topology: LabFile,
    form: Annotated[
        Format,
        typer.Option("--format", "-f", metavar="mermaid|dot|svg", help="What the drawing is written in."),
    ] = Format.MERMAID,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="Write to a file.")
    ] = None,
    set_: Sets = None,
) -> None:
    """Draw a topology.

    Mermaid shows in a README on GitHub, dot goes to Graphviz, svg opens in any browser.
    """
    lab = _load(topology, set_ or [])
    if form is Format.SVG:
        from labctl.drawing.svg import draw
    elif form is Format.DOT:
        from labctl.drawing.dot import draw
    else:
        from labctl.drawing.mermaid import draw
    text = draw(lab)
    if output is None:
        out(text)
        return
    from labctl.output_file import write_output

    write_output(output, text + "\n")


def _load(path: Path, sets: list[str]) -> Lab:
    from labctl.clab import labels
    from labctl.clab.parse import is_definition, read_definition

    if not is_definition(path):
        from labctl.load import load_topology

        return load_topology(path, sets=sets)
    if sets:
        raise InputError([Problem("--set", 0, 0, "a containerlab file has no variables to set")])
    definition = read_definition(path)
    nodes = tuple(
        Node(spec.name, spec.labels.get(labels.ROLE, spec.kind), index, acts_as=labels.acts_as(spec) or "")
        for index, spec in enumerate(definition.nodes)
    )
    links = tuple(
        Link(index, Endpoint(cable.a.node, cable.a.interface), Endpoint(cable.b.node, cable.b.interface))
        for index, cable in enumerate(definition.cables)
    )
    return Lab(definition.name, nodes, links)
