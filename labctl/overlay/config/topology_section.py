"""The ``overlay:`` section of a topology, and the nodes that it is about, to model items.

Told in docs/overlay.md. What is planned here is what a fresh state database begins with. The shape of the
section (keys, types, prefixes) was checked when the topology was loaded, by the models of
:mod:`labctl.load.schema`; inside nodes, where neither they nor pydantic are, it is taken as it comes. What
only planning can tell is told with the path of what is wrong.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from difflib import get_close_matches
from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING, Any

from labctl.errors import InputError, Problem
from labctl.overlay.config.check import breaches
from labctl.overlay.config.codec import class_name
from labctl.overlay.config.model import Direction, Group, HostKind, Item, Network, Tenant
from labctl.overlay.config.plan import (
    PrefixPools,
    RuleSpec,
    VmSpec,
    plan_base,
    plan_group,
    plan_host,
    plan_network,
    plan_peering,
    plan_rule,
    plan_tenant,
    plan_vm,
    ports_of,
    protocol_of,
    remote_of,
)
from labctl.overlay.config.state import Edit, State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from labctl.overlay.config.model import Address

    Path = tuple[str | int, ...]

__all__ = [
    "HostFact",
    "LabFacts",
    "SectionError",
    "SectionFault",
    "Underlay",
    "VmFact",
    "plan_overlay",
    "pools_of",
    "underlay_of",
]


@dataclass(frozen=True, slots=True)
class Underlay:
    """What tunnels go over.

    Attributes:
        version: of IP.
        anycast: the gateways' common address where the section names none.
        overhead: bytes that a tunnel takes of a link's MTU: inner Ethernet 14, VXLAN 8, UDP 8, and
            IPv4 20 or IPv6 40.
    """

    version: int
    anycast: str
    overhead: int


_UNDERLAYS = {
    # Of the ranges that RFC 2544 and RFC 5180 set aside for measuring.
    "ipv4": Underlay(4, "198.18.255.1", 50),
    "ipv6": Underlay(6, "2001:2::ffff:1", 70),
}
_LINK_MTU = 1500
_LISTED = 12
"""So many known names are listed in a hint."""


def underlay_of(section: Mapping[str, Any]) -> Underlay:
    """What the section says of it, or its anycast address does; IPv4 if neither says anything."""
    named = section.get("underlay") or ("ipv6" if ":" in str(section.get("anycast", "")) else "ipv4")
    return _UNDERLAYS.get(str(named), _UNDERLAYS["ipv4"])


@dataclass(frozen=True, slots=True)
class HostFact:
    """A node that runs an agent.

    Attributes:
        name: of the node.
        kind: ``compute`` or ``gateway``.
        tunnel: its loopback address in the underlay; empty if it has none of that version.
    """

    name: str
    kind: str
    tunnel: str


@dataclass(frozen=True, slots=True)
class VmFact:
    """A node that is a VM.

    Attributes:
        name: of the node, and of its port.
        host: the compute node that it is linked to.
        network: where it is.
        mac: of its interface.
        groups: security groups; empty for the tenant's default one.
    """

    name: str
    host: str
    network: str
    mac: str = ""
    groups: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LabFacts:
    """What the lab's nodes say.

    Attributes:
        hosts: in topology order.
        vms: in topology order.
        link_mtu: the smallest of the underlay's links, bytes of IP packet; 0 if not known.
    """

    hosts: tuple[HostFact, ...] = ()
    vms: tuple[VmFact, ...] = ()
    link_mtu: int = 0

    @classmethod
    def parse(cls, plain: Mapping[str, Any]) -> LabFacts:
        """Read ``{"hosts": [{...}], "vms": [{...}], "link_mtu": N}``; what else there is, is ignored."""
        hosts = tuple(HostFact(**host) for host in plain.get("hosts", ()))
        vms = tuple(VmFact(**{**vm, "groups": tuple(vm.get("groups", ()))}) for vm in plain.get("vms", ()))
        return cls(hosts, vms, int(plain.get("link_mtu", 0)))


@dataclass(frozen=True, slots=True)
class SectionFault:
    """One thing wrong with a section, or with a node that it is about.

    Attributes:
        path: keys and indices from the section's root; ``("hosts", NODE)`` and ``("vms", NODE, ...)`` lead
            to a node, and to a key of it.
        message: what is wrong.
        hint: the nearest valid name, or the fix; empty without one.
    """

    path: Path
    message: str
    hint: str = ""


class SectionError(InputError):
    """A section cannot be planned; every fault with its path."""

    def __init__(self, faults: Iterable[SectionFault]) -> None:
        self.faults = tuple(faults)
        super().__init__(
            Problem("overlay", 0, 0, f"{'.'.join(map(str, fault.path))}: {fault.message}", fault.hint)
            for fault in self.faults
        )


class _Plan(Edit):
    """A change in the making that knows where in the section each of its items comes from."""

    def __init__(self) -> None:
        super().__init__(State())
        self.faults: list[SectionFault] = []
        self._path: Path = ()
        self._origins: dict[tuple[type[Item], str], Path] = {}

    def put(self, *items: Item) -> None:
        """Add items, or replace those of the same class and name."""
        for item in items:
            self._origins.setdefault((type(item), item.name), self._path)
        super().put(*items)

    def wrong(self, path: Path, message: str, hint: str = "") -> None:
        """Note a fault."""
        self.faults.append(SectionFault(path, message, hint))

    def attempt(self, path: Path, action: Callable[..., object], *args: object, **options: object) -> bool:
        """Do something for what stands at ``path``; whether nothing was wrong with it."""
        self._path = path
        try:
            action(*args, **options)
        except InputError as error:
            self.faults += [SectionFault(path, each.message, each.hint) for each in error.problems]
            return False
        return True

    def refers(self, path: Path, kind: type[Item], name: str) -> bool:
        """Whether there is an item of that name; if not, that is a fault of what stands at ``path``."""
        if self.has(kind, name):
            return True
        known = sorted(item.name for item in self.items() if isinstance(item, kind))
        near = get_close_matches(name, known, 1)
        listed = f"known: {', '.join(known)}" if 0 < len(known) <= _LISTED else ""
        hint = f"did you mean {near[0]!r}?" if near else listed
        self.wrong(path, f"there is no {class_name(kind)} {name!r}", hint)
        return False

    def broken_rules(self) -> Iterator[SectionFault]:
        """The rules of the model that the whole breaks, each where its item comes from."""
        for breach in breaches(self.items()):
            path = self._origins.get((type(breach.item), breach.item.name), ())
            # A fault of a node's own is the same for all nodes of a range; others name the item.
            yield SectionFault(path, breach.text if path[:1] in _OF_NODES else str(breach))


_OF_NODES = (("hosts",), ("vms",))


def plan_overlay(section: Mapping[str, Any], facts: LabFacts) -> tuple[Item, ...]:
    """Everything that a fresh state database holds; the same for the same arguments.

    Args:
        section: the ``overlay:`` section as plain values, its shape checked.
        facts: what the lab's nodes say.

    Raises:
        SectionError: with every fault of the section, or every rule of the model that it breaks.
    """
    plan = _Plan()
    pools, underlay = pools_of(section), underlay_of(section)
    anycast = ip_address(str(section.get("anycast") or underlay.anycast))
    _check_anycast(plan, anycast, underlay, pools, facts)
    plan.attempt(("anycast",), plan_base, plan, anycast, mtu=pools.mtu)
    if facts.link_mtu and pools.mtu + underlay.overhead > facts.link_mtu:
        most = facts.link_mtu - underlay.overhead
        tunnel = f"tunnels over IPv{underlay.version} take {underlay.overhead} bytes"
        plan.wrong(
            ("mtu",),
            f"an MTU of {pools.mtu} does not fit links of {facts.link_mtu}: {tunnel}",
            f"{most} would",
        )
    for host in facts.hosts:
        if not host.tunnel:
            plan.wrong(("hosts", host.name), f"it has no IPv{underlay.version} address for tunnels")
            continue
        kind, tunnel_address = HostKind(host.kind), ip_address(host.tunnel)
        plan.attempt(("hosts", host.name), plan_host, plan, host.name, kind, tunnel_address)
    _tenants(plan, section, pools)
    for vm in facts.vms:
        _vm(plan, vm)
    faults = plan.faults or list(plan.broken_rules())
    if faults:
        raise SectionError(faults)
    return tuple(plan.items())


def _check_anycast(
    plan: _Plan, address: Address, underlay: Underlay, pools: PrefixPools, facts: LabFacts
) -> None:
    path = ("anycast",)
    if address.version != underlay.version:
        plan.wrong(
            path, f"anycast address {address} is no IPv{underlay.version} address, as the underlay's are"
        )
    elif address.is_multicast or address.is_unspecified or address.is_loopback or address.is_link_local:
        plan.wrong(path, f"anycast address {address} is no address that can be routed to")
    elif address in (pools.ipv4 if isinstance(address, IPv4Address) else pools.ipv6):
        plan.wrong(path, f"anycast address {address} lies among the networks' own addresses")
    else:
        holder = next((host.name for host in facts.hosts if host.tunnel == str(address)), "")
        if holder:
            plan.wrong(path, f"anycast address {address} is {holder}'s own address")


def pools_of(section: Mapping[str, Any]) -> PrefixPools:
    """Where the networks of a lab get their prefixes, and their MTU."""
    base = PrefixPools()
    return PrefixPools(
        IPv4Network(str(section.get("ipv4") or base.ipv4)),
        IPv6Network(str(section.get("ipv6") or base.ipv6)),
        int(section.get("mtu") or _LINK_MTU - underlay_of(section).overhead),
    )


def _tenants(plan: _Plan, section: Mapping[str, Any], pools: PrefixPools) -> None:
    named: Mapping[str, Any] = section.get("tenants") or {}
    counted = [f"t{n}" for n in range(1, (section.get("networks") or 0) + 1)]
    for name in dict.fromkeys((*counted, *named)):
        _tenant(plan, name, named.get(name) or {}, pools)
    for name, tenant in named.items():
        for index, peer in enumerate((tenant or {}).get("peers") or ()):
            path = ("tenants", name, "peers", index)
            if plan.refers(path, Tenant, peer):
                plan.attempt(path, plan_peering, plan, name, peer)


def _tenant(plan: _Plan, name: str, given: Mapping[str, Any], pools: PrefixPools) -> None:
    path: Path = ("tenants", name)
    plan.attempt(path, plan_tenant, plan, name)
    networks: Mapping[str, Any] = given.get("networks") or {f"{name}-net": None}
    for network, options in networks.items():
        own = options or {}
        prefixes = [ip_network(str(own[key])) for key in ("ipv4", "ipv6") if own.get(key) is not None]
        dns = [ip_address(str(address)) for address in own.get("dns") or ()]
        where = (*path, "networks", network)
        plan.attempt(where, plan_network, plan, name, network, pools, prefixes=prefixes, dns=dns)
    for group, rules in (given.get("groups") or {}).items():
        where = (*path, "groups", group)
        if plan.attempt(where, plan_group, plan, name, group, ()):
            for index, rule in enumerate(rules):
                _rule(plan, (*where, index), group, rule)


def _rule(plan: _Plan, path: Path, group: str, given: Mapping[str, Any]) -> None:
    allow = Direction(given["allow"])
    own, other = ("from", "to") if allow is Direction.IN else ("to", "from")
    if given.get(other) is not None:
        plan.wrong((*path, other), f"a rule that allows {allow} has no {other!r}", f"known: {own}")
        return
    proto, ports, remote = given.get("proto", "any"), given.get("ports", ""), given.get(own) or ""
    spec = RuleSpec(allow, str(proto), str(ports), str(remote))
    sound = [
        plan.attempt((*path, "proto"), protocol_of, spec.proto),
        plan.attempt((*path, "ports"), ports_of, replace(spec, proto="any")),
        plan.attempt((*path, own), remote_of, plan, spec.remote),
    ]
    if all(sound):
        plan.attempt(path, plan_rule, plan, group, spec)


def _vm(plan: _Plan, vm: VmFact) -> None:
    path: Path = ("vms", vm.name)
    sound = [plan.refers((*path, "groups"), Group, group) for group in vm.groups]
    if plan.refers((*path, "network"), Network, vm.network) and all(sound):
        plan.attempt(path, plan_vm, plan, VmSpec(vm.name, vm.network, vm.host, vm.mac, vm.groups))
