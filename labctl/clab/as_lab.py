"""A containerlab file of another author, as a lab of nodes and links.

labctl did not plan its addresses: the code that needs addresses says which node has which. A scenario takes
them from its streams (``from-address``, ``to-address``).
"""

from __future__ import annotations

from ipaddress import IPv4Interface, IPv6Interface, ip_address
from typing import TYPE_CHECKING

from labctl.model.lab import Lab, NodePlan

if TYPE_CHECKING:
    from collections.abc import Iterable

    from labctl.clab.definition import Definition

__all__ = ["lab_of"]


def lab_of(definition: Definition, addresses: Iterable[tuple[str, str]] = ()) -> Lab:
    """The nodes and links of a definition.

    Args:
        definition: as read.
        addresses: name of a node, and an IPv4 or IPv6 address of it without prefix length. The first
            of a node and family is the node's loopback.
    """
    given: dict[tuple[str, int], str] = {}
    for node, address in addresses:
        given.setdefault((node, ip_address(address).version), address)

    def node_of(index: int, name: str) -> NodePlan:
        four, six = given.get((name, 4)), given.get((name, 6))
        return NodePlan(
            name,
            "foreign",
            index,
            loopback4=IPv4Interface(four) if four else None,
            loopback6=IPv6Interface(six) if six else None,
        )

    nodes = tuple(node_of(index, spec.name) for index, spec in enumerate(definition.nodes))
    return Lab(definition.name, nodes, definition.links)
