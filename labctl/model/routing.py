"""Derives what a node needs from its place in the lab: neighbours, routes, BGP sessions, sides.

The module computes which hosts are behind a port and which BGP sessions a node has, so
that templates only write the results.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network
from typing import TYPE_CHECKING

from labctl.model.lab import Endpoint, Interface, Lab, LinkPlan, NodePlan
from labctl.model.segments import components

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "BgpSession",
    "HostRoute",
    "Neighbour",
    "NextHop",
    "PeerGroup",
    "Port",
    "RoutingPlan",
    "Side",
    "plan_routing",
]

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

FABRIC = "fabric"
"""Name of the sessions of a router that knows no sides."""


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A node that is reached through a port, directly or across a switched segment.

    Attributes:
        node: the neighbour itself.
        ipv4, ipv6: its address on that link or segment, None where it has none there.
        uplinks: how many ports it has towards routers.
    """

    node: NodePlan
    ipv4: IPv4Address | None
    ipv6: IPv6Address | None
    uplinks: int = 0

    @property
    def loopback4(self) -> IPv4Interface | None:
        """The neighbour's own /32."""
        return self.node.loopback4

    @property
    def loopback6(self) -> IPv6Interface | None:
        """The neighbour's own /128."""
        return self.node.loopback6


@dataclass(frozen=True, slots=True)
class Port:
    """An interface, and who is behind it.

    Attributes:
        interface: as planned.
        routers: neighbours that speak BGP.
        hosts: neighbours with addresses that do not.
        switched: whether a switch is at the other end.
    """

    interface: Interface
    routers: tuple[Neighbour, ...] = ()
    hosts: tuple[Neighbour, ...] = ()
    switched: bool = False

    @property
    def name(self) -> str:
        """Name of the interface."""
        return self.interface.name

    @property
    def ipv4(self) -> IPv4Interface | None:
        """Its own IPv4 address."""
        return self.interface.ipv4

    @property
    def ipv6(self) -> IPv6Interface | None:
        """Its own IPv6 address."""
        return self.interface.ipv6


@dataclass(frozen=True, slots=True)
class HostRoute:
    """A route to the loopback of a host that is behind one of the node's ports."""

    prefix: Network
    via: Address
    device: str

    @property
    def version(self) -> int:
        """4 or 6."""
        return self.prefix.version


@dataclass(frozen=True, slots=True)
class NextHop:
    """One next hop of a default route."""

    via: Address
    device: str


@dataclass(frozen=True, slots=True)
class Side:
    """A part of the topology on one side of a gateway.

    Attributes:
        name: as planned: the first node of that part.
        tag: 1-based, the same for the whole lab: a route that has been on that side bears it.
        ports: names of this node's interfaces on that side.
        nodes: names of all nodes of that part, in the lab's order.
    """

    name: str
    tag: int
    ports: tuple[str, ...]
    nodes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PeerGroup:
    """BGP sessions with one policy.

    Attributes:
        name: of the peer group.
        versions: address families: (4, 6) where the session is unnumbered, else one of the two.
        side: the gateway's side, None on a router.
    """

    name: str
    versions: tuple[int, ...]
    side: Side | None = None


@dataclass(frozen=True, slots=True)
class BgpSession:
    """One BGP session.

    Attributes:
        device: the interface it goes through.
        peer: name of the node at its other end.
        group: name of its :class:`PeerGroup`.
        versions: address families it carries.
        address: the peer's address, None for an unnumbered session.
    """

    device: str
    peer: str
    group: str
    versions: tuple[int, ...]
    address: Address | None = None


