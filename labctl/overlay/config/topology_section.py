"""The ``overlay:`` section of a topology, and the nodes that it is about, to model items.

Told in docs/overlay.md. What is planned here is what a fresh state database begins with.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING, Any

from labctl.errors import InputError, Problem
from labctl.overlay.config.model import Direction, HostKind, Item
from labctl.overlay.config.plan import (
    PrefixPools,
    RuleSpec,
    VmSpec,
    plan_base,
    plan_group,
    plan_host,
    plan_network,
    plan_peering,
    plan_tenant,
    plan_vm,
)
from labctl.overlay.config.state import Edit, State

if TYPE_CHECKING:
    from collections.abc import Callable

    from labctl.overlay.config.model import Address

__all__ = ["HostFact", "LabFacts", "Underlay", "VmFact", "plan_overlay", "pools_of", "underlay_of"]


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
_KEYS = ("underlay", "anycast", "ipv4", "ipv6", "mtu", "networks", "tenants")


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
        host: the compute node that it is cabled to.
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


@dataclass(slots=True)
class _Reader:
    """Reads the section; collects every problem before it gives up."""

    problems: list[Problem] = field(default_factory=list)

    def wrong(self, where: str, message: str, hint: str = "") -> None:
        self.problems.append(Problem("overlay", 0, 0, f"{where}: {message}" if where else message, hint))

    def known(self, where: str, given: object, keys: Sequence[str]) -> Mapping[str, Any]:
        """The value as a mapping with no other keys than these."""
        if given is None:
            return {}
        if not isinstance(given, Mapping):
            self.wrong(where, "expected a mapping")
            return {}
        for key in given:
            if str(key) not in keys:
                near = get_close_matches(str(key), keys, 1)
                self.wrong(where, f"unknown key {key!r}", f"did you mean {near[0]!r}?" if near else "")
        return given

    def named(self, where: str, given: object) -> Mapping[str, Any]:
        """The value as a mapping from names."""
        if given is None:
            return {}
        if isinstance(given, Mapping):
            return {str(name): value for name, value in given.items()}
        self.wrong(where, "expected a mapping from names")
        return {}

    def prefix(self, where: str, given: object, version: int) -> IPv4Network | IPv6Network | None:
        try:
            made = ip_network(str(given))
        except ValueError as error:
            self.wrong(where, str(error))
            return None
        if made.version != version:
            self.wrong(where, f"{made} is no IPv{version} prefix")
            return None
        return made

    def addresses(self, where: str, given: object) -> tuple[Address, ...]:
        found: list[Address] = []
        for one in given if isinstance(given, Sequence) and not isinstance(given, str) else (given,):
            try:
                found.append(ip_address(str(one)))
            except ValueError as error:
                self.wrong(where, str(error))
        return tuple(found)

    def attempt(self, action: Callable[..., object], *args: object, **options: object) -> None:
        """Do something; what is wrong with it is one more problem."""
        try:
            action(*args, **options)
        except InputError as error:
            self.problems.extend(error.problems)

    def number(self, where: str, given: object, least: int) -> int:
        if isinstance(given, int) and not isinstance(given, bool) and given >= least:
            return given
        self.wrong(where, f"expected a whole number of at least {least}, not {given!r}")
        return least


def plan_overlay(section: Mapping[str, Any], facts: LabFacts) -> tuple[Item, ...]:
    """Everything that a fresh state database holds; the same for the same arguments.

    Args:
        section: the ``overlay:`` section as plain YAML values.
        facts: what the lab's nodes say.

    Raises:
        InputError: with every problem of the section, or every rule of the model that it breaks.
    """
    reader = _Reader()
    top = reader.known("", section, _KEYS)
    edit = Edit(State())
    pools = _pools(reader, top)
    underlay = underlay_of(top)
    for address in reader.addresses("anycast", top.get("anycast", underlay.anycast)):
        _check_anycast(reader, address, underlay, pools, facts)
        plan_base(edit, address, mtu=pools.mtu)
    if facts.link_mtu and pools.mtu + underlay.overhead > facts.link_mtu:
        most = facts.link_mtu - underlay.overhead
        tunnel = f"tunnels over IPv{underlay.version} take {underlay.overhead} bytes"
        reader.wrong("mtu", f"{pools.mtu} does not fit links of {facts.link_mtu}, {tunnel}", f"{most} would")
    for host in facts.hosts:
        if not host.tunnel:
            reader.wrong(f"host {host.name}", f"it has no IPv{underlay.version} address for tunnels")
            continue
        for address in reader.addresses(f"host {host.name}", host.tunnel):
            plan_host(edit, host.name, HostKind(host.kind), address)
    _tenants(reader, edit, top, pools)
    for vm in facts.vms:
        reader.attempt(plan_vm, edit, VmSpec(vm.name, vm.network, vm.host, vm.mac, vm.groups))
    if reader.problems:
        raise InputError(reader.problems)
    edit.checked()
    return tuple(edit.items())


def _check_anycast(
    reader: _Reader, address: Address, underlay: Underlay, pools: PrefixPools, facts: LabFacts
) -> None:
    if address.version != underlay.version:
        reader.wrong("anycast", f"{address} is no IPv{underlay.version} address, as the underlay's are")
    elif address.is_multicast or address.is_unspecified or address.is_loopback or address.is_link_local:
        reader.wrong("anycast", f"{address} is no address that can be routed to")
    elif address in (pools.ipv4 if isinstance(address, IPv4Address) else pools.ipv6):
        reader.wrong("anycast", f"{address} lies among the networks' own addresses")
    else:
        holder = next((host.name for host in facts.hosts if host.tunnel == str(address)), "")
        if holder:
            reader.wrong("anycast", f"{address} is {holder}'s own address")


def pools_of(section: Mapping[str, Any]) -> PrefixPools:
    """Where further networks of a lab get their prefixes; the section was planned before."""
    return _pools(_Reader(), section)


def _pools(reader: _Reader, top: Mapping[str, Any]) -> PrefixPools:
    base = PrefixPools()
    four = reader.prefix("ipv4", top.get("ipv4", base.ipv4), 4)
    six = reader.prefix("ipv6", top.get("ipv6", base.ipv6), 6)
    return PrefixPools(
        four if isinstance(four, IPv4Network) else base.ipv4,
        six if isinstance(six, IPv6Network) else base.ipv6,
        reader.number("mtu", top.get("mtu", _LINK_MTU - underlay_of(top).overhead), 1280),
    )


def _tenants(reader: _Reader, edit: Edit, top: Mapping[str, Any], pools: PrefixPools) -> None:
    named = reader.named("tenants", top.get("tenants"))
    counted = [f"t{n}" for n in range(1, reader.number("networks", top.get("networks", 0), 0) + 1)]
    for name in dict.fromkeys((*counted, *named)):
        plan = reader.known(f"tenant {name}", named.get(name), ("networks", "groups", "peers"))
        networks = reader.named(f"tenant {name}: networks", plan.get("networks"))
        if not networks:
            networks = {f"{name}-net": None}
        reader.attempt(plan_tenant, edit, name)
        for network, given in networks.items():
            options = _network(reader, network, given)
            reader.attempt(plan_network, edit, name, network, pools, **options)
        for group, rules in reader.named(f"tenant {name}: groups", plan.get("groups")).items():
            specs = _rules(reader, f"group {group}", rules)
            reader.attempt(plan_group, edit, name, group, specs)
    for name, given in named.items():
        peers = given.get("peers", []) if isinstance(given, Mapping) else []
        if not isinstance(peers, list):
            reader.wrong(f"tenant {name}: peers", "expected a list of tenants")
            continue
        for peer in peers:
            plan_peering(edit, name, str(peer))


def _network(reader: _Reader, name: str, given: object) -> dict[str, object]:
    where = f"network {name}"
    plan = reader.known(where, given, ("ipv4", "ipv6", "dns"))
    prefixes = [
        prefix
        for key, version in (("ipv4", 4), ("ipv6", 6))
        if key in plan and (prefix := reader.prefix(where, plan[key], version)) is not None
    ]
    return {"prefixes": prefixes, "dns": reader.addresses(where, plan["dns"]) if "dns" in plan else ()}


def _rules(reader: _Reader, where: str, given: object) -> tuple[RuleSpec, ...]:
    if not isinstance(given, list):
        reader.wrong(where, "expected a list of rules")
        return ()
    found: list[RuleSpec] = []
    for rule in given:
        plan = reader.known(where, rule, ("allow", "proto", "ports", "from", "to"))
        allow = str(plan.get("allow", ""))
        if allow not in tuple(Direction):
            reader.wrong(where, f"allow is 'in' or 'out', not {allow!r}")
            continue
        other = "to" if allow == Direction.IN else "from"
        if other in plan:
            reader.wrong(where, f"a rule that allows {allow} has no {other!r}")
        remote = str(plan.get("from", plan.get("to", "")))
        found.append(
            RuleSpec(Direction(allow), str(plan.get("proto", "any")), str(plan.get("ports", "")), remote)
        )
    return tuple(found)
