"""Every command of labctl, known without importing any of them.

The help texts stand here because ``labctl --help`` must not import twenty modules to print them.
A test holds them equal to the first line of each command's own help.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["COMMANDS", "SECTIONS", "CommandEntry", "module_name"]

SECTIONS = ("Prove", "Labs", "Act on a lab", "Files", "This machine")


@dataclass(frozen=True, slots=True)
class CommandEntry:
    """One command.

    Attributes:
        section: heading in the help, one of :data:`SECTIONS`.
        summary: one line of help.
    """

    section: str
    summary: str


COMMANDS: dict[str, CommandEntry] = {
    "run": CommandEntry("Prove", "Run scenarios and judge them."),
    "report": CommandEntry("Prove", "Rebuild the report of a run from its journals alone."),
    "record": CommandEntry("Prove", "Record a baseline for labctl compare --fail-on-worse."),
    "compare": CommandEntry("Prove", "Compare results: a table, and plots on the same axes."),
    "up": CommandEntry("Labs", "Bring a lab up and wait until every node is ready."),
    "down": CommandEntry("Labs", "Take labs down and leave nothing behind."),
    "ls": CommandEntry("Labs", "List the labs of this machine."),
    "status": CommandEntry("Labs", "Show the nodes of a lab and the faults in force."),
    "exec": CommandEntry("Act on a lab", "Run a command in a node."),
    "shell": CommandEntry("Act on a lab", "Open a shell in a node."),
    "logs": CommandEntry("Act on a lab", "Print what a node wrote since it last booted."),
    "bundle": CommandEntry(
        "Act on a lab", "Write one file to attach to a bug report: definition, logs, state of every node."
    ),
    "power": CommandEntry("Act on a lab", "Cut the power of a node, or restore it."),
    "link": CommandEntry("Act on a lab", "Cut a link, or restore it."),
    "probe": CommandEntry("Act on a lab", "Send numbered packets between two nodes and count them."),
    "trace": CommandEntry(
        "Act on a lab", "Trace a packet through the virtual networks: simulated first, then sent."
    ),
    "overlay": CommandEntry("Act on a lab", "Make and remove the virtual networks of a running lab."),
    "init": CommandEntry(
        "Files", "Make a folder with a topology, a scenario, a CI workflow and editor schemas."
    ),
    "examples": CommandEntry("Files", "List the shipped scenarios and topologies, or print one."),
    "validate": CommandEntry("Files", "Check topologies and scenarios; print every problem."),
    "render": CommandEntry("Files", "Write the containerlab definition and every node's files."),
    "graph": CommandEntry("Files", "Draw a topology."),
    "schema": CommandEntry("Files", "Print the JSON Schema of a file format."),
    "doctor": CommandEntry("This machine", "Check what this machine supports and what it lacks."),
    "images": CommandEntry("This machine", "Build and list the container images."),
    "version": CommandEntry("This machine", "Print the versions of labctl and Python, and where they are."),
}


def module_name(command: str) -> str:
    """The module that holds a command."""
    return f"labctl.cli.{command.replace('-', '_')}"
