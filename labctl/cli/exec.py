"""labctl exec: a command in a node."""

import os
from typing import Annotated

import typer

from labctl.cli.console import need_root
from labctl.cli.params import LabName, NodeName

__all__ = ["CONTEXT", "command"]

# What stands after the node belongs to the command that is run there, dashes and all.
CONTEXT = {"allow_interspersed_args": False, "ignore_unknown_options": False}


def command(
    lab: LabName,
    node: NodeName,
    words: Annotated[list[str], typer.Argument(metavar="-- COMMAND", help="The command and its arguments.")],
) -> None:
    """Run a command in a node.

    Its exit code, stdin, stdout and stderr are untouched: labctl becomes the command.
    """
    argv = words[1:] if words[:1] == ["--"] else words
    if not argv:
        raise typer.BadParameter("which command? labctl exec LAB NODE -- COMMAND")
    need_root("entering a node")
    become(lab, node, argv)


def become(lab: str, node: str, argv: list[str]) -> None:
    """Replace this process by the command in the node."""
    from labctl.runtime.labs import open_lab

    runtime, lab_dir = open_lab(lab)
    line = runtime.shell_argv(lab_dir, node, argv)
    os.execvp(line[0], line)  # noqa: S606 - an argument list, and no shell is wanted
