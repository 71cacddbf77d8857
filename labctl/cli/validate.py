"""labctl validate: every problem of every file, before anything is made of them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from labctl.cli.console import say, warn
from labctl.cli.params import Sets, Templates
from labctl.errors import InputError, Problem

__all__ = ["command", "validate"]

_DEFINITION_SUFFIXES = (".clab.yml", ".clab.yaml")


def command(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="Topology, scenario or containerlab files.")
    ],
    set_: Sets = None,
    templates: Templates = None,
) -> None:
    """Check topologies and scenarios; print every problem.

    Changes nothing. Exit code 0: no problem, 2: at least one.
    """
    validate(files, set_ or (), templates or ())


def validate(files: Sequence[Path], set_: Sequence[str] = (), templates: Sequence[Path] = ()) -> None:
    """Check every file by its kind, and say of the sound ones what is in them.

    Args:
        files: topologies, scenarios and containerlab files, told apart by their names and keys.
        set_: ``variable=value`` each, for the topologies and the scenarios' topologies.
        templates: the user's template folders, for the same.

    Raises:
        InputError: the problems of all files together.
    """
    problems: list[Problem] = []
    for file in files:
        try:
            said = _checked(file, set_, templates)
        except InputError as error:
            problems += error.problems
        else:
            say(f"{file}: {said}")
    if problems:
        raise InputError(problems)


def _checked(file: Path, sets: Sequence[str], templates: Sequence[Path]) -> str:
    """Load a file by its kind; what it holds, in a few words."""
    if file.name.endswith(_DEFINITION_SUFFIXES):
        return _definition(file)
    from labctl.load.document import read_document
    from labctl.scenario.load import load_scenario, looks_like_scenario

    document = read_document(file)
    if looks_like_scenario(document):
        scenario, loaded = load_scenario(file, sets, templates=templates)
        warn(scenario.warnings)
        streams, steps = _counted(len(scenario.traffic), "stream"), _counted(len(scenario.timeline), "step")
        return f"scenario {scenario.name} on lab {loaded.lab.name}, {streams}, {steps}"
    from labctl.load import load_topology

    lab = load_topology(file, sets, templates=templates)
    return f"topology {lab.name}, {_counted(len(lab.nodes), 'node')}, {_counted(len(lab.links), 'link')}"


def _definition(file: Path) -> str:
    from labctl.clab.parse import read_definition
    from labctl.load.document import read_document

    read_document(file)  # what is no readable YAML is told in the same words as for the other kinds
    definition = read_definition(file)
    nodes, links = len(definition.nodes), len(definition.links)
    return f"containerlab file {definition.name}, {_counted(nodes, 'node')}, {_counted(links, 'link')}"


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")
