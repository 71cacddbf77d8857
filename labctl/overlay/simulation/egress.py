"""The last step of a packet: out of a port of this host, or into a tunnel."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labctl.overlay.config.model import HostKind
from labctl.overlay.flow import ToPort, ToTunnel
from labctl.overlay.simulation import firewall, icmp

if TYPE_CHECKING:
    from labctl.overlay.flow import Decision
    from labctl.overlay.simulation.pipeline_context import Walk
    from labctl.overlay.simulation.snapshot_views import PortView, UplinkView

__all__ = ["too_big", "where_is_port", "where_is_uplink", "write_to_port", "write_to_uplink"]


def too_big(walk: Walk, device: str, source: bytes | None) -> Decision | None:
    """An error when the packet does not fit the networks that it has to pass.

    It is told of an IPv4 packet without DF too: nobody here takes a packet apart, and senders
    heed the error all the same.
    """
    if walk.packet.length <= walk.mtu:
        return None
    frame = icmp.error(walk.packet, icmp.Error.TOO_BIG, source, walk.mtu)
    if frame:
        return walk.answer(device, icmp.Error.TOO_BIG.what, frame)
    # Only long packets of the flow: a flow entry would drop the short ones with them.
    return walk.drop(device, icmp.Error.TOO_BIG.what, cacheable=False)


def where_is_port(walk: Walk, port: PortView) -> ToPort | ToTunnel | None:
    """How a VM port is reached from here; None while nobody knows where it runs."""
    walk.tags.add(f"port:{port.item.name}")
    if port.item.host == walk.host:
        return ToPort(port.key, port.item.name)
    if not port.item.host:
        return None
    walk.tags.add(f"host:{port.item.host}")
    host = walk.topology.host(port.item.host)
    return ToTunnel(port.key, str(host.tunnel), port.item.name) if host is not None else None


def write_to_port(walk: Walk, port: PortView, dmac: bytes, smac: bytes) -> Decision:
    """Out to a VM: its own host asks its security groups, any other sends it there."""
    device = f"port {port.item.name}"
    output = where_is_port(walk, port)
    if output is None:
        return walk.missing(device, "host of the vm")
    if isinstance(output, ToPort):
        refused = firewall.check(walk, port, inbound=True)
        if refused is not None:
            return refused
        walk.say(device, "out of this host's port")
    else:
        walk.say(device, "into a tunnel to %s, key %d", output.remote, output.key)
    return walk.forward((output,), dmac, smac)


def where_is_uplink(walk: Walk, uplink: UplinkView) -> ToPort | ToTunnel | None:
    """How the outside is reached from here; None while no gateways are known."""
    walk.tags.update((f"uplink:{uplink.name}", f"host:{walk.host}"))
    here = walk.topology.host(walk.host)
    if here is not None and here.kind is HostKind.GATEWAY:
        return ToPort(uplink.key, uplink.name)
    walk.tags.add("gateways")
    gateways = walk.topology.gateways
    return ToTunnel(uplink.key, str(gateways.anycast), uplink.name) if gateways is not None else None


def write_to_uplink(walk: Walk, uplink: UplinkView) -> Decision:
    """Out to a gateway's kernel: here if this is one, else to whichever the underlay chooses."""
    device = f"uplink {uplink.name}"
    output = where_is_uplink(walk, uplink)
    if output is None:
        return walk.missing(device, "gateways")
    if isinstance(output, ToTunnel):
        walk.say(device, "into a tunnel to the gateways at %s, key %d", output.remote, output.key)
    else:
        walk.say(device, "to this gateway's kernel")
    return walk.forward((output,), uplink.kernel_mac, uplink.mac)
