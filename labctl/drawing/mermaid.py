"""A topology as a Mermaid flowchart (https://mermaid.js.org/syntax/flowchart.html)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from labctl.model.lab import Lab

__all__ = ["draw"]

SHAPES = {"host": ("([", "])"), "guest": ("([", "])"), "switch": ("[/", "/]"), "gateway": ("{{", "}}")}
"""By what a node acts as."""


def draw(lab: Lab) -> str:
    """The flowchart; node names are quoted, since Mermaid has words of its own (end, graph)."""
    lines = ["flowchart LR"]
    for node in lab.nodes:
        left, right = SHAPES.get(node.acts_as, ("[", "]"))
        name = node.name.replace('"', "#quot;")
        lines.append(f'  n{node.index}{left}"{name}"{right}')
    index = {node.name: node.index for node in lab.nodes}
    lines += [f"  n{index[link.a.node]} --- n{index[link.b.node]}" for link in lab.links]
    for role in sorted({node.role for node in lab.nodes}):
        members = ",".join(f"n{node.index}" for node in lab.nodes if node.role == role)
        lines.append(f"  class {members} {role.replace('-', '_')}")
    return "\n".join(lines)
