"""The entry point of the simulation: takes a packet and its ingress port, returns a decision."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labctl.overlay.flow import FROM_TUNNEL, KEY_LIMIT, WATCHED_PORTS, Answer, Drop, Match, ReadPorts, ToPort
from labctl.overlay.packet import ARP, ICMP, ICMP6, IP4, IP6, UDP
from labctl.overlay.simulation import arp, egress, firewall, nd, service, spoof
from labctl.overlay.simulation.bridge import enter_bridge
from labctl.overlay.simulation.pipeline_context import Walk
from labctl.overlay.simulation.router import Came, enter_router
from labctl.overlay.simulation.snapshot_views import UplinkView

if TYPE_CHECKING:
    from collections.abc import Callable

    from labctl.overlay.flow import ConnKey, Decision, Packet
    from labctl.overlay.simulation.snapshot_views import PortView
    from labctl.overlay.simulation.topology import VirtualTopology

__all__ = ["router_advertisements", "simulate"]


def simulate(
    topology: VirtualTopology,
    host: str,
    packet: Packet,
    ingress: int,
    established: Callable[[ConnKey], bool],
    *,
    explain: bool = False,
) -> Decision:
    """Send a packet through the virtual topology.

    A pure function: the same arguments give the same decision.

    Args:
        topology: a snapshot.
        host: name of the host that the packet is on.
        packet: as it came.
        ingress: key of the port, with :data:`~labctl.overlay.flow.FROM_TUNNEL` if it came by tunnel.
        established: whether a connection of a port of this host is known.
        explain: whether to fill in ``steps``.

    Returns:
        What to do with it, and with all others of its flow.
    """
    walk = Walk(topology, host, packet, established, steps=[] if explain else None)
    key = ingress % KEY_LIMIT
    device = f"host {host}"
    if packet.fault:
        return walk.drop(device, packet.fault, cacheable=False)
    walk.tags.add(f"key:{key}")
    if packet.proto in (ICMP, ICMP6) or (
        packet.proto == UDP and not WATCHED_PORTS.isdisjoint(_ports(packet))
    ):
        # Looked at here and there all along the way.
        walk.read = ReadPorts.BOTH
    if packet.eth_type == ARP:
        # What ARP is about stands in fields that no flow is told apart by.
        walk.cacheable = False
    found = topology.by_key.get(key)
    if found is None:
        return walk.missing(device, "port of that key")
    if isinstance(found, UplinkView):
        walk.tags.add(f"uplink:{found.name}")
        return _to_kernel(walk, found) if ingress & FROM_TUNNEL else _from_kernel(walk, found)
    walk.tags.add(f"port:{found.item.name}")
    return _to_vm(walk, found) if ingress & FROM_TUNNEL else _from_vm(walk, found)


def _from_vm(walk: Walk, port: PortView) -> Decision:
    """A VM sends."""
    device = f"port {port.item.name}"
    walk.say(device, "in from the vm")
    if port.item.secure:
        forged = spoof.forgery(port, walk.packet)
        if forged:
            # The fields that give neighbour discovery away are none that a flow is told apart by.
            return walk.drop(device, forged, cacheable=not _is_discovery(walk.packet))
    network = walk.topology.networks.get(port.item.network)
    walk.tags.add(f"net:{port.item.network}")
    if network is None:
        return walk.missing(device, "network")
    served = service.serve(walk, port, network)
    if served is not None:
        return served
    if walk.packet.eth_type not in (IP4, IP6):
        return walk.drop(device, "neither ip nor arp")
    refused = firewall.check(walk, port, inbound=False)
    return refused if refused is not None else enter_bridge(walk, network, port)


def _to_vm(walk: Walk, port: PortView) -> Decision:
    """A tunnel brought it: the host that sent it has done all but the security groups."""
    device = f"port {port.item.name}"
    walk.say(device, "in from a tunnel")
    if port.item.host != walk.host:
        return walk.drop(device, "vm is not on this host")
    walk.tags.add(f"net:{port.item.network}")
    network = walk.topology.networks.get(port.item.network)
    if network is None:
        return walk.missing(device, "network")
    walk.mtu = network.mtu
    unwanted = _unwanted(port, walk.packet)
    if unwanted:
        return walk.drop(device, unwanted)
    refused = firewall.check(walk, port, inbound=True)
    if refused is not None:
        return refused
    walk.say(device, "out of this host's port")
    return walk.forward((ToPort(port.key, port.item.name),), walk.packet.dmac, walk.packet.smac)


def _unwanted(port: PortView, packet: Packet) -> str:
    """Why a VM gets no such packet out of a tunnel, whatever its security groups say; empty if it may."""
    if packet.eth_type not in (IP4, IP6):
        return "neither ip nor arp"
    if packet.dmac != port.mac and not packet.dmac[0] & 1:
        return "not the vm's mac"
    # A VM's own host answers it, and nobody else.
    return "dhcp from elsewhere" if port.item.secure and spoof.is_to_dhcp_client(packet) else ""


def _to_kernel(walk: Walk, uplink: UplinkView) -> Decision:
    """A tunnel brought it to a gateway on its way out: nothing is left to decide."""
    device = f"uplink {uplink.name}"
    walk.say(device, "in from a tunnel")
    output = egress.where_is_uplink(walk, uplink)
    if not isinstance(output, ToPort):
        return walk.drop(device, "this host is no gateway")
    walk.say(device, "to this gateway's kernel")
    walk.mtu, walk.match = uplink.mtu, Match.INGRESS
    return walk.forward((output,), uplink.kernel_mac, uplink.mac)


def _from_kernel(walk: Walk, uplink: UplinkView) -> Decision:
    """A gateway's kernel sends a packet inwards."""
    device, packet = f"uplink {uplink.name}", walk.packet
    walk.say(device, "in from this gateway's kernel")
    walk.mtu = uplink.mtu
    if packet.eth_type == ARP:
        if packet.proto == arp.REQUEST and packet.dst in uplink.mine:
            return walk.answer(device, "arp reply", arp.reply(packet, uplink.mac))
        return walk.drop(device, "nobody else has that address")
    if packet.eth_type not in (IP4, IP6):
        return walk.drop(device, "neither ip nor arp")
    if _is_discovery(packet):
        return _neighbour(walk, uplink)
    if packet.dmac != uplink.mac:
        return walk.drop(device, "not the router's mac")
    # Security groups are the VM's host's business, so nothing but the destination matters here.
    walk.match = Match.DESTINATION
    return enter_router(walk, uplink.router, Came(outside=True))


