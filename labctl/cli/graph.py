"""labctl graph: a drawing of a topology."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from labctl.cli.console import out
from labctl.cli.params import Sets, TopologyFile
from labctl.errors import HostError

__all__ = ["command"]


class Format(StrEnum):
    """What the drawing is written in."""

    MERMAID = "mermaid"
    DOT = "dot"
    SVG = "svg"


def command(
    topology: TopologyFile,
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
    from labctl.load import load_topology

    lab = load_topology(topology, sets=set_ or ())
    if form is Format.SVG:
        from labctl.cli.drawing.svg import draw
    elif form is Format.DOT:
        from labctl.cli.drawing.dot import draw
    else:
        from labctl.cli.drawing.mermaid import draw
    text = draw(lab)
    if output is None:
        out(text)
        return
    try:
        output.write_text(text + "\n")
    except OSError as error:
        raise HostError(f"{output}: {error.strerror}") from error
