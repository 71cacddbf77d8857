"""Names, addresses, MACs and keys of what a user asks for in a few words; the same for the same words.

All functions work on an :class:`~labctl.overlay.config.state.Edit`, so that a whole environment is one
transaction, made on what is there already.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from typing import TYPE_CHECKING

from labctl.errors import InputError, Problem
from labctl.overlay.config.model import (
    Direction,
    GatewaySet,
    Group,
    Host,
    HostKind,
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
from labctl.overlay.packet import address_of, link_local, mac_bytes, mac_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from ipaddress import IPv4Address, IPv6Address

    from labctl.overlay.config.model import Address
    from labctl.overlay.config.state import Edit

__all__ = [
    "GATEWAYS",
    "PROVIDER",
    "UPLINK",
    "PrefixPools",
    "RuleSpec",
    "VmSpec",
    "default_group",
    "plan_base",
    "plan_group",
    "plan_host",
    "plan_network",
    "plan_peering",
    "plan_rule",
    "plan_tenant",
    "plan_vm",
    "ports_of",
    "protocol_of",
    "remote_of",
]

PROVIDER, UPLINK, GATEWAYS = "provider", "uplink", "gateways"
_PROTOCOLS = {"any": 0, "icmp": 1, "tcp": 6, "udp": 17, "sctp": 132}
_ICMP, _ICMP6 = 1, 58
_FIRST_VM = 10
"""The tenth address of a subnet is the first VM's: the first ones are for routers."""
_SUBNET4, _SUBNET6 = 24, 64
_POOL4, _POOL6 = IPv4Network("10.128.0.0/10"), IPv6Network("fd6c:6162::/40")
_V4, _V6 = 4, 6


@dataclass(frozen=True, slots=True)
class PrefixPools:
    """Where new networks get their prefixes, and what tunnels leave of the MTU.

    Attributes:
        ipv4: a /24 is taken for each network.
        ipv6: a /64 is taken for each network.
        mtu: of networks, bytes: by default 1500 less Ethernet, VXLAN, UDP and IPv4 headers.
    """

    ipv4: IPv4Network = _POOL4
    ipv6: IPv6Network = _POOL6
    mtu: int = 1450


@dataclass(frozen=True, slots=True)
class RuleSpec:
    """What a user says of a rule.

    Attributes:
        allow: direction of the first packet.
        proto: ``any``, ``icmp``, ``tcp``, ``udp``, ``sctp`` or a number.
        ports: ``80``, ``8000-8100`` or empty for any.
        remote: a prefix, the name of a group, or empty for anybody.
    """

    allow: Direction
    proto: str = "any"
    ports: str = ""
    remote: str = ""


@dataclass(frozen=True, slots=True)
class VmSpec:
    """What a user says of a VM.

    Attributes:
        name: of its port.
        network: where.
        host: compute node; empty while it runs nowhere.
        mac: empty for a planned one.
        groups: security groups; empty for the tenant's default one.
        addresses: empty for planned ones.
    """

    name: str
    network: str
    host: str = ""
    mac: str = ""
    groups: tuple[str, ...] = ()
    addresses: tuple[Address, ...] = ()


def _refuse(message: str, hint: str = "") -> InputError:
    return InputError([Problem("overlay", 0, 0, message, hint)])


def _named_mac(name: str) -> str:
    """A locally administered MAC that only depends on a name."""
    return mac_text(b"\x02\x6d" + hashlib.blake2b(name.encode(), digest_size=4).digest())


def _keyed_mac(key: int) -> str:
    return mac_text(b"\x02\x6c" + key.to_bytes(4, "big"))


def default_group(tenant: str) -> str:
    """Name of the security group of VMs that name none."""
    return f"{tenant}-default"


