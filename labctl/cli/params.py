"""Parameters that several commands share, declared once, with their completions."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "Force",
    "Json",
    "LabFile",
    "LabName",
    "LabOrFile",
    "NodeName",
    "RuntimeName",
    "Sets",
    "Templates",
    "Timeout",
    "TopologyFile",
]

RUNTIMES = ("auto", "netns", "containerlab")


def lab_names(incomplete: str) -> list[str]:
    """Names of the labs of this machine, for shell completion."""
    from labctl.lab.state import labs

    return [lab.name for lab in labs() if lab.name.startswith(incomplete)]


def node_names(ctx: typer.Context, incomplete: str) -> list[str]:
    """Names of the nodes of the lab that stands before on the command line, for completion."""
    return [name for name in _nodes_of(str(ctx.params.get("lab", ""))) if name.startswith(incomplete)]


def _nodes_of(lab: str) -> Iterator[str]:
    from labctl.errors import LabctlError
    from labctl.lab.definition_cache import definition_of
    from labctl.lab.state import LabDir

    # Completion says nothing about what is wrong: the command itself will.
    with contextlib.suppress(LabctlError):
        yield from (node.name for node in definition_of(LabDir(lab)).nodes)


def known_runtime(value: str) -> str:
    """Refuse what is no runtime."""
    if value not in RUNTIMES:
        raise typer.BadParameter(f"{value!r} is none of {', '.join(RUNTIMES)}")
    return value


def topology_path(ctx: typer.Context, value: Path) -> Path:
    """The topology of that path, or the shipped one of that name."""
    if ctx.resilient_parsing:
        return value
    from labctl.shipped import file_or_example

    return file_or_example(value, "topologies")


TopologyFile = Annotated[
    Path,
    typer.Argument(
        metavar="TOPOLOGY",
        help="A topology: a file, or the name of a shipped one.",
        readable=False,
        callback=topology_path,
    ),
]
LabFile = Annotated[
    Path,
    typer.Argument(
        metavar="TOPOLOGY",
        help="A topology (a file, or the name of a shipped one), or a containerlab file (*.clab.yml).",
        readable=False,
        callback=topology_path,
    ),
]
LabName = Annotated[
    str, typer.Argument(metavar="LAB", help="Name of a running lab.", autocompletion=lab_names)
]
LabOrFile = Annotated[
    str | None,
    typer.Argument(
        metavar="LAB|TOPOLOGY",
        help="Name of a lab, or its topology file; optional if only one lab runs.",
        autocompletion=lab_names,
    ),
]
NodeName = Annotated[
    str, typer.Argument(metavar="NODE", help="Name of a node of the lab.", autocompletion=node_names)
]
Force = Annotated[
    bool,
    typer.Option(
        "--force", help="Do it although a run uses the lab; the result of that run is then an ERROR."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Sets = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Set a variable of the topology; repeatable."),
]
Templates = Annotated[
    list[Path] | None,
    typer.Option(
        "--templates",
        metavar="DIR",
        help="Template folder that overrides the built-in templates file by file; repeatable.",
    ),
]
RuntimeName = Annotated[
    str,
    typer.Option(
        "--runtime",
        metavar="auto|netns|containerlab",
        help="Runtime of the lab; auto prefers containerlab where it is installed.",
        callback=known_runtime,
        autocompletion=lambda: list(RUNTIMES),
    ),
]
Timeout = Annotated[
    float,
    typer.Option("--timeout", metavar="SECONDS", min=0.1, help="Time limit for every node to become ready."),
]
