"""What the simulation reads: one view a port, network, router and group, made from the model.

Views are made by :mod:`labctl.overlay.simulation.topology` and never changed. The simulation
reads the topology through them only, so that comparing an old view with a new one
(:mod:`labctl.overlay.simulation.diff`) yields every tag that a change can touch.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from labctl.overlay.config.model import Subnet, VmPort

__all__ = [
    "CompiledRule",
    "GroupView",
    "NetworkView",
    "PortView",
    "RouteKind",
    "RouteView",
    "RouterPortView",
    "RouterView",
    "UplinkView",
]


@dataclass(frozen=True, slots=True)
class PortView:
    """A VM port with its addresses as bytes.

    Attributes:
        item: the model's own.
        key: of the port.
        mac: 6 bytes.
        addresses: 16 bytes each, without the link-local one.
        link_local: the IPv6 address that the VM makes of its MAC.
    """

    item: VmPort
    key: int
    mac: bytes
    addresses: frozenset[bytes]
    link_local: bytes


@dataclass(frozen=True, slots=True)
class RouterPortView:
    """A router's end on a network.

    Attributes:
        name: of the router port.
        router: its name.
        network: its name.
        mac: 6 bytes.
        address4: 16 bytes; None if it has none. The first one of that version.
        address6: the same.
        link_local: made of the MAC; the default gateway of IPv6.
    """

    name: str
    router: str
    network: str
    mac: bytes
    address4: bytes | None
    address6: bytes | None
    link_local: bytes


@dataclass(frozen=True, slots=True)
class UplinkView:
    """An uplink with its addresses as bytes; see :class:`labctl.overlay.config.model.Uplink`."""

    name: str
    key: int
    router: str
    mac: bytes
    kernel_mac: bytes
    address4: bytes | None
    address6: bytes | None
    mine: frozenset[bytes]
    kernel: frozenset[bytes]
    mtu: int


class Owner(NamedTuple):
    """Who has a MAC or an IP address on a network.

    Attributes:
        is_router: a router port, else a VM port.
        name: of the port.
        mac: 6 bytes.
    """

    is_router: bool
    name: str
    mac: bytes


@dataclass(frozen=True, slots=True)
class NetworkView:
    """A bridge.

    Attributes:
        name: of the network.
        tenant: owner.
        mtu: bytes of IP packet.
        macs: owner of each MAC.
        ips: owner of each address (16 bytes), link-local ones too.
        ports: names of the VM ports, in order.
        subnets: in order of name.
        gateways: router ports, in order of name.
    """

    name: str
    tenant: str
    mtu: int
    macs: dict[bytes, Owner] = field(default_factory=dict)
    ips: dict[bytes, Owner] = field(default_factory=dict)
    ports: tuple[str, ...] = ()
    subnets: tuple[Subnet, ...] = ()
    gateways: tuple[RouterPortView, ...] = ()


class RouteKind(StrEnum):
    """Where a route leads."""

    LOCAL = "local"
    NETWORK = "network"
    PROVIDER = "provider"
    TENANT = "tenant"
    UPLINK = "uplink"


class RouteView(NamedTuple):
    """A route.

    Attributes:
        prefix: integer of the 128 bits, IPv4 mapped.
        bits: length in the same space.
        kind: where to.
        target: router port, router or uplink; for LOCAL the port whose address it is.
    """

    prefix: int
    bits: int
    kind: RouteKind
    target: str


@dataclass(frozen=True, slots=True)
class RouterView:
    """A router.

    Attributes:
        name: of the router.
        tenant: owner; empty for a provider router.
        provider: the provider router above.
        table: routes by prefix, by length, the longest first.
        ports: names of its router ports.
        address4: source of ICMP errors where the packet came from another router.
        address6: the same.
    """

    name: str
    tenant: str
    provider: str
    table: dict[int, dict[int, RouteView]] = field(default_factory=dict)
    ports: tuple[str, ...] = ()
    address4: bytes | None = None
    address6: bytes | None = None

    def lookup(self, address: bytes) -> RouteView | None:
        """The route with the longest prefix that holds the address."""
        number = int.from_bytes(address, "big")
        for bits, routes in self.table.items():
            shift = 128 - bits
            route = routes.get(number >> shift << shift)
            if route is not None:
                return route
        return None

    def routes(self) -> tuple[RouteView, ...]:
        """All of them."""
        return tuple(route for routes in self.table.values() for route in routes.values())


class CompiledRule(NamedTuple):
    """A rule, quick to compare with; see :class:`labctl.overlay.config.model.Rule`.

    Attributes:
        name: of the rule.
        proto: 0 for any.
        port_min: -1 for any.
        port_max: -1 for any.
        prefix: remote prefix in the space of 128 bits, shifted right by ``shift``; -1 for any.
        shift: 128 less the prefix length.
        remote_group: empty for any.
    """

    name: str
    proto: int
    port_min: int
    port_max: int
    prefix: int
    shift: int
    remote_group: str


@dataclass(frozen=True, slots=True)
class GroupView:
    """A security group.

    Attributes:
        name: of the group.
        rules: by direction and IP version, in order of name.
        members: addresses of the ports in it, 16 bytes each.
    """

    name: str
    rules: dict[tuple[str, int], tuple[CompiledRule, ...]] = field(default_factory=dict)
    members: frozenset[bytes] = frozenset()
