"""Replies in place of others: ARP, neighbour discovery, router advertisements, DHCP."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import TYPE_CHECKING

from labctl.overlay.packet import ARP, ICMP6, IP4, IP6, UDP, address_bytes, address_of, mac_bytes
from labctl.overlay.simulation import arp, dhcp, nd

if TYPE_CHECKING:
    from labctl.overlay.flow import Decision
    from labctl.overlay.simulation.pipeline_context import Walk
    from labctl.overlay.simulation.snapshot_views import NetworkView, PortView

__all__ = ["advertisement", "serve"]

_NO_ROUTER = IPv4Address("169.254.169.254")
"""Identifier of the DHCP server on a network without a router."""
_NO_ROUTER_MAC = mac_bytes("02:00:00:00:00:fe")
_IGMP, _HOP_BY_HOP = 2, 0
_MLD = frozenset((130, 131, 132, 143))
_DHCP6_SERVER = 547


def serve(walk: Walk, port: PortView, network: NetworkView) -> Decision | None:
    """Answer a VM in place of whoever it asks; None for packets that are to be passed on."""
    packet = walk.packet
    if packet.eth_type == ARP:
        return _arp(walk, port, network)
    if packet.eth_type == IP6 and packet.proto == ICMP6:
        return _neighbour(walk, port, network)
    device = f"port {port.item.name}"
    if packet.eth_type == IP4 and packet.proto == UDP and packet.dport == dhcp.SERVER_PORT:
        return _dhcp(walk, port, network) if _is_for_server(walk, network) else None
    if packet.eth_type == IP4 and packet.proto == _IGMP:
        return walk.drop(device, "multicast membership")
    if packet.eth_type == IP6 and packet.proto == UDP and packet.dport == _DHCP6_SERVER:
        return walk.drop(device, "no dhcpv6 here")
    return None


def _arp(walk: Walk, port: PortView, network: NetworkView) -> Decision:
    packet, device = walk.packet, f"bridge {network.name}"
    if packet.proto != arp.REQUEST:
        return walk.drop(device, "arp reply that nobody asked for", cacheable=False)
    walk.tags.add(f"ip:{network.name}:{packet.dst.hex()}")
    owner = network.ips.get(packet.dst)
    if owner is None or owner.mac == port.mac:
        return walk.drop(device, "nobody else has that address", cacheable=False)
    return walk.answer(device, "arp reply", arp.reply(packet, owner.mac))


def _neighbour(walk: Walk, port: PortView, network: NetworkView) -> Decision | None:
    packet, device = walk.packet, f"bridge {network.name}"
    kind = packet.sport >> 8
    if kind in _MLD:
        return walk.drop(device, "multicast membership")
    if kind not in nd.KINDS:
        return None
    if not nd.is_valid(packet):
        return walk.drop(device, "bad neighbour discovery", cacheable=False)
    if kind == nd.ROUTER_SOLICITATION:
        walk.tags.update((f"subnets:{network.name}", f"net:{network.name}"))
        frame = advertisement(network)
        if not frame:
            return walk.drop(device, "no router to advertise", cacheable=False)
        return walk.answer(device, "router advertisement", frame)
    return _solicitation(walk, port, network)


def _solicitation(walk: Walk, port: PortView, network: NetworkView) -> Decision:
    packet, device = walk.packet, f"bridge {network.name}"
    if packet.sport >> 8 != nd.SOLICITATION:
        return walk.drop(device, "neighbour advertisement that nobody asked for", cacheable=False)
    sought = nd.target(packet)
    walk.tags.add(f"ip:{network.name}:{sought.hex()}")
    owner = network.ips.get(sought)
    if owner is None or owner.mac == port.mac:
        return walk.drop(device, "nobody else has that address", cacheable=False)
    frame = nd.advertisement(packet, owner.mac, router=owner.is_router)
    return walk.answer(device, "neighbour advertisement", frame)


def advertisement(network: NetworkView) -> bytes:
    """The router advertisement of a network to all of its VMs; empty if it has no IPv6 router."""
    gateway = next((port for port in network.gateways if port.address6 is not None), None)
    if gateway is None:
        return b""
    subnets = [subnet for subnet in network.subnets if subnet.dhcp and isinstance(subnet.prefix, IPv6Network)]
    return nd.router_advertisement(
        gateway.mac,
        gateway.link_local,
        mtu=network.mtu,
        prefixes=[subnet.prefix for subnet in subnets if isinstance(subnet.prefix, IPv6Network)],
        dns=[address_bytes(dns) for subnet in subnets for dns in subnet.dns if isinstance(dns, IPv6Address)],
    )


def _is_for_server(walk: Walk, network: NetworkView) -> bool:
    """Whether it is to everybody, or to the address that the server goes by."""
    packet = walk.packet
    if packet.dmac[0] & 1:
        return True
    walk.tags.add(f"subnets:{network.name}")
    return any(packet.dst == gateway.address4 for gateway in network.gateways)


def _dhcp(walk: Walk, port: PortView, network: NetworkView) -> Decision:
    device = f"port {port.item.name}"
    walk.tags.update((f"subnets:{network.name}", f"net:{network.name}"))
    lease = _lease(port, network)
    frame = dhcp.answer(walk.packet, lease) if lease is not None else b""
    if not frame:
        return walk.drop(device, "no lease for that", cacheable=False)
    return walk.answer(device, "dhcp", frame)


def _lease(port: PortView, network: NetworkView) -> dhcp.Lease | None:
    """The first IPv4 address of the port that lies in a subnet with DHCP."""
    for address in port.item.addresses:
        for subnet in network.subnets:
            if subnet.dhcp and isinstance(subnet.prefix, IPv4Network) and address in subnet.prefix:
                return _make_lease(port, network, IPv4Address(address), subnet.prefix, subnet.dns)
    return None


def _make_lease(
    port: PortView, network: NetworkView, address: IPv4Address, prefix: IPv4Network, dns: tuple[object, ...]
) -> dhcp.Lease:
    router, mac = None, _NO_ROUTER_MAC
    for gateway in network.gateways:
        found = address_of(gateway.address4) if gateway.address4 is not None else None
        if isinstance(found, IPv4Address) and found in prefix:
            router, mac = found, gateway.mac
            break
    servers = tuple(server for server in dns if isinstance(server, IPv4Address))
    return dhcp.Lease(
        address, prefix, router, servers, network.mtu, port.item.name, router or _NO_ROUTER, mac
    )
