"""Model items to views: pure functions, one a class of view. References that lead nowhere are left out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labctl.overlay.config.model import Direction
from labctl.overlay.packet import address_bytes, is_ipv4, link_local, mac_bytes
from labctl.overlay.simulation.snapshot_views import (
    CompiledRule,
    GroupView,
    NetworkView,
    Owner,
    PortView,
    RouteKind,
    RouterPortView,
    RouterView,
    RouteView,
    UplinkView,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from ipaddress import IPv4Network, IPv6Network

    from labctl.overlay.config.model import Network, Router, RouterPort, Rule, Subnet, Uplink, VmPort

__all__ = [
    "build_group",
    "build_network",
    "build_port",
    "build_provider_routes",
    "build_router",
    "build_router_port",
    "build_uplink",
    "prefix_bits",
]

_ALL = 128
_DEFAULTS = ((0xFFFF << 32, 96), (0, 0))
"""0.0.0.0/0 and ::/0 in the space of 128 bits."""


def prefix_bits(prefix: IPv4Network | IPv6Network) -> tuple[int, int]:
    """A prefix as integer and length in the space of 128 bits."""
    first = int.from_bytes(address_bytes(prefix.network_address), "big")
    return first, prefix.prefixlen + (_ALL - prefix.max_prefixlen)


def _first(addresses: Iterable[bytes], *, ipv4: bool) -> bytes | None:
    return next((address for address in addresses if is_ipv4(address) is ipv4), None)


def build_port(item: VmPort) -> PortView:
    """A VM port."""
    mac = mac_bytes(item.mac)
    return PortView(item, item.key, mac, frozenset(map(address_bytes, item.addresses)), link_local(mac))


def build_router_port(item: RouterPort) -> RouterPortView:
    """A router port."""
    mac = mac_bytes(item.mac)
    addresses = [address_bytes(address) for address in item.addresses]
    return RouterPortView(
        item.name,
        item.router,
        item.network,
        mac,
        _first(addresses, ipv4=True),
        _first(addresses, ipv4=False),
        link_local(mac),
    )


def build_uplink(item: Uplink) -> UplinkView:
    """An uplink; both ends answer to their link-local addresses too."""
    mac, kernel_mac = mac_bytes(item.mac), mac_bytes(item.kernel_mac)
    mine = [address_bytes(address) for address in item.addresses]
    kernel = [address_bytes(address) for address in item.kernel_addresses]
    return UplinkView(
        item.name,
        item.key,
        item.router,
        mac,
        kernel_mac,
        _first(mine, ipv4=True),
        _first(mine, ipv4=False),
        frozenset((*mine, link_local(mac))),
        frozenset((*kernel, link_local(kernel_mac))),
        item.mtu,
    )


def build_network(
    item: Network,
    ports: Sequence[PortView],
    subnets: Sequence[Subnet],
    gateways: Sequence[tuple[RouterPort, RouterPortView]],
) -> NetworkView:
    """A bridge with its tables; where two claim an address, the first in order of name has it."""
    macs: dict[bytes, Owner] = {}
    ips: dict[bytes, Owner] = {}
    for router_port, seen in gateways:
        owner = Owner(True, seen.name, seen.mac)
        macs.setdefault(seen.mac, owner)
        for address in (*map(address_bytes, router_port.addresses), seen.link_local):
            ips.setdefault(address, owner)
    for port in ports:
        owner = Owner(False, port.item.name, port.mac)
        macs.setdefault(port.mac, owner)
        for address in (*port.addresses, port.link_local):
            ips.setdefault(address, owner)
    return NetworkView(
        item.name,
        item.tenant,
        item.mtu,
        macs,
        ips,
        tuple(port.item.name for port in ports),
        tuple(subnets),
        tuple(seen for _, seen in gateways),
    )


def _table(routes: Iterable[RouteView]) -> dict[int, dict[int, RouteView]]:
    by_bits: dict[int, dict[int, RouteView]] = {}
    for route in routes:
        by_bits.setdefault(route.bits, {}).setdefault(route.prefix, route)
    return {bits: by_bits[bits] for bits in sorted(by_bits, reverse=True)}


def _local(address: bytes, port: str) -> RouteView:
    return RouteView(int.from_bytes(address, "big"), _ALL, RouteKind.LOCAL, port)


def build_router(
    item: Router, ports: Sequence[tuple[RouterPort, RouterPortView, tuple[Subnet, ...]]]
) -> RouterView:
    """A tenant's router: its own addresses, the subnets it has an address in, and the way up."""
    routes: list[RouteView] = []
    address4 = address6 = None
    for router_port, seen, subnets in ports:
        routes += [_local(address_bytes(address), seen.name) for address in router_port.addresses]
        routes += [
            RouteView(*prefix_bits(subnet.prefix), RouteKind.NETWORK, seen.name)
            for subnet in subnets
            if any(address in subnet.prefix for address in router_port.addresses)
        ]
        address4, address6 = address4 or seen.address4, address6 or seen.address6
    if item.provider:
        routes += [RouteView(*default, RouteKind.PROVIDER, item.provider) for default in _DEFAULTS]
    names = tuple(seen.name for _, seen, _ in ports)
    return RouterView(item.name, item.tenant, item.provider, _table(routes), names, address4, address6)


def build_provider_routes(
    item: Router, tenants: Iterable[RouterView], uplinks: Iterable[UplinkView]
) -> RouterView:
    """A provider router: every subnet and router address of the tenants' routers, and the way out."""
    routes: list[RouteView] = []
    address4 = address6 = None
    for uplink in uplinks:
        routes += [_local(address, uplink.name) for address in sorted(uplink.mine)]
        routes += [RouteView(*default, RouteKind.UPLINK, uplink.name) for default in _DEFAULTS]
        address4, address6 = address4 or uplink.address4, address6 or uplink.address6
    for router in tenants:
        routes += [
            RouteView(route.prefix, route.bits, RouteKind.TENANT, router.name)
            for route in router.routes()
            if route.kind is RouteKind.NETWORK
        ]
    return RouterView(item.name, "", "", _table(routes), (), address4, address6)


def _compile(rule: Rule) -> CompiledRule:
    prefix, bits = prefix_bits(rule.remote) if rule.remote is not None else (-1, _ALL)
    return CompiledRule(
        rule.name,
        rule.proto,
        rule.port_min,
        rule.port_max,
        prefix >> (_ALL - bits) if prefix >= 0 else -1,
        _ALL - bits,
        rule.remote_group,
    )


def build_group(name: str, rules: Sequence[Rule], ports: Iterable[PortView]) -> GroupView:
    """A security group with its rules and its members' addresses."""
    compiled: dict[tuple[str, int], tuple[CompiledRule, ...]] = {}
    for direction in Direction:
        for version in (4, 6):
            chosen = [rule for rule in rules if rule.direction is direction and rule.version == version]
            compiled[direction.value, version] = tuple(map(_compile, chosen))
    members = frozenset(address for port in ports for address in (*port.addresses, port.link_local))
    return GroupView(name, compiled, members)
