"""Small virtual worlds for tests: a few tenants, VMs and hosts; packets are sent from end to end."""

from __future__ import annotations

import random
import struct
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import TYPE_CHECKING

from labctl.overlay.config.model import Direction, Group, Host, HostKind, Item, VmPort
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
from labctl.overlay.flow import FROM_TUNNEL, Answer, Drop, Forward, ToPort, ToTunnel
from labctl.overlay.packet import (
    ICMP,
    ICMP6,
    IP4,
    IP6,
    TCP,
    UDP,
    address_bytes,
    ethernet,
    ipv4,
    ipv6,
    is_ipv4,
    mac_bytes,
    parse,
)
from labctl.overlay.simulation.engine import simulate
from labctl.overlay.simulation.topology import VirtualTopology

if TYPE_CHECKING:
    from collections.abc import Iterable

    from labctl.overlay.flow import ConnKey, Decision, Packet

COMPUTES = ("compute1", "compute2")
GATEWAYS = ("gw1", "gw2")
OUTSIDE4, OUTSIDE6 = "192.0.2.7", "2001:db8::7"


def address(text: str) -> bytes:
    return address_bytes(ip_address(text))


def start() -> Edit:
    """Hosts, gateways and the provider router; no tenant yet."""
    edit = Edit(State())
    plan_base(edit, ip_address("198.18.255.1"))
    for number, name in enumerate(COMPUTES, 1):
        plan_host(edit, name, HostKind.COMPUTE, ip_address(f"198.18.0.{number}"))
    for number, name in enumerate(GATEWAYS, 1):
        plan_host(edit, name, HostKind.GATEWAY, ip_address(f"198.18.1.{number}"))
    return edit


def two_tenants() -> Edit:
    """t1 and t2, each with two VMs, one a host; and a second network of t1 with one VM."""
    edit = start()
    for tenant in ("t1", "t2"):
        plan_tenant(edit, tenant)
        plan_network(edit, tenant, f"{tenant}-net", PrefixPools())
        for number, host in enumerate(COMPUTES, 1):
            plan_vm(edit, VmSpec(f"{tenant}-vm{number}", f"{tenant}-net", host))
    plan_network(edit, "t1", "t1-db", PrefixPools())
    plan_vm(edit, VmSpec("t1-vm3", "t1-db", "compute2"))
    return edit


def random_world(seed: int, *, with_ports: bool = False) -> Edit:
    """A world of one to three tenants whose rules, peerings and places are anything.

    Args:
        seed: what it is made of.
        with_ports: whether rules may be about port numbers too.
    """
    dice = random.Random(seed)
    edit = start()
    tenants = [f"t{n}" for n in range(1, dice.randint(1, 3) + 1)]
    for tenant in tenants:
        plan_tenant(edit, tenant)
        for n in range(dice.randint(0, 2)):
            plan_group(edit, tenant, f"{tenant}-g{n}", random_rules(dice, tenant, with_ports=with_ports))
        for n in range(1, dice.randint(1, 2) + 1):
            plan_network(edit, tenant, f"{tenant}-n{n}", PrefixPools())
            for v in range(1, dice.randint(1, 3) + 1):
                groups = [f"{tenant}-g{g}" for g in range(2) if f"{tenant}-g{g}" in group_names(edit)]
                chosen = tuple(dice.sample(groups, dice.randint(0, len(groups))))
                host = dice.choice((*COMPUTES, *COMPUTES, ""))
                plan_vm(edit, VmSpec(f"{tenant}-n{n}-vm{v}", f"{tenant}-n{n}", host, groups=chosen))
    if len(tenants) > 1 and dice.random() < 0.3:
        plan_peering(edit, *dice.sample(tenants, 2))
    return edit


def group_names(edit: Edit) -> set[str]:

    return {group.name for group in edit.all(Group)}


def random_rules(dice: random.Random, tenant: str, *, with_ports: bool = False) -> list[RuleSpec]:
    return [
        RuleSpec(
            dice.choice(list(Direction)),
            dice.choice(("tcp", "udp") if with_ports else ("any", "icmp", "tcp", "udp")),
            dice.choice(("", "80", "50-5000")) if with_ports else "",
            dice.choice(("", "10.128.0.0/16", "192.0.2.0/24", "::/0", f"{tenant}-default")),
        )
        for _ in range(dice.randint(0, 3))
    ]


