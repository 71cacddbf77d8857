"""The rules that a whole set of items must keep; every breach is told at once, in words.

Who writes to the state database asks here first, with everything that stands in it already. The
rules hold for the whole, so they are asked of the whole: at 300 networks that takes milliseconds.
"""

from __future__ import annotations

import re
from difflib import get_close_matches
from ipaddress import IPv6Network
from typing import TYPE_CHECKING, Any

from labctl.overlay.config import check_whole
from labctl.overlay.config.breach import Breach
from labctl.overlay.config.codec import class_name
from labctl.overlay.config.model import (
    GatewaySet,
    Group,
    Host,
    HostKind,
    Item,
    Network,
    Peering,
    Router,
    RouterPort,
    Rule,
    Subnet,
    Tenant,
    Uplink,
    VmPort,
)
from labctl.overlay.packet import mac_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    _Index = Mapping[type[Item], Mapping[str, Item]]

__all__ = ["Breach", "breaches"]

_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?")
_IP6_BITS = 64
_ICMP = frozenset((1, 58))
_WITH_PORTS = frozenset((6, 17, 33, 132, 136))
_MAX_PORT, _MAX_PROTO, _MIN_MTU, _MAX_MTU = 65535, 255, 1280, 65535
_VERSIONS = (4, 6)


def breaches(items: Iterable[Item]) -> list[Breach]:
    """What is wrong with a set of items; empty if nothing is."""
    found: list[Breach] = []
    index: dict[type[Item], dict[str, Item]] = {}
    for item in items:
        known = index.setdefault(type(item), {})
        if item.name in known:
            found.append(Breach(item, "stands there twice"))
        known[item.name] = item
    for known in index.values():
        for item in known.values():
            found += [Breach(item, breach) for breach in _of_one(item, index)]
    found += check_whole.breaches_between(index)
    return found


def _ref(index: _Index, kind: type[Item], name: str) -> Iterator[str]:
    known = index.get(kind, {})
    if name in known:
        return
    word = class_name(kind)
    near = get_close_matches(name, known, 1)
    yield f"there is no {word} {name!r}" + (f", did you mean {near[0]!r}?" if near else "")


def _network(item: Network, index: _Index) -> Iterator[str]:
    yield from _ref(index, Tenant, item.tenant)
    if not _MIN_MTU <= item.mtu <= _MAX_MTU:
        yield f"an MTU is {_MIN_MTU} to {_MAX_MTU} bytes, not {item.mtu}"


def _group(item: Group, index: _Index) -> Iterator[str]:
    yield from _ref(index, Tenant, item.tenant)


def _peering(item: Peering, index: _Index) -> Iterator[str]:
    for tenant in item.tenants:
        yield from _ref(index, Tenant, tenant)
    if item.tenants[0] == item.tenants[1]:
        yield "a tenant needs no peering with itself"


def _gateways(item: GatewaySet, index: _Index) -> Iterator[str]:
    for name in item.draining:
        yield from _ref(index, Host, name)


def _mac(text: str) -> Iterator[str]:
    try:
        raw = mac_bytes(text)
    except ValueError:
        yield f"{text!r} is no MAC address"
        return
    if raw[0] & 1 or not any(raw) or text != raw.hex(":"):
        yield f"{text!r} is no MAC address of one device in lower case with colons"


def _subnet(item: Subnet, index: _Index) -> Iterator[str]:
    yield from _ref(index, Network, item.network)
    if isinstance(item.prefix, IPv6Network) and item.prefix.prefixlen != _IP6_BITS:
        yield f"an IPv6 subnet has {_IP6_BITS} bits, {item.prefix} has not: VMs make their address of it"
    if item.prefix.is_multicast or item.prefix.is_loopback or item.prefix.is_link_local:
        yield f"{item.prefix} cannot be a subnet's"


