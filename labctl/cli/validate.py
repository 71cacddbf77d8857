"""labctl validate: every problem of every file, before anything is made of them."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from labctl.cli.console import say, warn
from labctl.cli.params import Sets, Templates
from labctl.errors import InputError, Problem

if TYPE_CHECKING:
    from labctl.clab.definition import Definition
    from labctl.document.document import Document
    from labctl.roles.requirements import Requirement

    Needs = list[tuple[str, Requirement]]
    Checked = tuple[str, Needs, Sequence[str]]

__all__ = ["command", "validate"]


def command(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE...", help="Topologies, scenarios or containerlab files; shipped ones by name."
        ),
    ],
    set_: Sets = None,
    templates: Templates = None,
) -> None:
    """Check topologies and scenarios; print every problem.

    Changes nothing. Exit code 0: no problem, 2: at least one. What this machine lacks for the embedded
    runtime is shown too, with its fix; it is no problem of the file.
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
    from labctl.lab.needs import lacks
    from labctl.shipped import file_or_example

    problems: list[Problem] = []
    for file in files:
        try:
            file = file_or_example(file, "scenarios", "topologies")  # noqa: PLW2901 - the one that is meant
            said, needs, refused = _checked(file, set_, templates)
        except InputError as error:
            problems += error.problems
        else:
            say(f"{file}: {said}")
            for line in lacks(needs):
                say(f"{file}: --runtime netns cannot run it here: {line}")
            for line in refused:
                say(f"{line} (--runtime netns)")
    if problems:
        raise InputError(problems)


def _checked(file: Path, sets: Sequence[str], templates: Sequence[Path]) -> "Checked":
    """Load a file by its kind: what it holds, in a few words, what its nodes need, what netns refuses."""
    from labctl.clab.parse import is_definition
    from labctl.document.document import read_document
    from labctl.lab.needs import needs_of
    from labctl.scenario.load import load_scenario, looks_like_scenario

    document = read_document(file)
    if is_definition(document):
        return _definition(document, file)
    if looks_like_scenario(document):
        scenario, loaded = load_scenario(file, sets, templates=templates)
        warn((*loaded.warnings, *scenario.warnings))
        streams, steps = _counted(len(scenario.traffic), "stream"), _counted(len(scenario.timeline), "step")
        said = f"scenario {scenario.name} on lab {loaded.lab.name}, {streams}, {steps}"
        if loaded.definition is not None:
            return said, *_of(loaded.definition)
        return said, needs_of(loaded.lab), ()
    from labctl.load import read_topology

    lab, warnings = read_topology(file, sets, templates=templates)
    warn(warnings)
    nodes, links = _counted(len(lab.nodes), "node"), _counted(len(lab.links), "link")
    return f"topology {lab.name}, {nodes}, {links}", needs_of(lab), ()


def _definition(document: "Document", file: Path) -> "Checked":
    from labctl.clab.parse import definition_from

    definition = definition_from(document, file)
    nodes, links = len(definition.nodes), len(definition.links)
    said = f"containerlab file {definition.name}, {_counted(nodes, 'node')}, {_counted(links, 'link')}"
    return said, *_of(definition)


def _of(definition: "Definition") -> "tuple[Needs, Sequence[str]]":
    """What the nodes of a containerlab file need, and what the embedded runtime would not do for it."""
    from labctl.clab.labels import requirements
    from labctl.runtime.embedded.boot_spec import refusals

    needs = [(node.name, each) for node in definition.nodes for each in requirements(node)]
    return needs, refusals(definition)


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")
