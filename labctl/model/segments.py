"""Connected parts of a topology: switched segments, and the sides of gateways."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labctl.model.topology import Behaviour

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from labctl.model.topology import LinkRequest, NodeRequest

__all__ = ["components", "segments", "sides"]


def components(names: Sequence[str], pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Connected components of a graph.

    Args:
        names: nodes, in the order that decides what a component is called.
        pairs: edges; those with an end that is not among ``names`` are left out.

    Returns:
        For each name the first name of its component.
    """
    place = {name: index for index, name in enumerate(names)}
    parent = list(range(len(names)))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    for a, b in pairs:
        if a in place and b in place:
            first, second = sorted((root(place[a]), root(place[b])))
            # The lower root wins, so that a root is always the first of its component.
            parent[second] = first
    return {name: names[root(index)] for name, index in place.items()}


def segments(nodes: Sequence[NodeRequest], links: Sequence[LinkRequest]) -> dict[str, str]:
    """For each switch the first switch of its segment: those that are linked share one subnet."""
    switches = [node.name for node in nodes if node.behaviour is Behaviour.SWITCH]
    return components(switches, ((link.a.node, link.b.node) for link in links))


def sides(names: Sequence[str], gateways: Iterable[str], links: Iterable[LinkRequest]) -> Mapping[str, str]:
    """For each node that is no gateway: which side of the gateways it is on.

    Args:
        names: every node, in topology order.
        gateways: those that are taken out.
        links: of the topology.

    Returns:
        The first node (in topology order) of the component that is left around it.
    """
    out = set(gateways)
    left = [name for name in names if name not in out]
    return components(left, ((link.a.node, link.b.node) for link in links))
