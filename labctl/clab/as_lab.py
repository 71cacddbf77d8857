"""A containerlab file that somebody else wrote, as a lab of nodes and links.

Nobody planned its addresses: whoever needs them says which node has which. A scenario takes them
from its streams (``from-address``, ``to-address``).
"""

from __future__ import annotations

from ipaddress import IPv4Interface, IPv6Interface, ip_address
from typing import TYPE_CHECKING

from labctl.clab.parse import is_definition, read_definition
from labctl.model.lab import Endpoint, Lab, Link, Node

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from labctl.clab.definition import Definition

__all__ = ["is_definition", "lab_of", "read_foreign"]


def read_foreign(path: Path, name: str | None, addresses: Iterable[tuple[str, str]] = ()) -> Lab:
    """Read a containerlab file as a lab of nodes and links.

    Args:
        path: the file.
        name: of the lab, over that in the file.
        addresses: see :func:`lab_of`.

    Raises:
        InputError: every problem of the file at once.
    """
    return lab_of(read_definition(path, name=name or ""), addresses)


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

    def node_of(index: int, name: str) -> Node:
        four, six = given.get((name, 4)), given.get((name, 6))
        return Node(
            name,
            "foreign",
            index,
            loopback4=IPv4Interface(four) if four else None,
            loopback6=IPv6Interface(six) if six else None,
        )

    nodes = tuple(node_of(index, spec.name) for index, spec in enumerate(definition.nodes))
    links = tuple(
        Link(
            index,
            Endpoint(cable.a.node, cable.a.interface),
            Endpoint(cable.b.node, cable.b.interface),
            cable.mtu,
        )
        for index, cable in enumerate(definition.cables)
    )
    return Lab(definition.name, nodes, links)

