"""Any virtual topology, any packet, any change: the real kernel does what the simulation says."""

from __future__ import annotations

import os
import random
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from typing import TYPE_CHECKING

import pytest
from fabric import Fabric
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from mutations import changes_between, mutate
from trialrun import built
from virtual import COMPUTES, OUTSIDE4, OUTSIDE6, address, frame, random_world

from labctl.overlay.agent.ahead import prefixes
from labctl.overlay.agent.entries import entry_of, rewritten
from labctl.overlay.agent.synthetic import packet_of
from labctl.overlay.datapath.layout import Action, Entry
from labctl.overlay.flow import FROM_TUNNEL, Answer, ConnKey, Drop, FlowKey, Forward, ToPort
from labctl.overlay.model import GatewaySet, Host, VmPort
from labctl.overlay.packet import BROADCAST, ICMP, IP4, IP6, TCP, UDP, address_of, is_ipv4, mac_bytes, parse
from labctl.overlay.simulation.engine import simulate
from labctl.overlay.simulation.topology import Topology

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labctl.overlay.flow import Packet
    from labctl.overlay.state import Edit

pytestmark = [pytest.mark.netns, pytest.mark.slow]
EXAMPLES = int(os.environ.get("LABCTL_EXAMPLES", "40"))
HOSTS = (*COMPUTES, "gw1")
many = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
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

    topology: Topology
    conns: dict[str, set[ConnKey]] = field(default_factory=lambda: {name: set() for name in HOSTS})
    held: set[tuple[str, FlowKey]] = field(default_factory=set)
    dropped: set[tuple[str, FlowKey]] = field(default_factory=set)

    def arrives(self, host: str, ingress: int, raw: bytes) -> list[tuple[str, str, bytes]]:
        packet = parse(raw)
        if packet.fault or (host, packet.key(ingress)) in self.held:
            return []
        if self._is_forged(ingress, packet):
            return []
        known = self.conns[host].__contains__
        key = packet.key(ingress)
        if (host, key) in self.dropped and isinstance(
            simulate(self.topology, host, packet_of(key), ingress, known), Drop
        ):
            return []  # also where a router would have told the sender of its TTL
        decision = simulate(self.topology, host, packet, ingress, known)
        if isinstance(decision, Drop) and decision.cacheable:
            self.dropped.add((host, key))
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
    edit = random_world(seed)
    edit.remove(Host, "gw2")
    for host in edit.all(Host):
        edit.put(replace(host, tunnel=ip_address(UNDERLAY[host.name][version == 6])))
    for gateways in edit.all(GatewaySet):
        edit.put(replace(gateways, anycast=ip_address(UNDERLAY["gw1"][2 + (version == 6)])))
    return edit


def any_frame(topology: Topology, dice: random.Random, sender: VmPort | None) -> bytes:
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


def send_some(fabric: Fabric, model: Model, dice: random.Random, how_many: int) -> None:
    topology = model.topology
    senders = [view.item for name, view in sorted(topology.ports.items()) if view.item.host in fabric.nodes]
    frames: list[tuple[str, str, int, bytes]] = []
    for _ in range(how_many):
        if frames and dice.random() < 0.3:
            frames.append(dice.choice(frames))
            continue
        if not topology.ports:
            return
        if (not senders or dice.random() < 0.25) and "uplink" in topology.uplinks:
            uplink = topology.uplinks["uplink"]
            frames.append(("gw1", "uplink", uplink.key, any_frame(topology, dice, None)))
        elif senders:
            vm = dice.choice(senders)
            frames.append((vm.host, vm.name, vm.key, any_frame(topology, dice, vm)))
    for host, port, key, raw in frames:
        wanted = sorted(model.arrives(host, key, raw))
        found = sorted(fabric.send(host, port, raw))
        if found != wanted:
            decision = simulate(topology, host, parse(raw), key, model.conns[host].__contains__, explain=True)
            note(f"{host} {port} {raw.hex()}\n{decision}")
        assert found == wanted


def check_entries(fabric: Fabric, topology: Topology) -> int:
    """Every entry in the kernel is what a fresh simulation says; how many there are."""
    total = 0
    for node in fabric.nodes.values():
        for raw, entry in node.cache.entries():
            key = FlowKey.unpack(raw)
            decision = simulate(topology, node.name, packet_of(key), key.ingress, node.engine.established)
            total += 1
            if entry.action is Action.UPCALL:
                continue  # nothing is decided: the next packet will be
            if isinstance(decision, Forward) and decision.cacheable:
                assert entry == entry_of(decision, node.ports), (node.name, key, decision)
            elif isinstance(decision, Answer) and decision.hold:
                assert entry.action is Action.DROP
            else:
                assert isinstance(decision, Drop), (node.name, key, entry, decision)
                assert entry == Entry(Action.DROP), (node.name, key, decision)
    return total


@many
@given(st.integers(0, 10**9), st.sampled_from((4, 6)))
def test_packets_go_as_the_simulation_says_and_no_change_leaves_a_stale_entry(
    fabric: Fabric, seed: int, version: int
) -> None:
    dice = random.Random(seed)
    edit = world_of(seed, version=version)
    topology = Topology.of(edit.items())
    fabric.use(topology)
    model = Model(topology)
    send_some(fabric, model, dice, 12)
    check_entries(fabric, topology)
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
        model.topology = topology
        model.held.clear()
        for node in fabric.nodes.values():
            node.engine.tick(1 << 62)  # holds are over; so are connections, but for those in use
            model.conns[node.name] = set(node.engine._connections._seen)
        send_some(fabric, model, dice, 6)
        check_entries(fabric, topology)
