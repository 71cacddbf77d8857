"""A planned lab: nodes, interfaces, links, addresses.

All of it is frozen data without I/O. :mod:`labctl.model.plan` makes a :class:`Lab` from a
topology, and render writes it to ``lab.json``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from ipaddress import IPv4Interface, IPv6Interface

__all__ = ["Endpoint", "Interface", "Lab", "LinkPlan", "NodePlan"]


@dataclass(frozen=True, slots=True, order=True)
class Endpoint:
    """One end of a link: an interface of a node, by name."""

    node: str
    interface: str

    def __str__(self) -> str:
        return f"{self.node}:{self.interface}"


@dataclass(frozen=True, slots=True)
class LinkPlan:
    """A link between two interfaces.

    Attributes:
        index: 0-based, in the order of the expanded topology.
        a: the first end.
        b: the second end.
        mtu: bytes of IP packet, both ends.
        macs: MAC address of end a and of end b; empty where whoever makes the link may choose.
    """

    index: int
    a: Endpoint
    b: Endpoint
    mtu: int = 1500
    macs: tuple[str, str] = ("", "")

    @property
    def ends(self) -> tuple[Endpoint, Endpoint]:
        """Both ends, ``a`` first."""
        return (self.a, self.b)

    def peer(self, node: str) -> Endpoint:
        """The end that is not on ``node``."""
        return self.b if self.a.node == node else self.a


@dataclass(frozen=True, slots=True)
class Interface:
    """One end of a link as its node sees it.

    Attributes:
        name: ``eth1`` upwards, in the order of the node's links.
        link: index of the :class:`LinkPlan`.
        peer: the other end.
        peer_role: role of the node at the other end.
        mac: lower-case colon form, locally administered.
        mtu: bytes of IP packet.
        ipv4: address on the segment, or None where the link is unnumbered.
        ipv6: the same for IPv6 (the link-local address is always there besides).
        peer_ipv4: the address of the node at the other end of a point-to-point link
            (None on a switched segment or an unnumbered link).
        peer_ipv6: the same for IPv6.
        side: for gateways: name of the part of the topology behind this interface, that is of
            the connected component that is left when all gateways are taken out; empty elsewhere.
    """

    name: str
    link: int
    peer: Endpoint
    peer_role: str
    mac: str
    mtu: int = 1500
    ipv4: IPv4Interface | None = None
    ipv6: IPv6Interface | None = None
    peer_ipv4: IPv4Interface | None = None
    peer_ipv6: IPv6Interface | None = None
    side: str = ""


@dataclass(frozen=True, slots=True)
class NodePlan:
    """A device of the lab.

    Attributes:
        name: a DNS label.
        role: name of the folder under templates/ that says how it is built.
        index: 0-based, in the order of the expanded topology.
        interfaces: in the order of their names.
        loopback4: the node's own /32, reachable from everywhere that routing reaches. A guest has
            the address that it will be given on its first interface.
        loopback6: the node's own /128.
        asn: BGP autonomous system number, or None where the role speaks no BGP.
        params: what the user gave under the node's ``vars:`` over the role's defaults.
        acts_as: ``host``, ``router``, ``gateway``, ``switch`` or ``guest``: what it was planned as
            (:class:`labctl.model.topology.Behaviour`), whatever its role is called.
        image: container image in the place of the role's own; empty for the role's.
    """

    name: str
    role: str
    index: int
    interfaces: tuple[Interface, ...] = ()
    loopback4: IPv4Interface | None = None
    loopback6: IPv6Interface | None = None
    asn: int | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    acts_as: str = ""
    image: str = ""

    @property
    def host(self) -> str:
        """The node whose power a guest lives on; empty for a node with power of its own."""
        return str(self.params.get("host", "")) if self.acts_as == "guest" else ""

    def interface(self, name: str) -> Interface:
        """The interface of that name; KeyError if there is none."""
        for interface in self.interfaces:
            if interface.name == name:
                return interface
        raise KeyError(name)


@dataclass(frozen=True, slots=True)
class Lab:
    """A whole lab, planned.

    Attributes:
        name: the topology's name, or what ``--name`` gave.
        nodes: in topology order.
        links: in topology order; ``links[i].index == i``.
        vars: the topology's variables after ``--set``.
        overlay: what the state database of the lab's overlay begins with, as plain values (see
            :mod:`labctl.overlay.config.topology_section`); empty where there is no overlay. ``section``:
            as in the topology; ``hosts``, ``vms``: the nodes it is about; ``controllers``: names;
            ``servers``: ``address:port`` of each; ``anycast``: the gateways' common address.
        templates: the user's template folders, absolute; the first lies on top, ours below all.
    """

    name: str
    nodes: tuple[NodePlan, ...]
    links: tuple[LinkPlan, ...]
    vars: Mapping[str, Any] = field(default_factory=dict)
    overlay: Mapping[str, Any] = field(default_factory=dict)
    templates: tuple[str, ...] = ()

    def node(self, name: str) -> NodePlan:
        """The node of that name; KeyError if there is none."""
        for node in self.nodes:
            if node.name == name:
                return node
        raise KeyError(name)

    def links_of(self, node: str) -> tuple[LinkPlan, ...]:
        """Every link with an end on ``node``."""
        return tuple(link for link in self.links if node in (link.a.node, link.b.node))