def _neighbour(walk: Walk, uplink: UplinkView) -> Answer | Drop:
    device, packet = f"uplink {uplink.name}", walk.packet
    if packet.sport >> 8 == nd.SOLICITATION and nd.is_valid(packet) and nd.target(packet) in uplink.mine:
        frame = nd.advertisement(packet, uplink.mac, router=True)
        return walk.answer(device, "neighbour advertisement", frame)
    return walk.drop(device, "nobody else has that address", cacheable=False)


def _ports(packet: Packet) -> tuple[int, int]:
    return packet.sport, packet.dport


def _is_discovery(packet: Packet) -> bool:
    return packet.eth_type == ARP or (
        packet.eth_type == IP6 and packet.proto == ICMP6 and packet.sport >> 8 in nd.KINDS
    )


def router_advertisements(topology: VirtualTopology, host: str) -> dict[int, bytes]:
    """Unasked router advertisements for the VMs of a host, by key of the port, to be said now and then.

    A VM takes what it was told to hold for :data:`~labctl.overlay.simulation.nd.ROUTER_LIFETIME_S`.
    """
    frames: dict[str, bytes] = {}
    found: dict[int, bytes] = {}
    for port in topology.ports.values():
        network = topology.networks.get(port.item.network)
        if port.item.host != host or network is None:
            continue
        if network.name not in frames:
            frames[network.name] = service.advertisement(network)
        if frames[network.name]:
            found[port.key] = frames[network.name]
    return found