def plan_base(edit: Edit, anycast: Address, *, mtu: int = 1450) -> None:
    """The provider router, its uplink and the gateways' record, unless they are there.

    Args:
        edit: is changed.
        anycast: the gateways' common underlay address.
        mtu: towards the gateways' kernels, bytes: no more than the networks' own, so that the
            kernel takes packets apart, or tells their sender, before they get here.
    """
    if not edit.has(Router, PROVIDER):
        edit.add(Router(PROVIDER))
    if not edit.has(Uplink, UPLINK):
        here, there = _named_mac(f"uplink:{UPLINK}"), _named_mac(f"kernel:{UPLINK}")
        edit.add(
            Uplink(
                UPLINK,
                edit.take_key(),
                PROVIDER,
                here,
                (IPv4Network("169.254.254.0/30")[1], IPv6Network("fd6c:6162:ffff::/64")[1]),
                there,
                (IPv4Network("169.254.254.0/30")[2], IPv6Network("fd6c:6162:ffff::/64")[2]),
                mtu,
            )
        )
    if not edit.has(GatewaySet, GATEWAYS):
        edit.add(GatewaySet(GATEWAYS, anycast))


def plan_host(edit: Edit, name: str, kind: HostKind, tunnel: Address) -> None:
    """A compute or gateway node; replaces what was said of it before."""
    edit.put(Host(name, kind, tunnel))


def plan_tenant(edit: Edit, name: str) -> None:
    """A tenant with a router to the outside and a default security group that lets all through.

    Who can reach a VM at all is decided by routing: no other tenant can.
    """
    edit.add(Tenant(name), Router(f"{name}-router", name, PROVIDER))
    plan_group(edit, name, default_group(name), [RuleSpec(Direction.OUT), RuleSpec(Direction.IN)])


def plan_group(edit: Edit, tenant: str, name: str, rules: Iterable[RuleSpec]) -> None:
    """A security group with rules; rules that say no version are made for both."""
    edit.add(Group(name, tenant))
    for rule in rules:
        plan_rule(edit, name, rule)


def plan_rule(edit: Edit, group: str, spec: RuleSpec) -> tuple[str, ...]:
    """A rule, once for each IP version that it can be about; the names of what was made."""
    edit.get(Group, group)
    made: list[str] = []
    for rule in _rules(edit, group, spec):
        edit.put(rule)
        made.append(rule.name)
    return tuple(made)


def _rules(edit: Edit, group: str, spec: RuleSpec) -> Iterable[Rule]:
    low, high = ports_of(spec)
    prefix, remote_group = remote_of(edit, spec.remote)
    for version in (_V4, _V6):
        if prefix is not None and prefix.version != version:
            continue
        proto = protocol_of(spec.proto)
        if proto == _ICMP and version == _V6:
            proto = _ICMP6
        said = f"{spec.allow}:{proto}:{low}:{high}:{prefix or remote_group}:{version}"
        name = f"{group}-{hashlib.blake2b(said.encode(), digest_size=4).hexdigest()}"
        yield Rule(name, group, spec.allow, version, proto, low, high, prefix, remote_group)


def protocol_of(text: str) -> int:
    """The number of a protocol of IP, by its name or itself; 0 for any.

    Raises:
        InputError: it is neither.
    """
    if text in _PROTOCOLS:
        return _PROTOCOLS[text]
    if text.isdecimal():
        return int(text)
    raise _refuse(f"{text!r} is no protocol", f"one of {', '.join(_PROTOCOLS)}, or a number")


def ports_of(spec: RuleSpec) -> tuple[int, int]:
    """Lowest and highest port of a rule, or type and code of ICMP; -1 for any.

    Raises:
        InputError: they are none.
    """
    if not spec.ports:
        return -1, -1
    low, _, high = spec.ports.partition("-")
    if not low.isdecimal() or (high and not high.isdecimal()):
        raise _refuse(f"{spec.ports!r} is no port or range of ports", "such as 80 or 8000-8100")
    if protocol_of(spec.proto) == _ICMP:
        return int(low), int(high) if high else -1
    return int(low), int(high or low)


def remote_of(edit: Edit, text: str) -> tuple[IPv4Network | IPv6Network | None, str]:
    """The prefix or the security group that a rule names; None and nothing for anybody.

    Raises:
        InputError: it names neither.
    """
    if not text or text == "any":
        return None, ""
    if edit.has(Group, text):
        return None, text
    for kind in (IPv4Network, IPv6Network):
        try:
            return kind(text), ""
        except ValueError:
            continue
    raise _refuse(f"{text!r} is neither a prefix nor a security group")


