"""The virtual networks: what the state database holds, as frozen data.

Everything is known by a name that is unique within its class over all tenants, and refers to
others by name. The rules that a whole set of objects must keep stand in
:mod:`labctl.overlay.config.check`, the JSON form in :mod:`labctl.overlay.config.codec`, the choice of names,
addresses and keys in :mod:`labctl.overlay.config.plan`.

A tenant has networks (bridges), a network has subnets, routers join networks by router ports and
reach the provider router, the provider router reaches the outside by its uplink on every gateway.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

__all__ = [
    "KINDS",
    "Direction",
    "GatewaySet",
    "Group",
    "Host",
    "HostKind",
    "Item",
    "Network",
    "Peering",
    "Router",
    "RouterPort",
    "Rule",
    "Subnet",
    "Tenant",
    "Uplink",
    "VmPort",
]

Address = IPv4Address | IPv6Address
Prefix = IPv4Network | IPv6Network


class Direction(StrEnum):
    """As the VM sees it."""

    IN = "in"
    OUT = "out"


class HostKind(StrEnum):
    """What a host is for."""

    COMPUTE = "compute"
    GATEWAY = "gateway"


@dataclass(frozen=True, slots=True)
class Tenant:
    """Somebody with networks of their own, whom nobody else reaches unless a peering says so."""

    name: str


@dataclass(frozen=True, slots=True)
class Network:
    """A bridge: VMs on it reach each other by MAC address.

    Attributes:
        name: unique.
        tenant: owner.
        mtu: bytes of IP packet; the underlay's less the tunnel's own headers.
    """

    name: str
    tenant: str
    mtu: int = 1450


@dataclass(frozen=True, slots=True)
class Subnet:
    """Addresses of a network.

    Attributes:
        name: unique.
        network: where.
        prefix: the addresses; an IPv6 prefix has 64 bits, as address autoconfiguration wants.
        dns: name servers told to the VMs.
        dhcp: whether VMs are told their address (DHCP for IPv4, router advertisement for IPv6).
    """

    name: str
    network: str
    prefix: Prefix
    dns: tuple[Address, ...] = ()
    dhcp: bool = True


@dataclass(frozen=True, slots=True)
class Router:
    """A distributed router: it is everywhere, simulated at the first host that needs it.

    Attributes:
        name: unique.
        tenant: owner; empty for the provider router.
        provider: the provider router that it reaches the outside by; empty if it does not, and
            for the provider router itself.
    """

    name: str
    tenant: str = ""
    provider: str = ""


@dataclass(frozen=True, slots=True)
class RouterPort:
    """A router on a network.

    Attributes:
        name: unique.
        router: whose.
        network: on which network; of the router's tenant.
        mac: lower case, with colons.
        addresses: one in every subnet that the router serves; the VMs' default gateway there.
    """

    name: str
    router: str
    network: str
    mac: str
    addresses: tuple[Address, ...]


@dataclass(frozen=True, slots=True)
class Uplink:
    """The provider router's way out, the same on every gateway (each in a namespace of its own).

    The gateway's kernel, with its BGP routes, is at the other end of it.

    Attributes:
        name: unique.
        key: tunnel key of packets on their way out.
        router: the provider router.
        mac: of the router's end.
        addresses: of the router's end: the kernel's next hop to the tenants.
        kernel_mac: of the kernel's end.
        kernel_addresses: of the kernel's end.
        mtu: bytes of IP packet towards the kernel.
    """

    name: str
    key: int
    router: str
    mac: str
    addresses: tuple[Address, ...]
    kernel_mac: str
    kernel_addresses: tuple[Address, ...]
    mtu: int = 1500


@dataclass(frozen=True, slots=True)
class VmPort:
    """Where a VM meets its network.

    Attributes:
        name: unique; of a VM with one port the VM's own name.
        key: tunnel key of packets on their way to it.
        network: where.
        mac: lower case, with colons.
        addresses: its fixed addresses, each in a subnet of the network.
        host: name of the host that it runs on; empty while it runs nowhere.
        groups: security groups. None at all: nothing but what the agent itself answers.
        secure: False switches security groups and anti-spoofing off for this port.
    """

    name: str
    key: int
    network: str
    mac: str
    addresses: tuple[Address, ...]
    host: str = ""
    groups: tuple[str, ...] = ()
    secure: bool = True


@dataclass(frozen=True, slots=True)
class Group:
    """A security group: a set of rules; what no rule allows is dropped."""

    name: str
    tenant: str


@dataclass(frozen=True, slots=True)
class Rule:
    """Something that a security group allows; return traffic is allowed with it.

    Attributes:
        name: unique.
        group: whose.
        direction: of the first packet.
        version: 4 or 6.
        proto: IP protocol number; 0 for any.
        port_min: first destination port, or ICMP type; -1 for any.
        port_max: last destination port, or ICMP code; -1 for any.
        remote: addresses of the other side; None for any.
        remote_group: only members of that group on the other side; empty for any.
    """

    name: str
    group: str
    direction: Direction
    version: int
    proto: int = 0
    port_min: int = -1
    port_max: int = -1
    remote: Prefix | None = None
    remote_group: str = ""


@dataclass(frozen=True, slots=True)
class Host:
    """A node that an agent runs on.

    Attributes:
        name: of the node.
        kind: see :class:`HostKind`.
        tunnel: its own address in the underlay.
    """

    name: str
    kind: HostKind
    tunnel: Address


@dataclass(frozen=True, slots=True)
class GatewaySet:
    """All gateways together.

    Attributes:
        name: unique; there is one.
        anycast: underlay address that every gateway advertises while it can pass packets on.
        vni_port: UDP port of the tunnels.
        draining: gateways that must not attract traffic.
    """

    name: str
    anycast: Address
    vni_port: int = 6677
    draining: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Peering:
    """Two tenants whose routed networks may reach each other through the provider router."""

    name: str
    tenants: tuple[str, str]


Item = (
    Tenant
    | Network
    | Subnet
    | Router
    | RouterPort
    | Uplink
    | VmPort
    | Group
    | Rule
    | Host
    | GatewaySet
    | Peering
)

KINDS: dict[str, type[Item]] = {
    "tenant": Tenant,
    "network": Network,
    "subnet": Subnet,
    "router": Router,
    "router-port": RouterPort,
    "uplink": Uplink,
    "vm-port": VmPort,
    "group": Group,
    "rule": Rule,
    "host": Host,
    "gateways": GatewaySet,
    "peering": Peering,
}
"""Name of each class in documents and messages; in the order in which they may refer back."""
