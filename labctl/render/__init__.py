"""Model -> definition: a containerlab file and a folder for each node. Starts nothing.

:func:`render` writes them; what a role is made of stands in :mod:`labctl.roles`,
in :mod:`labctl.model.routing` what its templates can ask.
"""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labctl.model.codec import dump_lab
from labctl.model.routing import plan_routing
from labctl.render.definition import definition_context
from labctl.render.environment import Templates
from labctl.render.folder import MARK, OutFile, write_folder
from labctl.roles.catalog import load_role
from labctl.roles.folders import shipped_templates

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import PurePosixPath

    from labctl.model.lab import Lab, NodePlan
    from labctl.model.routing import RoutingPlan
    from labctl.roles.model import Role

__all__ = ["render", "render_files"]

DEFINITION_TEMPLATE = "lab.clab.yml.j2"


def render(lab: Lab, out: Path, *, overlays: Sequence[Path] = (), c9s: bool = False) -> Path:
    """Write a lab as a definition that both runtimes run.

    Args:
        lab: the planned lab.
        out: folder to write; it must be new, empty, or rendered before.
        overlays: further template folders of the user, over those that the lab names; each lies over
            ours file by file, the first on top.
        c9s: write the definition for clabernetes, which refuses some of what containerlab takes.

    Returns:
        The ``<lab>.clab.yml``.

    Raises:
        InputError: a role is unknown or its ``role.yml`` is wrong.
        RenderError: a template failed (names template, line, node), or ``out`` cannot be written.
    """
    files = render_files(lab, overlays=overlays)
    name = f"{lab.name}.clab.yml"
    if c9s:
        from labctl.render.c9s import for_c9s  # noqa: PLC0415 - brings YAML in, which writing it needs not

        files[name] = (for_c9s(files[name][0].decode()).encode(), False)
    write_folder(out, files)
    return out / name


def render_files(lab: Lab, *, overlays: Sequence[Path] = ()) -> dict[str, OutFile]:
    """What :func:`render` would write: content and whether it is a program, by relative path."""
    folders = (*overlays, *map(Path, lab.templates), shipped_templates())
    roles = {name: load_role(name, folders) for name in dict.fromkeys(node.role for node in lab.nodes)}
    templates = Templates(folders, {name: role.lineage for name, role in roles.items()})
    routing = plan_routing(lab)
    files = {
        node.name: _node_files(_context(lab, node, routing[node.name], roles[node.role]), templates)
        for node in lab.nodes
    }
    definition = templates.render(DEFINITION_TEMPLATE, definition_context(lab, roles, files, routing))
    return {
        f"{lab.name}.clab.yml": (definition.encode(), False),
        **{f"{node}{target}": content for node, own in files.items() for target, content in own.items()},
        MARK: (dump_lab(lab).encode(), False),
    }


def _context(lab: Lab, node: NodePlan, routing: RoutingPlan, role: Role) -> dict[str, Any]:
    """What the templates of one node may use, by name."""
    return {
        "lab": lab,
        "node": node,
        "role": role,
        "vars": {**role.vars, **node.params},
        **{item.name: getattr(routing, item.name) for item in fields(routing)},
        "gated": routing.gated,
        "held": routing.deferred_up,  # its name up to 0.2, for templates that users have
    }


def _node_files(context: Mapping[str, Any], templates: Templates) -> dict[PurePosixPath, OutFile]:
    role, node = context["role"], context["node"]
    found: dict[PurePosixPath, OutFile] = {}
    for file in role.files:
        where = f"role {role.name}, when {file.target}"
        if file.when and not templates.holds(file.when, context, where, node.name):
            continue
        if file.template is None:
            content = file.source.read_bytes()
        else:
            content = templates.render(file.template, context, node.name).encode()
        found[file.target] = (content, content.startswith(b"#!"))
    return found
