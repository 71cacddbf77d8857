"""Compares an old view with a new one: returns the tags of everything that changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labctl.overlay.simulation.dependencies import route_change_tag

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from labctl.overlay.simulation.snapshot_views import (
        GroupView,
        NetworkView,
        PortView,
        RouterView,
        UplinkView,
    )

__all__ = ["group_tags", "network_tags", "port_tags", "router_tags", "uplink_tags"]


def port_tags(name: str, old: PortView | None, new: PortView | None) -> Iterator[str]:
    """A VM port came, went or changed."""
    if old == new:
        return
    yield f"port:{name}"
    for view in (old, new):
        if view is not None:
            yield f"key:{view.key}"


def uplink_tags(name: str, old: UplinkView | None, new: UplinkView | None) -> Iterator[str]:
    """An uplink came, went or changed."""
    if old == new:
        return
    yield f"uplink:{name}"
    for view in (old, new):
        if view is not None:
            yield f"key:{view.key}"


def _different(old: Mapping[bytes, object], new: Mapping[bytes, object]) -> Iterator[bytes]:
    for key in old.keys() | new.keys():
        if old.get(key) != new.get(key):
            yield key


def network_tags(name: str, old: NetworkView | None, new: NetworkView | None) -> Iterator[str]:
    """A network or anything on it."""
    if old == new:
        return
    if old is None or new is None or (old.tenant, old.mtu) != (new.tenant, new.mtu):
        yield f"net:{name}"
    for address in _different(old.macs if old else {}, new.macs if new else {}):
        yield f"mac:{name}:{address.hex()}"
    for address in _different(old.ips if old else {}, new.ips if new else {}):
        yield f"ip:{name}:{address.hex()}"
    if old is None or new is None or old.ports != new.ports:
        yield f"ports:{name}"
    if old is None or new is None or (old.subnets, old.gateways) != (new.subnets, new.gateways):
        yield f"subnets:{name}"
    before = {port.name: port for port in old.gateways} if old else {}
    after = {port.name: port for port in new.gateways} if new else {}
    for port in before.keys() | after.keys():
        if before.get(port) != after.get(port):
            yield f"rport:{port}"


def router_tags(name: str, old: RouterView | None, new: RouterView | None) -> Iterator[str]:
    """A router or its routes."""
    if old == new:
        return
    before = (old.tenant, old.provider, old.address4, old.address6) if old else None
    after = (new.tenant, new.provider, new.address4, new.address6) if new else None
    if before != after:
        yield f"router:{name}"
    old_routes = set(old.routes()) if old else set()
    new_routes = set(new.routes()) if new else set()
    for route in old_routes ^ new_routes:
        yield route_change_tag(name, route.prefix, route.bits)


def group_tags(name: str, old: GroupView | None, new: GroupView | None) -> Iterator[str]:
    """A security group, its rules or its members."""
    if old == new:
        return
    before = {(way, rule) for way, rules in old.rules.items() for rule in rules} if old else set()
    after = {(way, rule) for way, rules in new.rules.items() for rule in rules} if new else set()
    different = before ^ after
    if different or old is None or new is None:
        yield f"group:{name}"
    for _, rule in different:
        yield f"rule:{rule.name}"
    for address in (old.members if old else frozenset()) ^ (new.members if new else frozenset()):
        yield f"member:{name}:{address.hex()}"
