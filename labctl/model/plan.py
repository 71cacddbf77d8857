"""Topology -> :class:`~labctl.model.lab.Lab`: plans every value that was not given.

The plan is a pure function of the topology: the same file gives the same lab, on any machine.
Given values are kept; no planned value equals or overlaps one.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from ipaddress import IPv4Interface, IPv6Interface
from typing import TYPE_CHECKING

from labctl.model.addressing import plan_asns, plan_links, plan_loopbacks
from labctl.model.lab import Endpoint, Interface, Lab, LinkPlan, NodePlan
from labctl.model.pools import PlanError, assign
from labctl.model.segments import sides
from labctl.model.topology import Behaviour

if TYPE_CHECKING:
    from collections.abc import Mapping

    from labctl.model.topology import EndpointRequest, LabRequest

__all__ = ["PlanError", "plan"]

End = tuple[int, int]

_SPARE_NAMES = 100
"""A fourth link whose ``eth4`` was given to another is ``eth104``."""


def plan(topology: LabRequest) -> Lab:
    """Plan a lab.

    Args:
        topology: names are right, and what is given does not collide (the loader sees to both).

    Returns:
        The lab, complete.

    Raises:
        PlanError: a pool or a network that the user gave has not enough room.
    """
    links = _links(topology)
    interfaces = _interfaces(topology, links)
    loopbacks4, loopbacks6 = plan_loopbacks(topology, 4), plan_loopbacks(topology, 6)
    nodes = []
    for index, (node, asn) in enumerate(zip(topology.nodes, plan_asns(topology), strict=True)):
        own4, own6 = loopbacks4[index], loopbacks6[index]
        nodes.append(
            NodePlan(
                name=node.name,
                role=node.role,
                index=index,
                interfaces=tuple(interfaces[node.name]),
                loopback4=None if own4 is None else IPv4Interface((own4, 32)),
                loopback6=None if own6 is None else IPv6Interface((own6, 128)),
                asn=asn,
                params=node.params,
                acts_as=str(node.behaviour),
                image=node.image,
            )
        )
    return Lab(topology.name, tuple(nodes), links, topology.vars)


def _links(topology: LabRequest) -> tuple[LinkPlan, ...]:
    names = _interface_names(topology)
    ends = {
        (index, at): Endpoint(end.node, names[index, at])
        for index, link in enumerate(topology.links)
        for at, end in enumerate(link.ends)
    }
    macs = _macs(topology, ends)
    return tuple(
        LinkPlan(
            index,
            ends[index, 0],
            ends[index, 1],
            request.mtu,
            (macs[index, 0], macs[index, 1]),
        )
        for index, request in enumerate(topology.links)
    )


def _ends(topology: LabRequest) -> dict[str, list[tuple[End, EndpointRequest]]]:
    """Every node's link ends, in order of links."""
    found: dict[str, list[tuple[End, EndpointRequest]]] = defaultdict(list)
    for index, link in enumerate(topology.links):
        for at, end in enumerate(link.ends):
            found[end.node].append(((index, at), end))
    return found


def _interface_names(topology: LabRequest) -> dict[End, str]:
    """``eth<n>`` for a node's n-th link, unless the link names it or another has taken that name."""
    names: dict[End, str] = {}
    for ends in _ends(topology).values():
        given = {end.interface for _, end in ends if end.interface}
        open_ends = [(order, key) for order, (key, end) in enumerate(ends, start=1) if not end.interface]
        slots = assign(
            [order for order, _ in open_ends],
            _SPARE_NAMES + 2 * len(ends) + 2,
            lambda slot, given=given: f"eth{slot}" not in given,  # type: ignore[misc]
            "interface names",
            first=1,
            spare=_SPARE_NAMES,
        )
        names.update({key: end.interface for key, end in ends if end.interface})
        names.update({key: f"eth{slot}" for slot, (_, key) in zip(slots, open_ends, strict=True)})
    return names


def _macs(topology: LabRequest, ends: Mapping[End, Endpoint]) -> dict[End, str]:
    """A locally administered unicast address an end, from the names of node and interface."""
    given = {
        (index, at): end.mac
        for index, link in enumerate(topology.links)
        for at, end in enumerate(link.ends)
        if end.mac
    }
    used = set(given.values())
    macs = dict(given)
    for key, end in ends.items():
        if key in macs:
            continue
        attempt = 0
        while (mac := _mac(str(end), attempt)) in used:
            attempt += 1
        used.add(mac)
        macs[key] = mac
    return macs


def _mac(name: str, attempt: int) -> str:
    digest = hashlib.blake2b(f"{name}/{attempt}".encode(), digest_size=5).digest()
    return "02:" + digest.hex(":")


def _interfaces(topology: LabRequest, links: tuple[LinkPlan, ...]) -> Mapping[str, list[Interface]]:
    nodes = {node.name: node for node in topology.nodes}
    gateways = [node.name for node in topology.nodes if node.behaviour is Behaviour.GATEWAY]
    side_of = sides(list(nodes), gateways, topology.links)
    addresses4, addresses6 = plan_links(topology, 4), plan_links(topology, 6)
    found: dict[str, list[Interface]] = defaultdict(list)
    for link in links:
        switched = Behaviour.SWITCH in (nodes[link.a.node].behaviour, nodes[link.b.node].behaviour)
        for at, (own, peer) in enumerate(((link.a, link.b), (link.b, link.a))):
            here, there = (link.index, at), (link.index, 1 - at)
            is_gateway = nodes[own.node].behaviour is Behaviour.GATEWAY
            found[own.node].append(
                Interface(
                    name=own.interface,
                    link=link.index,
                    peer=peer,
                    peer_role=nodes[peer.node].role,
                    mac=link.macs[at],
                    mtu=link.mtu,
                    ipv4=_interface4(addresses4.get(here)),
                    ipv6=_interface6(addresses6.get(here)),
                    peer_ipv4=None if switched else _interface4(addresses4.get(there)),
                    peer_ipv6=None if switched else _interface6(addresses6.get(there)),
                    side=side_of.get(peer.node, "") if is_gateway else "",
                )
            )
    for interfaces in found.values():
        interfaces.sort(key=_natural)
    return found


def _interface4(planned: tuple[int, int] | None) -> IPv4Interface | None:
    return None if planned is None else IPv4Interface(planned)


def _interface6(planned: tuple[int, int] | None) -> IPv6Interface | None:
    return None if planned is None else IPv6Interface(planned)


def _natural(interface: Interface) -> tuple[tuple[int, int | str], ...]:
    """eth2 before eth10."""
    pieces = re.split(r"(\d+)", interface.name)
    return tuple((0, int(piece)) if piece.isdigit() else (1, piece) for piece in pieces if piece)
