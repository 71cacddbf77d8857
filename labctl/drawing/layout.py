"""Positions of the nodes in a drawing: layers by distance, few crossings; rings as rings.

A breadth-first search from one end of a longest shortest path gives the layers; the
barycentre method of Sugiyama, Tagawa and Toda (1981) gives the order within a layer.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from labctl.model.lab import Lab

__all__ = ["place"]

SWEEPS = 24


def place(lab: Lab, *, dx: float, dy: float) -> dict[str, tuple[float, float]]:
    """The centre of each node, from (0, 0) to the right and down.

    Args:
        lab: the lab.
        dx: distance between layers.
        dy: distance between the nodes of a layer.
    """
    near = _neighbours(lab)
    placed: dict[str, tuple[float, float]] = {}
    top = 0.0
    for part in _components(near):
        spots = _ring(part, near, dx, dy) if _is_ring(part, near) else _layered(part, near, dx, dy)
        left = min(x for x, _ in spots.values())
        high = min(y for _, y in spots.values())
        placed |= {name: (x - left, y - high + top) for name, (x, y) in spots.items()}
        top = max(y for _, y in placed.values()) + dy
    return placed


def _neighbours(lab: Lab) -> dict[str, tuple[str, ...]]:
    near: dict[str, dict[str, None]] = {node.name: {} for node in lab.nodes}
    for link in lab.links:
        near[link.a.node][link.b.node] = None
        near[link.b.node][link.a.node] = None
    return {name: tuple(others) for name, others in near.items()}


def _components(near: Mapping[str, Sequence[str]]) -> list[list[str]]:
    left = dict.fromkeys(near)
    parts = []
    while left:
        distance = _distances(next(iter(left)), near)
        parts.append([name for name in near if name in distance])
        for name in distance:
            del left[name]
    return parts


def _distances(start: str, near: Mapping[str, Sequence[str]]) -> dict[str, int]:
    distance = {start: 0}
    queue = [start]
    for name in queue:
        for other in near[name]:
            if other not in distance:
                distance[other] = distance[name] + 1
                queue.append(other)
    return distance


def _is_ring(part: Sequence[str], near: Mapping[str, Sequence[str]]) -> bool:
    return len(part) > 3 and all(len(near[name]) == 2 for name in part)  # noqa: PLR2004 - two neighbours each


def _ring(
    part: Sequence[str], near: Mapping[str, Sequence[str]], dx: float, dy: float
) -> dict[str, tuple[float, float]]:
    order = [part[0]]
    while len(order) < len(part):
        order.append(
            next(name for name in near[order[-1]] if name not in order[-2:] and name not in order[:1])
        )
    # An ellipse: neighbours stand side by side at its top, one above the other at its sides.
    chord = 2 * math.sin(math.pi / len(order))
    across, down = 0.8 * dx / chord, 1.2 * dy / chord
    turn = 2 * math.pi / len(order)
    return {
        name: (across * math.sin(step * turn), -down * math.cos(step * turn))
        for step, name in enumerate(order)
    }


def _layered(
    part: Sequence[str], near: Mapping[str, Sequence[str]], dx: float, dy: float
) -> dict[str, tuple[float, float]]:
    # The far end of a search from anywhere is an end of a long path; the one first in the
    # topology is taken, so that the drawing reads as the file does.
    far = _distances(part[0], near)
    start = max(part, key=lambda name: far[name])
    back = _distances(start, near)
    if back[part[0]] == max(back.values()):
        start = part[0]
    layers: list[list[str]] = []
    for name, depth in sorted(
        _distances(start, near).items(), key=lambda item: (item[1], part.index(item[0]))
    ):
        if depth == len(layers):
            layers.append([])
        layers[depth].append(name)
    _uncross(layers, near)
    return {
        name: (depth * dx, (row - (len(layer) - 1) / 2) * dy)
        for depth, layer in enumerate(layers)
        for row, name in enumerate(layer)
    }


def _uncross(layers: list[list[str]], near: Mapping[str, Sequence[str]]) -> None:
    for sweep in range(SWEEPS):
        row = {name: place - len(layer) / 2 for layer in layers for place, name in enumerate(layer)}
        for layer in layers if sweep % 2 == 0 else reversed(layers):
            member = set(layer)

            def centre(name: str, member: set[str] = member, row: dict[str, float] = row) -> float:
                outside = [row[other] for other in near[name] if other not in member]
                return sum(outside) / len(outside) if outside else row[name]

            layer.sort(key=centre)
            row |= {name: place - len(layer) / 2 for place, name in enumerate(layer)}
