"""A topology in the DOT language of Graphviz (https://graphviz.org/doc/info/lang.html)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from labctl.model.lab import Lab

__all__ = ["draw"]

SHAPES = {"host": "ellipse", "guest": "ellipse", "switch": "parallelogram", "gateway": "hexagon"}
"""By what a node acts as."""


def draw(lab: Lab) -> str:
    """An undirected graph; interface names stand at the ends of the edges."""
    lines = [f"graph {_quoted(lab.name)} {{", "  node [shape=box];"]
    for node in lab.nodes:
        facts = [node.name, node.role, str(node.loopback4.ip) if node.loopback4 else ""]
        label = "\\n".join(_quoted(fact)[1:-1] for fact in facts if fact)
        shape = SHAPES.get(node.acts_as, "box")
        lines.append(f'  {_quoted(node.name)} [shape={shape}, label="{label}"];')
    for link in lab.links:
        a, b = link.a, link.b
        ends = f"taillabel={_quoted(a.interface)}, headlabel={_quoted(b.interface)}"
        lines.append(f"  {_quoted(a.node)} -- {_quoted(b.node)} [{ends}];")
    return "\n".join([*lines, "}"])


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
