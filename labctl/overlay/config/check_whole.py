"""The rules between items: keys, MACs and addresses are unique, prefixes do not overlap."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from itertools import pairwise
from typing import TYPE_CHECKING, TypeVar

from labctl.overlay.config.breach import Breach
from labctl.overlay.config.codec import kind_of
from labctl.overlay.config.model import GatewaySet, Host, Item, Router, RouterPort, Subnet, Uplink, VmPort
from labctl.overlay.flow import KEY_LIMIT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["breaches_between"]

_Kind = TypeVar("_Kind", GatewaySet, Host, Router, RouterPort, Subnet, Uplink, VmPort)
_Prefix = IPv4Network | IPv6Network
_POINT_TO_POINT = 2


@dataclass(frozen=True, slots=True)
class _Whole:
    """Everything, with the subnets of each network found once."""

    index: Mapping[type[Item], Mapping[str, Item]]
    subnets: dict[str, list[Subnet]]

    def all(self, kind: type[_Kind]) -> list[_Kind]:
        return [item for item in self.index.get(kind, {}).values() if isinstance(item, kind)]


def breaches_between(index: Mapping[type[Item], Mapping[str, Item]]) -> list[Breach]:
    """What is wrong between the items of a set, by class and name; empty if nothing is."""
    whole = _Whole(index, {})
    for subnet in whole.all(Subnet):
        whole.subnets.setdefault(subnet.network, []).append(subnet)
    found = [*_keys(whole), *_overlaps(whole), *_on_networks(whole), *_routed(whole), *_underlay(whole)]
    if len(index.get(GatewaySet, {})) > 1:
        found.append(Breach(whole.all(GatewaySet)[-1], "there is more than one record of the gateways"))
    return found


def _keys(whole: _Whole) -> Iterator[Breach]:
    """Keys are unique over ports and uplinks."""
    holders: dict[int, str] = {}
    holding: list[Uplink | VmPort] = [*whole.all(Uplink), *whole.all(VmPort)]
    for item in holding:
        if not 0 < item.key < KEY_LIMIT:
            yield Breach(item, f"a key is 1 to {KEY_LIMIT - 1}, not {item.key}")
        other = holders.setdefault(item.key, item.name)
        if other != item.name:
            yield Breach(item, f"key {item.key} is {other!r}'s")


def _underlay(whole: _Whole) -> Iterator[Breach]:
    """Tunnels go from any host to any other and to the gateways: all over one version of IP."""
    for gateways in whole.all(GatewaySet):
        for host in whole.all(Host):
            if host.tunnel.version != gateways.anycast.version:
                gap = f"no tunnel goes from {host.tunnel} to the gateways' {gateways.anycast}"
                yield Breach(host, gap)
            elif host.tunnel == gateways.anycast:
                yield Breach(host, f"{host.tunnel} is the gateways' common address")


def _overlaps(whole: _Whole) -> Iterator[Breach]:
    """Subnets of one network do not overlap."""
    for subnets in whole.subnets.values():
        for at, subnet in enumerate(subnets):
            for other in subnets[:at]:
                if _overlap(subnet.prefix, other.prefix):
                    yield Breach(subnet, f"{subnet.prefix} overlaps {other.name!r}, {other.prefix}")


def _overlap(one: _Prefix, other: _Prefix) -> bool:
    return one.version == other.version and one.overlaps(other)


def _on_networks(whole: _Whole) -> Iterator[Breach]:
    """Within a network, MACs and addresses are unique, and every address lies in a subnet."""
    taken: dict[tuple[str, object], str] = {}
    ports: list[RouterPort | VmPort] = [*whole.all(RouterPort), *whole.all(VmPort)]
    for item in ports:
        what = f"{kind_of(item)} {item.name!r}"
        yield from (Breach(item, breach) for breach in _in_subnets(item, whole.subnets.get(item.network, [])))
        twice = [address for address, count in Counter(item.addresses).items() if count > 1]
        yield from (Breach(item, f"{address} stands there twice") for address in twice)
        for claim in (item.mac, *dict.fromkeys(item.addresses)):
            other = taken.setdefault((item.network, claim), what)
            if other != what:
                yield Breach(item, f"{claim} on network {item.network!r} is {other}'s")


def _in_subnets(item: RouterPort | VmPort, subnets: list[Subnet]) -> Iterator[str]:
    for address in item.addresses:
        home = next((subnet.prefix for subnet in subnets if address in subnet.prefix), None)
        if home is None:
            yield f"{address} is in no subnet of network {item.network!r}"
        elif address in _reserved(home):
            yield f"{address} stands for all of subnet {home}"


def _reserved(prefix: _Prefix) -> tuple[object, ...]:
    if isinstance(prefix, IPv4Network) and prefix.num_addresses > _POINT_TO_POINT:
        return (prefix.network_address, prefix.broadcast_address)
    return ()


def _routed(whole: _Whole) -> Iterator[Breach]:
    """What a router reaches does not overlap, be it a tenant's or the provider router."""
    reached: dict[str, dict[str, _Prefix]] = {}
    for port in whole.all(RouterPort):
        router = whole.index.get(Router, {}).get(port.router)
        if not isinstance(router, Router):
            continue
        for subnet in whole.subnets.get(port.network, []):
            if any(address in subnet.prefix for address in port.addresses):
                for name in {router.name, router.provider} - {""}:
                    reached.setdefault(name, {})[subnet.name] = subnet.prefix
    for router_name, prefixes in reached.items():
        # In this order a prefix that overlaps any before it overlaps its neighbour or that one's neighbour.
        ordered = sorted(prefixes.items(), key=_place)
        for (name, prefix), (next_name, next_prefix) in pairwise(ordered):
            if _overlap(prefix, next_prefix):
                text = (
                    f"{next_prefix} overlaps {prefix} of subnet {name!r}, "
                    f"and router {router_name!r} reaches both"
                )
                yield Breach(whole.index[Subnet][next_name], text)


def _place(named: tuple[str, _Prefix]) -> tuple[int, int, int]:
    prefix = named[1]
    return prefix.version, int(prefix.network_address), prefix.prefixlen
