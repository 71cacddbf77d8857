"""A containerlab file that somebody else wrote, as far as a scenario must know it.

Nobody planned its addresses: a stream says which ones it goes between (``from-address``,
``to-address``), and those become the addresses of these nodes.
"""

from __future__ import annotations

from ipaddress import IPv4Interface, IPv6Interface, ip_address
from typing import TYPE_CHECKING

from labctl.clab.parse import is_definition, read_definition
from labctl.model.lab import Endpoint, Lab, Link, Node

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from labctl.clab.definition import Definition
    from labctl.scenario.model import TrafficSpec

__all__ = ["is_definition", "lab_of", "read_foreign"]


def read_foreign(path: Path, name: str | None, traffic: Iterable[TrafficSpec]) -> Lab:
    """Read a containerlab file as a lab of nodes and links.

    Raises:
        InputError: every problem of the file at once.
    """
    return lab_of(read_definition(path, name=name or ""), traffic)


def lab_of(definition: Definition, traffic: Iterable[TrafficSpec]) -> Lab:
    """The nodes and links of a definition; the first address that traffic gives a node is its own."""
    given: dict[tuple[str, int], str] = {}
    for node, address in _addresses(traffic):
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


def _addresses(traffic: Iterable[TrafficSpec]) -> Iterator[tuple[str, str]]:
    for spec in traffic:
        if spec.source_address:
            yield spec.source, spec.source_address
        if spec.destination_address:
            yield spec.destination, spec.destination_address
