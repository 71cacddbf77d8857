"""Any virtual topology, any packet, any change: the real kernel does what the simulation says."""

from __future__ import annotations

import random
import struct
from dataclasses import dataclass, field, replace
from functools import partial
from ipaddress import ip_address
from typing import TYPE_CHECKING

import pytest
from effort import examples
from fabric import Fabric
from hypothesis import HealthCheck, event, given, note
from hypothesis import strategies as st
from mutations import changes_between, mutate
from trialrun import built
from virtual import COMPUTES, OUTSIDE4, OUTSIDE6, address, frame, random_world

from labctl.overlay.agent.entries import entry_of, rewritten
from labctl.overlay.agent.preinstalled import prefixes
from labctl.overlay.agent.probe_packet import packet_of
from labctl.overlay.config.model import GatewaySet, Host, VmPort
from labctl.overlay.datapath.layout import ConnRequirement, DatapathAction, FlowEntry
from labctl.overlay.flow import FROM_TUNNEL, Answer, ConnKey, Drop, FlowKey, Forward, ToPort
from labctl.overlay.packet import BROADCAST, ICMP, IP4, IP6, TCP, UDP, address_of, is_ipv4, mac_bytes, parse
from labctl.overlay.simulation.engine import simulate
from labctl.overlay.simulation.topology import VirtualTopology

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fabric import Node

    from labctl.overlay.config.state import Edit
    from labctl.overlay.flow import Packet

pytestmark = [pytest.mark.netns, pytest.mark.slow]
HOSTS = (*COMPUTES, "gw1")
many = examples(40, HealthCheck.function_scoped_fixture)
UNDERLAY = {
    "compute1": ("198.18.0.1", "fd01::1"),
    "compute2": ("198.18.0.2", "fd01::2"),
    "gw1": ("198.18.1.1", "fd01::11", "198.18.255.1", "fd01::ff"),
}


@pytest.fixture(scope="module")
def fabric(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fabric]:
    made = Fabric("Kw", built(tmp_path_factory.mktemp("bpf")), UNDERLAY)
    yield made
    made.close()


@dataclass
class Model:
    """What the simulation alone says will happen."""

    topology: VirtualTopology
    drops: Callable[[str, FlowKey], bool]
    conns: dict[str, set[ConnKey]] = field(default_factory=lambda: {name: set() for name in HOSTS})
    held: set[tuple[str, FlowKey]] = field(default_factory=set)

    def arrives(self, host: str, ingress: int, raw: bytes) -> list[tuple[str, str, bytes]]:
        packet = parse(raw)
        if packet.fault or (host, packet.key(ingress)) in self.held:
            return []
        if self._is_forged(ingress, packet):
            return []
        known = self.conns[host].__contains__
        key = packet.key(ingress)
        if self.drops(host, key) and isinstance(
            simulate(self.topology, host, packet_of(key), ingress, known), Drop
        ):
            return []  # also where a router would have told the sender of its TTL
        decision = simulate(self.topology, host, packet, ingress, known)
        if isinstance(decision, Answer):
            if decision.hold:
                self.held.add((host, packet.key(ingress)))
            here = self.topology.by_key[ingress % FROM_TUNNEL]
            name = here.item.name if hasattr(here, "item") else here.name
            return [] if ingress & FROM_TUNNEL else [(host, name, one) for one in decision.frames]
        if not isinstance(decision, Forward):
            return []
        self.conns[host].update(decision.conns)
        moved, out = rewritten(packet, decision), []
        for output in decision.outputs:
            if isinstance(output, ToPort):
                out.append((host, output.port, moved))
            else:
                out += self.arrives(self._at(output.remote), FROM_TUNNEL | output.key, moved)
        return out

    def _is_forged(self, ingress: int, packet: Packet) -> bool:
        """The uplink's own check of sources comes before everything."""
        if ingress not in {uplink.key for uplink in self.topology.uplinks.values()}:
            return False
        inside = tuple(prefixes(self.topology))
        return packet.eth_type in (IP4, IP6) and any(address_of(packet.src) in one for one in inside)

    def _at(self, remote: str) -> str:
        return next(name for name, addresses in UNDERLAY.items() if remote in addresses)


def world_of(seed: int, *, version: int) -> Edit:
    """A random world on the hosts that there are, over an underlay of that version."""
    edit = random_world(seed, with_ports=seed % 2 == 1)
    edit.remove(Host, "gw2")
    for port in edit.all(VmPort):
        if seed % 3:  # else next to nothing is let through
            tenant = port.network.partition("-")[0]
            edit.put(replace(port, groups=tuple({*port.groups, f"{tenant}-default"})))
    for host in edit.all(Host):
        edit.put(replace(host, tunnel=ip_address(UNDERLAY[host.name][version == 6])))
    for gateways in edit.all(GatewaySet):
        edit.put(replace(gateways, anycast=ip_address(UNDERLAY["gw1"][2 + (version == 6)])))
    return edit