def frame(
    smac: bytes,
    dmac: bytes,
    src: bytes,
    dst: bytes,
    *,
    proto: int = UDP,
    ports: tuple[int, int] = (1000, 2000),
    ttl: int = 64,
    size: int = 20,
) -> bytes:
    """An Ethernet frame with an IP packet; for ICMP the ports are type and identifier of an echo."""
    four = is_ipv4(src)
    if proto in (ICMP, ICMP6):
        proto = ICMP if four else ICMP6
        body = struct.pack("!BBHHH", ports[0], 0, 0, ports[1], 1) + bytes(size)
    elif proto == TCP:
        body = struct.pack("!HHIIBBHHH", *ports, 0, 0, 0x50, 2, 0, 0, 0) + bytes(size)
    else:
        body = struct.pack("!HHHH", *ports, 8 + size, 0) + bytes(size)
    packet = (ipv4 if four else ipv6)(src, dst, proto, body, ttl=ttl)
    return ethernet(dmac, smac, IP4 if four else IP6, packet)


@dataclass
class World:
    """A topology, and every host's table of connections."""

    topology: VirtualTopology
    conns: dict[str, set[ConnKey]] = field(default_factory=dict)
    entered: list[tuple[str, Decision]] = field(default_factory=list)

    @classmethod
    def of(cls, items: Iterable[Item]) -> World:
        return cls(VirtualTopology.of(items))

    def vm(self, name: str) -> VmPort:
        return self.topology.ports[name].item

    def decide(self, host: str, raw: bytes | Packet, ingress: int, *, explain: bool = False) -> Decision:
        known = self.conns.setdefault(host, set())
        packet = parse(raw) if isinstance(raw, bytes) else raw
        return simulate(self.topology, host, packet, ingress, known.__contains__, explain=explain)

    def send(self, host: str, raw: bytes, ingress: int) -> tuple[str, bytes] | None:
        """Where a packet comes out, and how; None if it does not. Only for packets to one receiver."""
        self.entered.append((host, decision := self.decide(host, raw, ingress)))
        if not isinstance(decision, Forward) or len(decision.outputs) != 1:
            return None
        self.conns[host].update(decision.conns)
        moved = rewrite(raw, decision)
        output = decision.outputs[0]
        if isinstance(output, ToPort):
            return output.port, moved
        return self.send(self.host_at(output), moved, FROM_TUNNEL | output.key)

    def host_at(self, output: ToTunnel) -> str:
        if output.remote == "198.18.255.1":
            return GATEWAYS[0]

        hosts = self.topology.items[Host].values()
        return next(
            host.name for host in hosts if isinstance(host, Host) and str(host.tunnel) == output.remote
        )

    def from_vm(self, name: str, raw: bytes) -> tuple[str, bytes] | None:
        vm = self.vm(name)
        return self.send(vm.host, raw, vm.key)

    def from_outside(self, raw: bytes, gateway: str = GATEWAYS[0]) -> tuple[str, bytes] | None:
        return self.send(gateway, raw, self.topology.uplinks["uplink"].key)

    def reason(self) -> str:
        """Why the last packet ended."""
        decision = self.entered[-1][1]
        return decision.reason if isinstance(decision, Drop) else getattr(decision, "what", "")

    def mac_towards(self, name: str, dst: bytes) -> bytes:
        """The MAC that a VM sends to: of the receiver on its own network, else of its router."""
        vm = self.vm(name)
        network = self.topology.networks[vm.network]
        owner = network.ips.get(dst)
        return owner.mac if owner is not None else network.gateways[0].mac

    def request(self, name: str, dst: bytes, **what: object) -> bytes:
        """A packet as an honest VM would send it."""
        vm = self.vm(name)
        src = next(address_bytes(a) for a in vm.addresses if is_ipv4(address_bytes(a)) == is_ipv4(dst))
        return frame(mac_bytes(vm.mac), self.mac_towards(name, dst), src, dst, **what)  # type: ignore[arg-type]

    def inwards(self, dst: bytes, **what: object) -> bytes:
        """A packet as a gateway's kernel hands it in."""
        uplink = self.topology.uplinks["uplink"]
        src = address(OUTSIDE4 if is_ipv4(dst) else OUTSIDE6)
        return frame(uplink.kernel_mac, uplink.mac, src, dst, **what)  # type: ignore[arg-type]

    def address(self, name: str, version: int = 4) -> bytes:
        return next(address_bytes(a) for a in self.vm(name).addresses if a.version == version)


def rewrite(raw: bytes, decision: Forward) -> bytes:
    """What the datapath does to a frame (checksums left as they are)."""
    moved = bytearray(decision.dmac + decision.smac + raw[12:])
    moved[22 if raw[12:14] == b"\x08\x00" else 21] -= decision.ttl_decrement
    return bytes(moved)


def essence(decision: Decision) -> tuple[object, ...]:
    """A decision without the reasons for it."""
    if isinstance(decision, Forward):
        return (
            decision.outputs,
            decision.dmac,
            decision.smac,
            decision.ttl_decrement,
            decision.mtu,
            decision.conns,
        )
    if isinstance(decision, Answer):
        return (decision.frames, decision.what)
    if isinstance(decision, Drop):
        return (decision.reason,)
    return (decision.waits_for,)
