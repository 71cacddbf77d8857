"""Bridges: forward to known MACs only; they learn nothing, because the state database has every MAC."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labctl.overlay.flow import ToPort, ToTunnel
from labctl.overlay.packet import IP4
from labctl.overlay.simulation import egress, firewall
from labctl.overlay.simulation.router import Came, enter_router, to_router_itself

if TYPE_CHECKING:
    from labctl.overlay.flow import Decision
    from labctl.overlay.simulation.pipeline_context import Walk
    from labctl.overlay.simulation.snapshot_views import NetworkView, PortView

_GROUPS4, _GROUPS6 = 224, 0xFF
"""First byte of addresses of more than one receiver, IPv4 (from there on) and IPv6."""

__all__ = ["MAX_FLOOD", "enter_bridge"]

MAX_FLOOD = 64
"""A packet to everybody on a network with more ports than this is dropped."""


def enter_bridge(walk: Walk, network: NetworkView, sender: PortView) -> Decision:
    """Pass on an IP packet of a VM that its security groups let out."""
    device, packet = f"bridge {network.name}", walk.packet
    looped = walk.enter(device)
    if looped is not None:
        return looped
    walk.tags.add(f"net:{network.name}")
    walk.mtu = min(walk.mtu, network.mtu)
    if packet.dmac[0] & 1:
        return _flood(walk, network, sender)
    return _unicast(walk, network, sender)


def _unicast(walk: Walk, network: NetworkView, sender: PortView) -> Decision:
    device, packet = f"bridge {network.name}", walk.packet
    walk.tags.add(f"mac:{network.name}:{packet.dmac.hex()}")
    owner = network.macs.get(packet.dmac)
    if owner is None:
        return walk.drop(device, "unknown destination mac")
    if owner.is_router:
        return _to_router(walk, device, owner.name)
    if owner.name == sender.item.name:
        return walk.drop(device, "back to its sender")
    # No router stands between: the error comes from the receiver's address.
    big = egress.too_big(walk, device, packet.dst)
    if big is not None:
        return big
    walk.say(device, "mac %s is vm %s", packet.dmac.hex(":"), owner.name)
    walk.tags.add(f"port:{owner.name}")
    return egress.write_to_port(walk, walk.topology.ports[owner.name], packet.dmac, packet.smac)


def _to_router(walk: Walk, device: str, port_name: str) -> Decision:
    packet = walk.packet
    walk.tags.add(f"rport:{port_name}")
    port = walk.topology.router_ports.get(port_name)
    if port is None:
        return walk.missing(device, "router")
    if _is_group(packet.dst, ipv4=packet.eth_type == IP4):
        return walk.drop(device, "group address to one mac")
    if packet.dst == port.link_local:
        return to_router_itself(walk, f"router {port.router}")
    walk.say(device, "mac %s is router %s", packet.dmac.hex(":"), port.router)
    return enter_router(walk, port.router, Came(port=port_name))


def _is_group(address: bytes, *, ipv4: bool) -> bool:
    return address[12] >= _GROUPS4 if ipv4 else address[0] == _GROUPS6


def _flood(walk: Walk, network: NetworkView, sender: PortView) -> Decision:
    """To every other VM of the network; each of them gets a copy, made by the agent."""
    device, packet = f"bridge {network.name}", walk.packet
    walk.tags.add(f"ports:{network.name}")
    if len(network.ports) > MAX_FLOOD:
        return walk.drop(device, "too many to tell everybody")
    big = egress.too_big(walk, device, None)
    if big is not None:
        return big
    outputs: list[ToPort | ToTunnel] = []
    for name in network.ports:
        if name == sender.item.name:
            continue
        walk.tags.add(f"port:{name}")
        port = walk.topology.ports[name]
        output = egress.where_is_port(walk, port)
        if output is None or (isinstance(output, ToPort) and not firewall.allows_flood(walk, port)):
            continue
        outputs.append(output)
    if not outputs:
        return walk.drop(device, "nobody to tell")
    walk.say(device, "to everybody: %d copies", len(outputs))
    walk.cacheable = False
    return walk.forward(tuple(outputs), packet.dmac, packet.smac)
