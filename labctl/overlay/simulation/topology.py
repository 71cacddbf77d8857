"""The topology as the simulation reads it: an immutable snapshot, made from the last one and a change.

A change touches a few networks, routers and groups; only their views are made anew, all others are
shared with the snapshot before. So 300 networks cost no more per change than three.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from labctl.overlay.config.model import (
    GatewaySet,
    Group,
    Host,
    Item,
    Network,
    Peering,
    Router,
    RouterPort,
    Rule,
    Subnet,
    Uplink,
    VmPort,
)
from labctl.overlay.simulation import build, diff

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from labctl.overlay.simulation.snapshot_views import (
        GroupView,
        NetworkView,
        PortView,
        RouterPortView,
        RouterView,
        UplinkView,
    )

__all__ = ["Change", "VirtualTopology"]

_View = TypeVar("_View")
_Kind = TypeVar("_Kind", Network, Subnet, Router, RouterPort, VmPort, Rule, Uplink)


class Change(NamedTuple):
    """One item that came, changed or went.

    Attributes:
        kind: its class.
        name: its name.
        item: as it is now; None when it is gone.
    """

    kind: type[Item]
    name: str
    item: Item | None


@dataclass(frozen=True, slots=True)
class VirtualTopology:
    """A snapshot of everything; :meth:`apply` makes the next one.

    Attributes:
        complete: whether the state database has been read in full once; while it has not, what is
            not known is waited for instead of refused.
        items: everything, by class and name.
        ports: VM ports by name.
        by_key: VM ports and uplinks by key.
        networks: by name.
        router_ports: by name.
        routers: by name; provider routers too.
        groups: security groups by name.
        uplinks: by name.
        children: for each (class, name), who refers to it: an index for :meth:`apply`.
    """

    complete: bool = False
    items: Mapping[type[Item], Mapping[str, Item]] = field(default_factory=dict)
    ports: Mapping[str, PortView] = field(default_factory=dict)
    by_key: Mapping[int, PortView | UplinkView] = field(default_factory=dict)
    networks: Mapping[str, NetworkView] = field(default_factory=dict)
    router_ports: Mapping[str, RouterPortView] = field(default_factory=dict)
    routers: Mapping[str, RouterView] = field(default_factory=dict)
    groups: Mapping[str, GroupView] = field(default_factory=dict)
    uplinks: Mapping[str, UplinkView] = field(default_factory=dict)
    children: Mapping[tuple[type[Item], str], frozenset[tuple[type[Item], str]]] = field(default_factory=dict)

    @property
    def gateways(self) -> GatewaySet | None:
        """The gateways' record."""
        found = next(iter(self.items.get(GatewaySet, {}).values()), None)
        return found if isinstance(found, GatewaySet) else None

    def host(self, name: str) -> Host | None:
        """A host's record."""
        found = self.items.get(Host, {}).get(name)
        return found if isinstance(found, Host) else None

    def peers(self, one: str, other: str) -> bool:
        """Whether two tenants may reach each other through the provider router."""
        return bool(self.children.get((Peering, _pair(one, other))))

    def apply(self, changes: Iterable[Change]) -> tuple[VirtualTopology, frozenset[str]]:
        """The topology after some changes, and the tags of all that is not as it was."""
        return _Step(self).run(changes)

    @classmethod
    def of(cls, items: Iterable[Item]) -> VirtualTopology:
        """A complete topology of these items."""
        made, _ = cls(complete=True).apply(Change(type(item), item.name, item) for item in items)
        return made

    def completed(self) -> VirtualTopology:
        """The same, known to be all there is."""
        return replace(self, complete=True)


def _pair(one: str, other: str) -> str:
    return ":".join(sorted((one, other)))


def _parents(item: Item) -> tuple[tuple[type[Item], str], ...]:
    """The items whose views are made from this one."""
    refs: tuple[tuple[type[Item], str], ...] = ()
    match item:
        case Subnet():
            refs = ((Network, item.network),)
        case RouterPort():
            refs = ((Network, item.network), (Router, item.router))
        case VmPort():
            refs = ((Network, item.network), *((Group, group) for group in item.groups))
        case Rule():
            refs = ((Group, item.group),)
        case Router() if item.provider:
            refs = ((Router, item.provider),)
        case Uplink():
            refs = ((Router, item.router),)
        case Peering():
            refs = ((Peering, _pair(*item.tenants)),)
    return refs


