"""Every command of labctl, known without importing any of them.

The help texts stand here because ``labctl --help`` must not import twenty modules to print them.
A test holds them equal to the first line of each command's own help.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["COMMANDS", "SECTIONS", "Entry", "module_name"]

SECTIONS = ("Prove", "Labs", "Act on a lab", "Files", "This machine")


@dataclass(frozen=True, slots=True)
class Entry:
    """One command.

    Attributes:
        section: heading in the help, one of :data:`SECTIONS`.
        summary: one line of help.
    """

    section: str
    summary: str


COMMANDS: dict[str, Entry] = {
    "run": Entry("Prove", "Run scenarios and judge them."),
    "report": Entry("Prove", "Rebuild the report of a run from its journals alone."),
    "compare": Entry("Prove", "Compare results: a table, and plots on the same axes."),
    "up": Entry("Labs", "Bring a lab up and wait until every node is ready."),
    "down": Entry("Labs", "Take labs down and leave nothing behind."),
    "ls": Entry("Labs", "List the labs of this machine."),
    "status": Entry("Labs", "Show the nodes of a lab and the faults in force."),
    "exec": Entry("Act on a lab", "Run a command in a node."),
    "shell": Entry("Act on a lab", "Open a shell in a node."),
    "logs": Entry("Act on a lab", "Print what a node wrote since it last booted."),
    "power": Entry("Act on a lab", "Cut the power of a node, or restore it."),
    "link": Entry("Act on a lab", "Cut a link, or restore it."),
    "probe": Entry("Act on a lab", "Send numbered packets between two nodes and count them."),
    "trace": Entry(
        "Act on a lab", "Trace a packet through the virtual networks: simulated first, then sent."
    ),
    "overlay": Entry("Act on a lab", "Make and remove the virtual networks of a running lab."),
    "validate": Entry("Files", "Check topologies and scenarios; print every problem."),
    "render": Entry("Files", "Write the containerlab definition and every node's files."),
    "graph": Entry("Files", "Draw a topology."),
    "schema": Entry("Files", "Print the JSON Schema of a file format."),
    "doctor": Entry("This machine", "Check what this machine supports and what it lacks."),
    "images": Entry("This machine", "Build and list the container images."),
}


def module_name(command: str) -> str:
    """The module that holds a command."""
    return f"labctl.cli.{command.replace('-', '_')}"
