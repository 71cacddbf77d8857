"""labctl render: a topology as a containerlab definition and a folder a node."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from labctl.cli.console import out, warn
from labctl.cli.params import Sets, Templates, TopologyFile

__all__ = ["command"]


class Target(StrEnum):
    """Who reads the definition."""

    CONTAINERLAB = "containerlab"
    C9S = "c9s"


def command(  # noqa: PLR0917 - the command line is typer's to read
    topology: TopologyFile,
    output: Annotated[
        Path,
        typer.Option(
            "-o",
            "--output",
            metavar="DIR",
            help="Folder to write: new, empty, or written by an earlier labctl render.",
        ),
    ],
    set_: Sets = None,
    name: Annotated[
        str | None,
        typer.Option("--name", metavar="LAB", help="Name of the lab; the topology's name if not given."),
    ] = None,
    templates: Templates = None,
    target: Annotated[
        Target,
        typer.Option(
            "--target", metavar="containerlab|c9s", help="Who reads the definition; c9s is clabernetes."
        ),
    ] = Target.CONTAINERLAB,
) -> None:
    """Write the containerlab definition and every node's files.

    Both runtimes run the folder as it is: `containerlab deploy -t DIR/<lab>.clab.yml`. clabernetes refuses
    that definition (network mode, groups, restart policy); `--target c9s` writes one that it compiles.
    """
    from labctl.load import read_topology
    from labctl.render import render

    lab, warnings = read_topology(topology, sets=set_ or (), name=name, templates=templates or ())
    warn(warnings)
    out(str(render(lab, output, c9s=target is Target.C9S)))