def plan_network(
    edit: Edit,
    tenant: str,
    name: str,
    pools: PrefixPools,
    *,
    prefixes: Sequence[IPv4Network | IPv6Network] = (),
    dns: Sequence[Address] = (),
) -> None:
    """A network with an IPv4 and an IPv6 subnet, joined to the tenant's router.

    Args:
        edit: is changed.
        tenant: owner; must be there.
        name: of the network.
        pools: where prefixes come from that are not given.
        prefixes: given ones, at most one of each version.
        dns: name servers told to the VMs.
    """
    edit.get(Tenant, tenant)
    given = {prefix.version: prefix for prefix in prefixes}
    taken = [subnet.prefix for subnet in edit.all(Subnet)]
    four = given.get(4) or _free(pools.ipv4, _SUBNET4, taken)
    six = given.get(6) or _free(pools.ipv6, _SUBNET6, taken)
    edit.add(Network(name, tenant, pools.mtu))
    for prefix in (four, six):
        servers = tuple(server for server in dns if server.version == prefix.version)
        edit.add(Subnet(f"{name}-ipv{prefix.version}", name, prefix, servers))
    router = f"{tenant}-router"
    edit.add(RouterPort(f"{name}-gw", router, name, _named_mac(f"router-port:{name}"), (four[1], six[1])))


def _free(
    pool: IPv4Network | IPv6Network, length: int, taken: Sequence[IPv4Network | IPv6Network]
) -> IPv4Network | IPv6Network:
    """The first prefix of a pool that overlaps none of those taken."""
    mine = [prefix for prefix in taken if prefix.version == pool.version and prefix.overlaps(pool)]
    step = pool.max_prefixlen - length
    base = int(pool.network_address) >> step
    numbers = {int(prefix.network_address) >> step for prefix in mine if prefix.prefixlen >= length}
    wide = [prefix for prefix in mine if prefix.prefixlen < length]
    for number in range(base, base + (1 << (length - pool.prefixlen))):
        if number in numbers:
            continue
        made = type(pool)((number << step, length))
        if not any(made.overlaps(prefix) for prefix in wide):
            return made
    raise _refuse(f"pool {pool} has no prefix of {length} bits left")


def plan_vm(edit: Edit, spec: VmSpec) -> VmPort:
    """A VM's port with planned MAC and addresses where none are given."""
    network = edit.get(Network, spec.network)
    key = edit.take_key()
    mac = spec.mac or _keyed_mac(key)
    subnets = [subnet.prefix for subnet in edit.all(Subnet) if subnet.network == network.name]
    addresses = spec.addresses or tuple(_address(edit, network.name, prefix, mac) for prefix in subnets)
    groups = spec.groups or (default_group(network.tenant),)
    port = VmPort(spec.name, key, network.name, mac, addresses, spec.host, groups)
    edit.add(port)
    return port


def _address(
    edit: Edit, network: str, prefix: IPv4Network | IPv6Network, mac: str
) -> IPv4Address | IPv6Address:
    """IPv6: what the VM will make of prefix and MAC; IPv4: the first one that is free."""
    if isinstance(prefix, IPv6Network):
        suffix = int(address_of(link_local(mac_bytes(mac)))) & ((1 << 64) - 1)
        return prefix[suffix]
    ports: list[VmPort | RouterPort] = [*edit.all(VmPort), *edit.all(RouterPort)]
    taken = {address for port in ports if port.network == network for address in port.addresses}
    first = _FIRST_VM if prefix.num_addresses > _FIRST_VM + 1 else 1
    for number in range(first, prefix.num_addresses - 1):
        if prefix[number] not in taken:
            return prefix[number]
    raise _refuse(f"subnet {prefix} of network {network!r} has no address left")


def plan_peering(edit: Edit, one: str, other: str) -> None:
    """Two tenants that reach each other; nothing happens if they do already."""
    pair = (min(one, other), max(one, other))
    edit.put(Peering(f"{pair[0]}.{pair[1]}", pair))