def any_frame(topology: VirtualTopology, dice: random.Random, sender: VmPort | None) -> bytes:
    """Mostly honest, mostly to somebody who is there."""
    names = sorted(topology.ports)
    there = topology.ports[dice.choice(names)]
    choices = [*sorted(there.addresses), *sorted(there.addresses), address(OUTSIDE4), address(OUTSIDE6)]
    for network in topology.networks.values():
        for gateway in network.gateways:
            choices += [a for a in (gateway.address4, gateway.address6) if a]
    dst = dice.choice(choices)
    if sender is None:
        uplink = topology.uplinks["uplink"]
        src = address(OUTSIDE4 if is_ipv4(dst) else OUTSIDE6)
        smac, dmac = uplink.kernel_mac, uplink.mac
    else:
        mine = [a for a in topology.ports[sender.name].addresses if is_ipv4(a) == is_ipv4(dst)]
        src = mine[0] if mine and dice.random() < 0.9 else dst
        smac = mac_bytes(sender.mac) if dice.random() < 0.95 else b"\x02\x99\0\0\0\1"
        network = topology.networks[sender.network]
        owner = network.ips.get(dst)
        dmac = owner.mac if owner else network.gateways[0].mac if network.gateways else BROADCAST
        if dice.random() < 0.1:
            dmac = BROADCAST
    proto = dice.choice((UDP, TCP, ICMP, 47))
    ports = (dice.choice((53, 4000, 4001)), dice.choice((53, 80, 4000)))
    if proto == ICMP:
        ports = (dice.choice((8, 0) if is_ipv4(dst) else (128, 129)), dice.choice((5, 6)))
    ttl, size = dice.choice((1, 2, 3, 64, 64, 64, 64)), dice.choice((0, 20, 500, 1420, 1500))
    return frame(smac, dmac, src, dst, proto=proto, ports=ports, ttl=ttl, size=size)


def with_other_ports(raw: bytes, dice: random.Random) -> bytes:
    """A packet of a flow that differs in port numbers alone, perhaps in those that nobody looks at."""
    packet = parse(raw)
    if packet.proto not in (UDP, TCP):
        return raw
    ports = dice.choice(((5000, packet.dport), (packet.sport, 5001), (5002, packet.dport), (5002, 80)))
    return raw[: packet.l4] + struct.pack("!HH", *ports) + raw[packet.l4 + 4 :]


def answer_to(raw: bytes) -> bytes:
    """What whom it reached would send back; of ICMP the same once more."""
    packet, address_at, width = parse(raw), 26, 4
    if packet.eth_type == IP6:
        address_at, width = 22, 16
    turned = bytearray(raw[6:12] + raw[:6] + raw[12:])
    turned[address_at : address_at + 2 * width] = (
        raw[address_at + width : address_at + 2 * width] + raw[address_at : address_at + width]
    )
    if packet.proto in (UDP, TCP):
        turned[packet.l4 : packet.l4 + 4] = struct.pack("!HH", packet.dport, packet.sport)
    return bytes(turned)


def send_some(fabric: Fabric, model: Model, dice: random.Random, how_many: int) -> None:
    topology = model.topology
    senders = [view.item for name, view in sorted(topology.ports.items()) if view.item.host in fabric.nodes]
    if not topology.ports:
        return
    sent: list[tuple[str, str, int, bytes]] = []
    through: list[tuple[str, str, int, bytes]] = []
    arrived: list[tuple[str, str, int, bytes]] = []
    for _ in range(how_many):
        choice = dice.random()
        if sent and choice < 0.1:
            one = dice.choice(sent)
        elif sent and choice < 0.5:
            host, port, key, raw = dice.choice(through or sent)
            one = (host, port, key, with_other_ports(raw, dice))
        elif arrived and choice < 0.7:
            host, port, key, raw = dice.choice(arrived)
            one = (host, port, key, answer_to(raw))
        elif (not senders or dice.random() < 0.25) and "uplink" in topology.uplinks:
            one = ("gw1", "uplink", topology.uplinks["uplink"].key, any_frame(topology, dice, None))
        elif senders:
            vm = dice.choice(senders)
            one = (vm.host, vm.name, vm.key, any_frame(topology, dice, vm))
        else:
            continue
        sent.append(one)
        came = send_one(fabric, model, one)
        through += [one for _, name, _ in came if name != one[1]]
        arrived += [
            (host, name, topology.ports[name].key, raw) for host, name, raw in came if name in topology.ports
        ]


