"""A lab as the user's file describes it: read once, and passed on from there.

The code that brings a lab up, plans a scenario on it or writes its journal gets the same
:class:`LoadedLab`. No code reads the file again, because the file may have been edited meanwhile.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from labctl.errors import InputError, Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from labctl.clab.definition import Definition
    from labctl.model.lab import Lab

__all__ = ["LoadedLab", "load_lab_file"]


@dataclass(frozen=True, slots=True)
class LoadedLab:
    """A lab as a topology or a containerlab file describes it.

    Attributes:
        source: the user's file, absolute.
        text: what stood in it.
        lab: planned from a topology; of a containerlab file, its nodes and links.
        definition: what a containerlab file says; None for a topology, whose definition is
            rendered from ``lab``.
        warnings: what the file says that labctl will not take for ever, such as the former name of a var.
    """

    source: Path
    text: str
    lab: Lab
    definition: Definition | None = None
    warnings: tuple[Problem, ...] = ()


def load_lab_file(
    path: Path,
    *,
    name: str | None = None,
    sets: Sequence[str] = (),
    templates: Sequence[Path] = (),
    addresses: Iterable[tuple[str, str]] = (),
) -> LoadedLab:
    """Read a topology or a containerlab file, told apart by :func:`labctl.clab.parse.is_definition`.

    Args:
        path: of the file.
        name: of the lab, in the place of the file's own.
        sets: ``variable=value`` each, for a topology.
        templates: the user's template folders, over those that the topology names itself.
        addresses: for a containerlab file, whose addresses nobody planned: see
            :func:`labctl.clab.as_lab.lab_of`.

    Returns:
        What the file says.

    Raises:
        InputError: every problem of the file and of the other arguments.
    """
    from labctl.clab.parse import definition_from, is_definition  # noqa: PLC0415 - brings YAML in
    from labctl.document.document import read_document  # noqa: PLC0415

    document = read_document(path)
    if not is_definition(document):
        from labctl.load.topology import lab_from  # noqa: PLC0415 - brings pydantic in

        lab, warnings = lab_from(document, sets, name, templates=templates)
        return LoadedLab(path.resolve(), document.text, lab, warnings=warnings)
    _check_for_containerlab(name, sets, templates)
    from labctl.clab.as_lab import lab_of  # noqa: PLC0415

    definition = definition_from(document, path, name or "")
    return LoadedLab(path.resolve(), document.text, lab_of(definition, addresses), definition)


def _check_for_containerlab(name: str | None, sets: Sequence[str], templates: Sequence[Path]) -> None:
    from labctl.load.names import label_fault, suggestion  # noqa: PLC0415

    fault = "" if name is None else label_fault(name, "lab")
    problems = [Problem(f"--name {name}", 0, 0, fault, suggestion(str(name)))] if fault else []
    if sets:
        problems.append(Problem("--set", 0, 0, "a containerlab file has no variables to set"))
    if templates:
        problems.append(Problem("--templates", 0, 0, "a containerlab file is not made from templates"))
    if problems:
        raise InputError(problems)