def _router(item: Router, index: _Index) -> Iterator[str]:
    if item.tenant:
        yield from _ref(index, Tenant, item.tenant)
    elif item.provider:
        yield "a provider router has no provider"
    if item.provider:
        yield from _ref(index, Router, item.provider)
        above = index.get(Router, {}).get(item.provider)
        if isinstance(above, Router) and above.tenant:
            yield f"{item.provider!r} is a tenant's router, not a provider router"


def _router_port(item: RouterPort, index: _Index) -> Iterator[str]:
    yield from _ref(index, Router, item.router)
    yield from _ref(index, Network, item.network)
    yield from _mac(item.mac)
    router, network = index.get(Router, {}).get(item.router), index.get(Network, {}).get(item.network)
    if isinstance(router, Router) and isinstance(network, Network) and router.tenant != network.tenant:
        yield f"router {item.router!r} and network {item.network!r} are not of the same tenant"


def _uplink(item: Uplink, index: _Index) -> Iterator[str]:
    yield from _ref(index, Router, item.router)
    yield from _mac(item.mac)
    yield from _mac(item.kernel_mac)
    router = index.get(Router, {}).get(item.router)
    if isinstance(router, Router) and router.tenant:
        yield f"{item.router!r} is a tenant's router: only a provider router has an uplink"
    if item.mac == item.kernel_mac:
        yield "both ends have the same MAC"


def _vm_port(item: VmPort, index: _Index) -> Iterator[str]:
    yield from _ref(index, Network, item.network)
    yield from _mac(item.mac)
    network = index.get(Network, {}).get(item.network)
    if item.host:
        yield from _ref(index, Host, item.host)
        host = index.get(Host, {}).get(item.host)
        if isinstance(host, Host) and host.kind is not HostKind.COMPUTE:
            yield f"host {item.host!r} is no compute node"
    for name in item.groups:
        yield from _ref(index, Group, name)
        group = index.get(Group, {}).get(name)
        if isinstance(group, Group) and isinstance(network, Network) and group.tenant != network.tenant:
            yield f"group {name!r} is not of tenant {network.tenant!r}"


def _rule(item: Rule, index: _Index) -> Iterator[str]:
    yield from _ref(index, Group, item.group)
    if item.version not in _VERSIONS:
        yield f"an IP version is 4 or 6, not {item.version}"
    if item.remote is not None and item.remote.version != item.version:
        yield f"{item.remote} is no IPv{item.version} prefix"
    if item.remote_group:
        yield from _ref(index, Group, item.remote_group)
        if item.remote is not None:
            yield "a rule has a remote prefix or a remote group, not both"
    if not 0 <= item.proto <= _MAX_PROTO:
        yield f"an IP protocol is 0 to {_MAX_PROTO}, not {item.proto}"
    if (item.port_min, item.port_max) != (-1, -1):
        yield from _ports(item)


def _ports(item: Rule) -> Iterator[str]:
    if item.proto in _ICMP:
        if not (0 <= item.port_min <= _MAX_PROTO and -1 <= item.port_max <= _MAX_PROTO):
            yield "an ICMP type is 0 to 255, and so is a code"
    elif item.proto not in _WITH_PORTS:
        yield f"IP protocol {item.proto} has no ports"
    elif not 0 <= item.port_min <= item.port_max <= _MAX_PORT:
        yield f"{item.port_min} to {item.port_max} is no range of ports"


_CHECKS: dict[type[Item], Callable[[Any, _Index], Iterator[str]]] = {
    Network: _network,
    Subnet: _subnet,
    Router: _router,
    RouterPort: _router_port,
    Uplink: _uplink,
    VmPort: _vm_port,
    Group: _group,
    Rule: _rule,
    Peering: _peering,
    GatewaySet: _gateways,
}


def _of_one(item: Item, index: _Index) -> Iterator[str]:
    """References, and what can be seen from the item and what it refers to."""
    if not _NAME.fullmatch(item.name):
        yield "a name is 1 to 63 of a-z, 0-9, '-' and '.', and begins and ends with none of the last two"
    check = _CHECKS.get(type(item))
    if check is not None:
        yield from check(item, index)