class _Step:
    """The making of the next topology from the last one; used once."""

    def __init__(self, old: VirtualTopology) -> None:
        self.old = old
        self.items = dict(old.items)
        self.copied: dict[type[Item], dict[str, Item]] = {}
        self.children = dict(old.children)
        self.ports, self.by_key = dict(old.ports), dict(old.by_key)
        self.router_ports, self.uplinks = dict(old.router_ports), dict(old.uplinks)
        self.networks, self.routers, self.groups = dict(old.networks), dict(old.routers), dict(old.groups)
        self.dirty: dict[type[Item], set[str]] = {Network: set(), Router: set(), Group: set()}
        self.tags: set[str] = set()

    def run(self, changes: Iterable[Change]) -> tuple[VirtualTopology, frozenset[str]]:
        for change in changes:
            self._take(change)
        self._networks()
        self._routers()
        self._groups()
        made = VirtualTopology(
            self.old.complete,
            {kind: known for kind, known in self.items.items() if known},
            self.ports,
            self.by_key,
            self.networks,
            self.router_ports,
            self.routers,
            self.groups,
            self.uplinks,
            self.children,
        )
        return made, frozenset(self.tags)

    def _take(self, change: Change) -> None:
        kind, name, item = change
        old = self.items.get(kind, {}).get(name)
        if old == item:
            return
        if kind not in self.copied:
            self.items[kind] = self.copied[kind] = dict(self.items.get(kind, {}))
        _put(self.copied[kind], name, item)
        for ref in _parents(old) if old is not None else ():
            left = self.children[ref] - {(kind, name)}
            if left:
                self.children[ref] = left
            else:
                del self.children[ref]
            self._soil(ref)
        for ref in _parents(item) if item is not None else ():
            self.children[ref] = self.children.get(ref, frozenset()) | {(kind, name)}
            self._soil(ref)
        self._soil((kind, name))
        self._leaf(kind, name, item)

    def _soil(self, ref: tuple[type[Item], str]) -> None:
        if ref[0] in self.dirty:
            self.dirty[ref[0]].add(ref[1])
        elif ref[0] is Peering:
            self.tags.add(f"peering:{ref[1]}")

    def _leaf(self, kind: type[Item], name: str, item: Item | None) -> None:
        """Views that are made of one item alone."""
        if kind is VmPort:
            port = build.build_port(item) if isinstance(item, VmPort) else None
            self.tags.update(diff.port_tags(name, self.ports.get(name), port))
            self._rekey(self.ports.get(name), port)
            _put(self.ports, name, port)
        elif kind is Uplink:
            uplink = build.build_uplink(item) if isinstance(item, Uplink) else None
            self.tags.update(diff.uplink_tags(name, self.uplinks.get(name), uplink))
            self._rekey(self.uplinks.get(name), uplink)
            _put(self.uplinks, name, uplink)
        elif kind is RouterPort:
            made = build.build_router_port(item) if isinstance(item, RouterPort) else None
            self.tags.add(f"rport:{name}")
            _put(self.router_ports, name, made)
        elif kind is Host:
            self.tags.add(f"host:{name}")
        elif kind is GatewaySet:
            self.tags.add("gateways")

    def _rekey(self, old: PortView | UplinkView | None, new: PortView | UplinkView | None) -> None:
        if old is not None and self.by_key.get(old.key) is old:
            del self.by_key[old.key]
        if new is not None:
            self.by_key[new.key] = new

    def _of(self, ref: tuple[type[Item], str], kind: type[_Kind]) -> tuple[_Kind, ...]:
        """The items of a class that refer to another one, in order of name."""
        names = sorted(name for child, name in self.children.get(ref, ()) if child is kind)
        found = (self.items[kind][name] for name in names)
        return tuple(item for item in found if isinstance(item, kind))

    def _networks(self) -> None:
        for name in self.dirty[Network]:
            ref: tuple[type[Item], str] = (Network, name)
            item = self.items.get(Network, {}).get(name)
            router_ports = self._of(ref, RouterPort)
            for router_port in router_ports:
                self.dirty[Router].add(router_port.router)
            made = None
            if isinstance(item, Network):
                ports = [self.ports[port.name] for port in self._of(ref, VmPort)]
                gateways = [(port, self.router_ports[port.name]) for port in router_ports]
                made = build.build_network(item, ports, self._of(ref, Subnet), gateways)
            self.tags.update(diff.network_tags(name, self.networks.get(name), made))
            _put(self.networks, name, made)

    def _routers(self) -> None:
        above: set[str] = set()
        for name in self.dirty[Router]:
            item = self.items.get(Router, {}).get(name)
            for router in (item, self.old.items.get(Router, {}).get(name)):
                if isinstance(router, Router):
                    above.add(router.provider or name)
            if not isinstance(item, Router) or item.tenant:
                self._router(name, item if isinstance(item, Router) else None)
        # Provider routers last: their routes are made of the tenants' routers.
        for name in sorted(above):
            item = self.items.get(Router, {}).get(name)
            if isinstance(item, Router) and not item.tenant:
                ref: tuple[type[Item], str] = (Router, name)
                tenants = [self.routers[router.name] for router in self._of(ref, Router) if router.tenant]
                uplinks = [self.uplinks[uplink.name] for uplink in self._of(ref, Uplink)]
                self._put_router(name, build.build_provider_routes(item, tenants, uplinks))

    def _router(self, name: str, item: Router | None) -> None:
        made = None
        if item is not None:
            ports = [
                (port, self.router_ports[port.name], self._of((Network, port.network), Subnet))
                for port in self._of((Router, name), RouterPort)
            ]
            made = build.build_router(item, ports)
        self._put_router(name, made)

    def _put_router(self, name: str, made: RouterView | None) -> None:
        self.tags.update(diff.router_tags(name, self.routers.get(name), made))
        _put(self.routers, name, made)

    def _groups(self) -> None:
        for name in self.dirty[Group]:
            ref: tuple[type[Item], str] = (Group, name)
            made = None
            if name in self.items.get(Group, {}):
                ports = [self.ports[port.name] for port in self._of(ref, VmPort)]
                made = build.build_group(name, self._of(ref, Rule), ports)
            self.tags.update(diff.group_tags(name, self.groups.get(name), made))
            _put(self.groups, name, made)


def _put(views: dict[str, _View], name: str, view: _View | None) -> None:
    if view is None:
        views.pop(name, None)
    else:
        views[name] = view
