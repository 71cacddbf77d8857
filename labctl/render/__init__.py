"""Model -> definition: a containerlab file and a folder a node.

:func:`render` writes them; :mod:`labctl.render.roles` says how a role is made of files,
:mod:`labctl.render.view` what its templates can ask.
"""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

from labctl.model.codec import dump_lab
from labctl.render.definition import definition_context
from labctl.render.environment import Templates
from labctl.render.folder import MARK, OutFile, write_folder
from labctl.render.roles import Role, load_role
from labctl.render.shipped import folder
from labctl.render.view import NodeView, views

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from labctl.model.lab import Lab

__all__ = ["render", "render_files"]

DEFINITION_TEMPLATE = "lab.clab.yml.j2"


def render(lab: Lab, out: Path, *, overlays: Sequence[Path] = ()) -> Path:
    """Write a lab as a definition that both runtimes run.

    Args:
        lab: the planned lab.
        out: folder to write; it must be new, empty, or rendered before.
        overlays: the user's template folders; they lie over ours file by file, the first on top.

    Returns:
        The ``<lab>.clab.yml``.

    Raises:
        InputError: a role is unknown or its ``role.yml`` is wrong.
        RenderError: a template failed (names template, line, node), or ``out`` cannot be written.
    """
    write_folder(out, render_files(lab, overlays=overlays))
    return out / f"{lab.name}.clab.yml"


def render_files(lab: Lab, *, overlays: Sequence[Path] = ()) -> dict[str, OutFile]:
    """What :func:`render` would write: content and whether it is a program, by relative path."""
    folders = (*overlays, folder("templates"))
    roles = {name: load_role(name, folders) for name in dict.fromkeys(node.role for node in lab.nodes)}
    variables = {node.name: {**roles[node.role].vars, **node.params} for node in lab.nodes}
    templates = Templates(folders)
    seen = views(lab, variables)
    context = definition_context(lab, roles, {view.node.name: view.held for view in seen})
    definition = templates.render(DEFINITION_TEMPLATE, context)
    files: dict[str, OutFile] = {f"{lab.name}.clab.yml": (definition.encode(), False)}
    for view in seen:
        files.update(_node_files(view, roles[view.node.role], templates))
    files[MARK] = (dump_lab(lab).encode(), False)
    return files


def _node_files(view: NodeView, role: Role, templates: Templates) -> dict[str, OutFile]:
    context: dict[str, Any] = {item.name: getattr(view, item.name) for item in fields(view)}
    context.update(gated=view.gated, role=role)
    found: dict[str, OutFile] = {}
    for file in role.files:
        if file.template is None:
            content = file.source.read_bytes()
        else:
            content = templates.render(file.template, context, view.node.name).encode()
        found[f"{view.node.name}{file.target}"] = (content, content.startswith(b"#!"))
    return found