def send_one(fabric: Fabric, model: Model, one: tuple[str, str, int, bytes]) -> list[tuple[str, str, bytes]]:
    """What has come out, where; as the model wants it."""
    host, port, key, raw = one
    wanted = sorted(model.arrives(host, key, raw))
    found = sorted(fabric.send(host, port, raw))
    if found != wanted:
        known = model.conns[host].__contains__
        decision = simulate(model.topology, host, parse(raw), key, known, explain=True)
        note(f"{host} {port} {raw.hex()}\n{decision}")
    assert found == wanted
    return found


def is_used(node: Node, key: FlowKey, entry: FlowEntry) -> bool:
    """Whether the kernel would go by an entry."""
    if entry.generation and not node.engine._megaflows.is_alive(entry.generation):
        return False
    if entry.action is DatapathAction.DROP or not entry.last_ns:
        return all(
            ref.wanted is ConnRequirement.ANY
            or node.engine.established(ref.of(key)) is (ref.wanted is ConnRequirement.KNOWN)
            for ref in entry.conns
        )
    return True


def drops(fabric: Fabric, host: str, key: FlowKey) -> bool:
    """Whether an entry says that a flow is dropped, be it by all that is known or not."""
    node = fabric.nodes[host]
    entry = node.cache.entry(key.pack())
    return entry is not None and entry.action is DatapathAction.DROP and is_used(node, key, entry)


def check_entries(fabric: Fabric, topology: VirtualTopology) -> int:
    """Every entry in the kernel is what a fresh simulation says; how many there are."""
    total = 0
    for node in fabric.nodes.values():
        for raw, entry in node.cache.entries():
            key = FlowKey.unpack(raw)
            decision = simulate(topology, node.name, packet_of(key), key.ingress, node.engine.established)
            total += 1
            if entry.action is DatapathAction.UPCALL or not is_used(node, key, entry):
                continue  # nothing is decided: the next packet will be
            plain = replace(entry, generation=0, conns=())
            if isinstance(decision, Forward) and decision.cacheable:
                assert plain == entry_of(decision, node.ports), (node.name, key, entry, decision)
            elif isinstance(decision, Answer) and decision.hold:
                assert entry.action is DatapathAction.DROP
            else:
                assert isinstance(decision, Drop), (node.name, key, entry, decision)
                assert plain == FlowEntry(DatapathAction.DROP), (node.name, key, decision)
    return total


def check_megaflows(fabric: Fabric, topology: VirtualTopology) -> None:
    """Every decision that the kernel may use again is what a fresh simulation says, under its answers."""
    for node in fabric.nodes.values():
        assert len(node.cache.megaflows()) == len(node.engine._megaflows._by_key)
        for megaflow in node.engine._megaflows._alive.values():
            answers = megaflow.answers()
            decision = simulate(
                topology, node.name, packet_of(megaflow.flow), megaflow.flow.ingress, answers.__getitem__
            )
            if isinstance(decision, Forward):
                plain = replace(megaflow.record.entry, conns=())
                assert plain == entry_of(decision, node.ports), (node.name, megaflow, decision)
            else:
                assert megaflow.record.entry.action is DatapathAction.DROP, (node.name, megaflow, decision)


@many
@given(st.integers(0, 10**9), st.sampled_from((4, 6)))
def test_packets_go_as_the_simulation_says_and_no_change_leaves_a_stale_entry(
    fabric: Fabric, seed: int, version: int
) -> None:
    dice = random.Random(seed)
    made = sum(node.cache.counters()["made"] for node in fabric.nodes.values())
    edit = world_of(seed, version=version)
    topology = VirtualTopology.of(edit.items())
    fabric.use(topology)
    model = Model(topology, partial(drops, fabric))
    send_some(fabric, model, dice, 16)
    check_entries(fabric, topology)
    check_megaflows(fabric, topology)
    for _ in range(3):
        before = list(edit.items())
        mutate(edit, dice)
        for kind in (Host, GatewaySet):  # hosts that the lab has not cannot be moved to
            for item in before:
                if isinstance(item, kind):
                    edit.put(item)
        topology, tags = topology.apply(changes_between(before, edit.items()))
        for node in fabric.nodes.values():
            node.change(topology, tags)
        check_entries(fabric, topology)
        check_megaflows(fabric, topology)
        model.topology = topology
        model.held.clear()
        for node in fabric.nodes.values():
            if dice.random() < 0.5:
                node.age()
                node.engine.tick(1 << 62)  # holds are over; so are connections, once in two ticks
            else:
                node.engine._drop(node.engine._table.over(1 << 62))
            model.conns[node.name] = {ConnKey.unpack(key) for key in node.connections()}
        send_some(fabric, model, dice, 10)
        check_entries(fabric, topology)
        check_megaflows(fabric, topology)
    if sum(node.cache.counters()["made"] for node in fabric.nodes.values()) > made:
        event("the kernel made entries by itself")
