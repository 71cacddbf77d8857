"""Routers: longest prefix, TTL, ICMP errors; tenant's router, provider router, and the way between."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from labctl.overlay.packet import IP4, UDP, address_of, is_link_local
from labctl.overlay.simulation import egress, icmp
from labctl.overlay.simulation.dependencies import route_tag
from labctl.overlay.simulation.snapshot_views import RouteKind

if TYPE_CHECKING:
    from labctl.overlay.flow import Decision
    from labctl.overlay.simulation.pipeline_context import Walk
    from labctl.overlay.simulation.snapshot_views import NetworkView, RouterPortView, RouterView, RouteView

__all__ = ["Came", "enter_router", "to_router_itself"]


class Came(NamedTuple):
    """How a packet came to a router.

    Attributes:
        port: name of the router port that it came in by; empty between routers and for uplinks.
        tenant: name of the tenant's router that handed it up to the provider router.
        outside: whether it came from the outside.
    """

    port: str = ""
    tenant: str = ""
    outside: bool = False


def enter_router(walk: Walk, name: str, came: Came) -> Decision:
    """Route a packet, through as many routers as it takes.

    Args:
        walk: the packet; its destination is an address of one receiver.
        name: of the router.
        came: where from.
    """
    device = f"router {name}"
    looped = walk.enter(device)
    if looped is not None:
        return looped
    walk.tags.add(f"router:{name}")
    router = walk.topology.routers.get(name)
    if router is None:
        return walk.missing(device, "router")
    route = _lookup(walk, router, walk.packet.dst)
    if route is not None and route.kind is RouteKind.LOCAL:
        return to_router_itself(walk, device)
    if is_link_local(walk.packet.src) or is_link_local(walk.packet.dst):
        return walk.drop(device, "link-local is not routed")
    return _route(walk, router, route, came)


def _route(walk: Walk, router: RouterView, route: RouteView | None, came: Came) -> Decision:
    """One hop further, by a route that is not to the router itself."""
    device, source = f"router {router.name}", _source(walk, router, came)
    if walk.packet.ttl - walk.ttl <= 1:
        return _error(walk, device, icmp.Error.TIME_EXCEEDED, source, hold=False)
    walk.ttl += 1
    if route is None or (came.outside and route.kind is RouteKind.UPLINK):
        return _error(walk, device, icmp.Error.NO_ROUTE, source)
    walk.say(device, "route to %s by %s %s", address_of(walk.packet.dst), route.kind.value, route.target)
    if route.kind is RouteKind.NETWORK:
        return _to_network(walk, router, route.target, source)
    if route.kind is RouteKind.PROVIDER:
        return enter_router(walk, route.target, Came(tenant=router.name))
    if route.kind is RouteKind.TENANT:
        return _to_tenant(walk, router, route.target, came)
    return _to_uplink(walk, device, route.target, source)


def _lookup(walk: Walk, router: RouterView, address: bytes) -> RouteView | None:
    walk.tags.add(route_tag(router.name, address))
    return router.lookup(address)


def _source(walk: Walk, router: RouterView, came: Came) -> bytes | None:
    """The address that errors come from: of the port that the packet came in by."""
    is_ipv4 = walk.packet.eth_type == IP4
    if not came.port:
        return router.address4 if is_ipv4 else router.address6
    walk.tags.add(f"rport:{came.port}")
    port = walk.topology.router_ports.get(came.port)
    if port is None:
        return None
    return port.address4 if is_ipv4 else port.address6 or port.link_local


def _error(walk: Walk, device: str, kind: icmp.Error, source: bytes | None, *, hold: bool = True) -> Decision:
    frame = icmp.error(walk.packet, kind, source)
    if frame:
        return walk.answer(device, kind.what, frame, hold=hold)
    return walk.drop(device, kind.what, cacheable=hold)


def to_router_itself(walk: Walk, device: str) -> Decision:
    """A packet to one of the router's own addresses: pings are answered."""
    packet = walk.packet
    if icmp.is_echo_request(packet):
        frame = icmp.echo_reply(packet)
        if frame:
            return walk.answer(device, "echo reply", frame)
        return walk.drop(device, "ping not whole", cacheable=False)
    if packet.proto == UDP:
        return _error(walk, device, icmp.Error.NO_PORT, packet.dst, hold=False)
    return walk.drop(device, "not for routers")


def _to_network(walk: Walk, router: RouterView, port_name: str, source: bytes | None) -> Decision:
    walk.tags.add(f"rport:{port_name}")
    port = walk.topology.router_ports.get(port_name)
    network = walk.topology.networks.get(port.network) if port is not None else None
    if port is None or network is None:
        return walk.missing(f"router {router.name}", "network")
    device = f"bridge {network.name}"
    looped = walk.enter(device)
    if looped is not None:
        return looped
    return _deliver(walk, network, port, source)


def _deliver(walk: Walk, network: NetworkView, port: RouterPortView, source: bytes | None) -> Decision:
    """From a router port over a network to whoever has the address."""
    device, packet = f"bridge {network.name}", walk.packet
    walk.tags.update((f"net:{network.name}", f"ip:{network.name}:{packet.dst.hex()}"))
    walk.mtu = min(walk.mtu, network.mtu)
    owner = network.ips.get(packet.dst)
    if owner is None:
        return _error(walk, device, icmp.Error.NO_HOST, source)
    if owner.is_router:
        walk.tags.add(f"rport:{owner.name}")
        other = walk.topology.router_ports.get(owner.name)
        if other is None:
            return walk.missing(device, "router")
        return enter_router(walk, other.router, Came(port=owner.name))
    big = egress.too_big(walk, device, source)
    if big is not None:
        return big
    walk.say(device, "%s is vm %s, mac %s", address_of(packet.dst), owner.name, owner.mac.hex(":"))
    walk.tags.add(f"port:{owner.name}")
    return egress.write_to_port(walk, walk.topology.ports[owner.name], owner.mac, port.mac)


def _to_tenant(walk: Walk, router: RouterView, target: str, came: Came) -> Decision:
    """From the provider router down: from the outside to every tenant, from a tenant to its peers."""
    device = f"router {router.name}"
    if came.outside:
        inside = _lookup(walk, router, walk.packet.src)
        if inside is not None and inside.kind is not RouteKind.UPLINK:
            return walk.drop(device, "inside address from the outside")
        return enter_router(walk, target, Came())
    walk.tags.update((f"router:{target}", f"router:{came.tenant}"))
    ours, theirs = walk.topology.routers.get(came.tenant), walk.topology.routers.get(target)
    if ours is None or theirs is None:
        return walk.missing(device, "router")
    if ours.tenant != theirs.tenant:
        pair = sorted((ours.tenant, theirs.tenant))
        walk.tags.add(f"peering:{pair[0]}:{pair[1]}")
        if not walk.topology.peers(*pair):
            return walk.drop(device, "tenants are no peers")
    return enter_router(walk, target, Came())


def _to_uplink(walk: Walk, device: str, name: str, source: bytes | None) -> Decision:
    walk.tags.add(f"uplink:{name}")
    uplink = walk.topology.uplinks.get(name)
    if uplink is None:
        return walk.missing(device, "uplink")
    walk.mtu = min(walk.mtu, uplink.mtu)
    big = egress.too_big(walk, device, source)
    return big if big is not None else egress.write_to_uplink(walk, uplink)
