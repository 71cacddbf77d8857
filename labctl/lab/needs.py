"""What this machine lacks for the nodes of a lab, by what their roles require: one line each with its fix."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from labctl.linux.installed import absent

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from labctl.model.lab import Lab
    from labctl.roles.requirements import Requirement

__all__ = ["lacks", "needs_of"]

_WORDS = {
    "programs": "program",
    "files": "file",
    "libraries": "library",
    "modules": "Python module",
    "kernel": "kernel feature",
}
_NAMED = 3
"""So many nodes are named in a line."""


def lacks(needs: Iterable[tuple[str, Requirement]]) -> list[str]:
    """What is not there of what nodes need.

    Args:
        needs: a node's name, and something that it needs.

    Returns:
        One line for each thing of the same fix, whatever the number of nodes that need it.
    """
    nodes: dict[tuple[str, tuple[str, ...], str], list[str]] = {}
    for node, each in needs:
        nodes.setdefault((each.kind, each.names, each.fix), []).append(node)
    return [
        f"{_WORDS[kind]} {' '.join(missing)} is not there, needed by {_listed(names)}: {fix}"
        for (kind, wanted, fix), names in nodes.items()
        if (missing := absent(kind, wanted))
    ]


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def needs_of(lab: Lab) -> list[tuple[str, Requirement]]:
    """What the nodes of a planned lab need of the machine where they run from its own files.

    Raises:
        InputError: a ``role.yml`` is no longer sound.
    """
    # Who only asks what is lacking need not wait for what reads roles.
    from labctl.roles.catalog import load_role  # noqa: PLC0415
    from labctl.roles.expressions import holds  # noqa: PLC0415
    from labctl.roles.folders import shipped_templates  # noqa: PLC0415

    folders = (*map(Path, lab.templates), shipped_templates())
    roles = {name: load_role(name, folders) for name in {node.role for node in lab.nodes}}
    return [
        (node.name, each)
        for node in lab.nodes
        for each in roles[node.role].requires
        if holds(each.when, {**roles[node.role].vars, **node.params})
    ]