@dataclass(frozen=True, slots=True)
class RoutingPlan:
    """What one node must know of the lab around it; templates use it by these names.

    Attributes:
        ports: one an interface.
        host_routes: to the loopbacks of the hosts behind the ports.
        exits4, exits6: next hops of a host's default routes.
        sides: of a gateway.
        groups: the peer groups of ``sessions``.
        sessions: BGP sessions.
        networks: what the node announces.
        deferred_up: ports to hosts with several uplinks, which the node itself sets up when it can
            pass traffic on.
    """

    ports: tuple[Port, ...] = ()
    host_routes: tuple[HostRoute, ...] = ()
    exits4: tuple[NextHop, ...] = ()
    exits6: tuple[NextHop, ...] = ()
    sides: tuple[Side, ...] = ()
    groups: tuple[PeerGroup, ...] = ()
    sessions: tuple[BgpSession, ...] = ()
    networks: tuple[Network, ...] = ()
    deferred_up: tuple[str, ...] = ()

    @property
    def gated(self) -> bool:
        """Whether the node needs the gate program."""
        return bool(self.sides or self.deferred_up)


def plan_routing(lab: Lab) -> dict[str, RoutingPlan]:
    """Derive every node's neighbours, routes and sessions.

    Args:
        lab: the planned lab.

    Returns:
        By name of the node, in the lab's order.
    """
    index = _LabIndex.of(lab)
    tags = {name: tag for tag, name in enumerate(_side_names(lab), start=1)}
    return {node.name: _routing(index, node, tags) for node in lab.nodes}


def _side_names(lab: Lab) -> tuple[str, ...]:
    return tuple(dict.fromkeys(port.side for node in lab.nodes for port in node.interfaces if port.side))


@dataclass(frozen=True, slots=True)
class _LabIndex:
    """The lab, by name."""

    nodes: Mapping[str, NodePlan]
    links: Mapping[str, tuple[LinkPlan, ...]]
    parts: Mapping[str, tuple[str, ...]]
    """Of the topology, less its gateways: by the name of the first node, every node."""

    @staticmethod
    def of(lab: Lab) -> _LabIndex:
        links: dict[str, list[LinkPlan]] = {node.name: [] for node in lab.nodes}
        for link in lab.links:
            links[link.a.node].append(link)
            links[link.b.node].append(link)
        nodes = {node.name: node for node in lab.nodes}
        return _LabIndex(nodes, {name: tuple(found) for name, found in links.items()}, _parts(lab))

    def is_switch(self, name: str) -> bool:
        return self.nodes[name].acts_as == "switch"

    def behind(self, start: Endpoint, own: Endpoint) -> list[Endpoint]:
        """The ends of other nodes that a frame sent out of ``own`` to ``start`` can reach."""
        if not self.is_switch(start.node):
            return [start]
        found: list[Endpoint] = []
        seen, todo = {start.node}, [start.node]
        while todo:
            switch = todo.pop(0)
            for link in self.links[switch]:
                end = link.peer(switch)
                if not self.is_switch(end.node):
                    if end != own:
                        found.append(end)
                elif end.node not in seen:
                    seen.add(end.node)
                    todo.append(end.node)
        return found

    def neighbour(self, end: Endpoint) -> Neighbour:
        node = self.nodes[end.node]
        interface = node.interface(end.interface)
        uplinks = sum(1 for port in node.interfaces if self._leads_to_router(port))
        return Neighbour(
            node,
            interface.ipv4.ip if interface.ipv4 else None,
            interface.ipv6.ip if interface.ipv6 else None,
            uplinks,
        )

    def _leads_to_router(self, port: Interface) -> bool:
        peer = self.nodes[port.peer.node]
        return peer.asn is not None or peer.acts_as == "switch"

    def port(self, node: NodePlan, interface: Interface) -> Port:
        own = Endpoint(node.name, interface.name)
        found = [self.neighbour(end) for end in self.behind(interface.peer, own) if end.node != node.name]
        return Port(
            interface,
            routers=tuple(other for other in found if other.node.asn is not None),
            hosts=tuple(
                other
                for other in found
                if other.node.asn is None and (other.node.loopback4 or other.node.loopback6)
            ),
            switched=self.is_switch(interface.peer.node),
        )


