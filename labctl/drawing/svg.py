"""A topology as an SVG drawing: one file, no script, light and dark."""

from __future__ import annotations

import math
from html import escape
from typing import TYPE_CHECKING

from labctl.drawing.layout import place

if TYPE_CHECKING:
    from collections.abc import Mapping

    from labctl.model.lab import Lab, NodePlan

__all__ = ["draw"]

DX, DY = 230.0, 78.0
COMPACT_DX = 150.0
WIDTH, HEIGHT = 108.0, 42.0
MARGIN = 70.0
GAP = 17.0
"""How far outside a node's box, along the link, the middle of its interface's name stands."""

STYLE = """
  .lab { background: #fff } .lab text { font: 12px system-ui, sans-serif; text-anchor: middle; fill: #1b1f24 }
  .lab .address, .lab .end { font-size: 9px; fill: #59636e }
  .lab line { stroke: #818b98; stroke-width: 1.3 }
  .lab rect { fill: #f6f8fa; stroke: #59636e; stroke-width: 1.3 }
  .lab .host rect, .lab .guest rect { fill: #ddf4ff; stroke: #0969da }
  .lab .gateway rect { fill: #fff1e5; stroke: #bc4c00 } .lab .switch rect { fill: #dafbe1; stroke: #1a7f37 }
  .lab .end { paint-order: stroke; stroke: #fff; stroke-width: 3px }
  .lab .victim rect { stroke: #d1242f; stroke-width: 3; stroke-dasharray: 6 3 }
  .lab .victim line { stroke: #d1242f; stroke-width: 3; stroke-dasharray: 6 3 }
  .lab text.fault { fill: #d1242f; font-weight: 650; font-size: 11px }
  @media (prefers-color-scheme: dark) {
    .lab { background: #0d1117 } .lab text { fill: #e6edf3 }
    .lab .address, .lab .end { fill: #9198a1 } .lab .end { stroke: #0d1117 }
    .lab rect { fill: #161b22; stroke: #9198a1 }
    .lab .host rect, .lab .guest rect { fill: #0c2d6b; stroke: #4493f8 }
    .lab .gateway rect { fill: #5a1e02; stroke: #db6d28 } .lab .switch rect { fill: #033a16; stroke: #3fb950 }
    .lab .victim rect, .lab .victim line { stroke: #ff6b6b } .lab text.fault { fill: #ff6b6b }
  }"""


def draw(lab: Lab, faults: Mapping[str, str] | None = None, *, compact: bool = False) -> str:
    """The drawing; hovering a node tells its addresses and AS number, a link its two ends.

    Args:
        lab: the lab.
        faults: what is marked: by node, or by link as ``a:eth1-b:eth1``, the word that is drawn next to it.
        compact: layers closer together and without names of interfaces, for a small place.
    """
    faults = faults or {}
    spots = {
        name: (x + MARGIN, y + MARGIN)
        for name, (x, y) in place(lab, dx=COMPACT_DX if compact else DX, dy=DY).items()
    }
    width = max(x for x, _ in spots.values()) + MARGIN
    height = max(y for _, y in spots.values()) + MARGIN
    lines = [
        '<svg xmlns="http://www.w3.org/2000/svg" class="lab" role="img"',
        f'  viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" height="{height:.0f}">',
        f"<title>{escape(lab.name)}</title>",
        f"<style>{STYLE}\n</style>",
    ]
    twins: dict[frozenset[str], int] = {}
    for link in lab.links:
        pair = frozenset((link.a.node, link.b.node))
        shift = twins[pair] = twins.get(pair, -1) + 1
        # Parallel links stand 9 units apart, the first in the middle.
        offset = 9.0 * ((shift + 1) // 2) * (-1 if shift % 2 else 1)
        (ax, ay), (bx, by) = spots[link.a.node], spots[link.b.node]
        ay, by = ay + offset, by + offset
        word = faults.get(f"{link.a}-{link.b}", faults.get(f"{link.b}-{link.a}", ""))
        lines.append(f"<g{_victim(word)}><title>{escape(f'{link.a} - {link.b}')}</title>")
        lines.append(f'<line x1="{ax:.1f}" y1="{ay:.1f}" x2="{bx:.1f}" y2="{by:.1f}"/>')
        lines += [_fault(word, (ax + bx) / 2, (ay + by) / 2 - 6)] if word else []
        ends = () if compact else ((link.a, ax, ay, bx, by), (link.b, bx, by, ax, ay))
        lines += [*(_end(end.interface, *spot) for end, *spot in ends), "</g>"]
    lines += [_box(node, *spots[node.name], faults.get(node.name, "")) for node in lab.nodes]
    return "\n".join([*lines, "</svg>"])


def _end(name: str, x: float, y: float, to_x: float, to_y: float) -> str:
    # Where the link leaves the box of its node, and a little farther.
    dx, dy = to_x - x, to_y - y
    length = math.hypot(dx, dy) or 1.0
    leaves = min(WIDTH / 2 / abs(dx) if dx else math.inf, HEIGHT / 2 / abs(dy) if dy else math.inf, 0.5)
    share = min(leaves + GAP / length, 0.5)
    return f'<text class="end" x="{x + dx * share:.1f}" y="{y + dy * share + 3:.1f}">{escape(name)}</text>'


def _victim(word: str) -> str:
    return ' class="victim"' if word else ""


def _fault(word: str, x: float, y: float) -> str:
    return f'<text class="fault" x="{x:.1f}" y="{y:.1f}">{escape(word)}</text>'


def _box(node: NodePlan, x: float, y: float, fault: str) -> str:
    address = str(node.loopback4.ip) if node.loopback4 else ""
    facts = [node.name, node.role, address, str(node.loopback6.ip) if node.loopback6 else ""]
    facts += [f"AS {node.asn}"] if node.asn else []
    name_y = y - 2 if address else y + 4
    kind = f"{node.acts_as} victim" if fault else node.acts_as
    return (
        f'<g class="{escape(kind)}"><title>{escape(" · ".join(filter(None, facts)))}</title>'
        f'<rect x="{x - WIDTH / 2:.1f}" y="{y - HEIGHT / 2:.1f}" width="{WIDTH}" height="{HEIGHT}" rx="7"/>'
        f'<text x="{x:.1f}" y="{name_y:.1f}">{escape(node.name)}</text>'
        f'<text class="address" x="{x:.1f}" y="{y + 12:.1f}">{escape(address)}</text>'
        f"{_fault(fault, x, y - HEIGHT / 2 - 5) if fault else ''}</g>"
    )
