"""labctl exec: a command in a node."""

from typing import TYPE_CHECKING, Annotated

import typer

from labctl.cli.console import need_root, say
from labctl.cli.params import LabName, NodeName

if TYPE_CHECKING:
    from labctl.lab.runtime import Runtime
    from labctl.lab.state import LabDir

__all__ = ["CONTEXT", "command"]

# What stands after the node belongs to the command that is run there, dashes and all.
CONTEXT = {"allow_interspersed_args": False, "ignore_unknown_options": False}


def command(
    lab: LabName,
    node: NodeName,
    words: Annotated[list[str], typer.Argument(metavar="-- COMMAND", help="The command and its arguments.")],
) -> int:
    """Run a command in a node.

    labctl passes the command's stdin, stdout, stderr and exit code through. If the node loses power,
    the command is killed: exit code 137, and one line on stderr. NODE may also be a VM that labctl
    overlay env create made.
    """
    argv = words[1:] if words[:1] == ["--"] else words
    if not argv:
        raise typer.BadParameter("no command given, expected labctl exec LAB NODE -- COMMAND")
    need_root("entering a node")
    return run_inside(lab, node, argv)


def run_inside(lab: str, node: str, argv: list[str]) -> int:
    """Run a command in the node on this process's streams; its exit code."""
    from labctl.cli.session import run_session
    from labctl.lab.definition_cache import definition_of
    from labctl.lab.lifecycle import open_lab

    runtime, lab_dir = open_lab(lab)
    if all(node != known.name for known in definition_of(lab_dir).nodes):
        node, argv = _in_guest(runtime, lab_dir, node, argv)
    code = run_session(runtime.shell_argv(lab_dir, node, argv))
    if code != 0 and _lost_power(lab_dir, node):
        say(f"labctl: {node} lost power, which killed the command")
    return code


def _lost_power(lab: "LabDir", node: str) -> bool:
    from labctl.fault import PowerMode, faults

    return any(
        fault.action == "power-off"
        and fault.target == node
        and fault.detail.get("mode") != PowerMode.FREEZE.value
        for fault in faults(lab)
    )


def _in_guest(runtime: "Runtime", lab_dir: "LabDir", name: str, argv: list[str]) -> tuple[str, list[str]]:
    """The node that a VM lives on, and the words to be said there; what was given if there is no such VM."""
    from labctl.errors import ActionError
    from labctl.overlay.client.agents import Agents, guest_words

    try:
        guest = Agents(runtime, lab_dir).guests()[name]
    except (ActionError, KeyError):
        return name, argv
    return guest.host, guest_words(guest, argv)