def _parts(lab: Lab) -> Mapping[str, tuple[str, ...]]:
    left = [node.name for node in lab.nodes if node.acts_as != "gateway"]
    part_of = components(left, ((link.a.node, link.b.node) for link in lab.links))
    parts: dict[str, list[str]] = {}
    for name, part in part_of.items():
        parts.setdefault(part, []).append(name)
    return {part: tuple(names) for part, names in parts.items()}


def _routing(index: _LabIndex, node: NodePlan, tags: Mapping[str, int]) -> RoutingPlan:
    ports = tuple(index.port(node, interface) for interface in node.interfaces)
    sides = _sides(index, node, tags)
    by_port = {name: side for side in sides for name in side.ports}
    sessions = _sessions(ports, by_port) if node.asn is not None else ()
    host_routes = _host_routes(ports)
    return RoutingPlan(
        ports=ports,
        host_routes=host_routes,
        exits4=tuple(NextHop(r.ipv4, p.name) for p in ports for r in p.routers if r.ipv4 and p.ipv4),
        exits6=tuple(NextHop(r.ipv6, p.name) for p in ports for r in p.routers if r.ipv6 and p.ipv6),
        sides=sides,
        groups=_groups(sessions, by_port),
        sessions=sessions,
        networks=_networks(node, ports, host_routes),
        deferred_up=tuple(port.name for port in ports if sessions and _is_deferred(port)),
    )


def _is_deferred(port: Port) -> bool:
    return not port.switched and not port.routers and any(host.uplinks > 1 for host in port.hosts)


def _sides(index: _LabIndex, node: NodePlan, tags: Mapping[str, int]) -> tuple[Side, ...]:
    ports: dict[str, list[str]] = {}
    for port in node.interfaces:
        if port.side:
            ports.setdefault(port.side, []).append(port.name)
    return tuple(
        Side(name, tags[name], tuple(names), index.parts.get(name, ())) for name, names in ports.items()
    )


def _sessions(ports: tuple[Port, ...], sides: Mapping[str, Side]) -> tuple[BgpSession, ...]:
    found = []
    for port in ports:
        stem = _group_name(sides[port.name].name) if port.name in sides else FABRIC
        for other in port.routers:
            if not port.switched:
                found.append(BgpSession(port.name, other.node.name, stem, (4, 6)))
                continue
            # On a shared segment neighbours cannot be told apart by the interface alone.
            if other.ipv4:
                found.append(BgpSession(port.name, other.node.name, f"{stem}-ip4", (4,), other.ipv4))
            if other.ipv6:
                found.append(BgpSession(port.name, other.node.name, f"{stem}-ip6", (6,), other.ipv6))
    return tuple(found)


def _group_name(side: str) -> str:
    return "side-" + re.sub(r"[^A-Za-z0-9_-]", "-", side)


def _groups(sessions: tuple[BgpSession, ...], sides: Mapping[str, Side]) -> tuple[PeerGroup, ...]:
    groups: dict[str, PeerGroup] = {}
    for session in sessions:
        groups.setdefault(
            session.group, PeerGroup(session.group, session.versions, sides.get(session.device))
        )
    return tuple(groups.values())


def _host_routes(ports: tuple[Port, ...]) -> tuple[HostRoute, ...]:
    found: list[HostRoute] = []
    for port in ports:
        for host in port.hosts:
            if host.loopback4 and host.ipv4 and port.ipv4:
                found.append(HostRoute(host.loopback4.network, host.ipv4, port.name))
            if host.loopback6 and host.ipv6 and port.ipv6:
                found.append(HostRoute(host.loopback6.network, host.ipv6, port.name))
    return tuple(found)


def _networks(node: NodePlan, ports: tuple[Port, ...], routes: tuple[HostRoute, ...]) -> tuple[Network, ...]:
    """What the node announces: its loopbacks, its hosts' loopbacks, its segments' subnets."""
    own = [loopback.network for loopback in (node.loopback4, node.loopback6) if loopback]
    segments = [
        address.network for port in ports if port.switched for address in (port.ipv4, port.ipv6) if address
    ]
    return tuple(dict.fromkeys((*own, *(route.prefix for route in routes), *segments)))
