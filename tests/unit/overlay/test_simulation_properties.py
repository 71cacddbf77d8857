"""What holds of the simulation for any virtual topology and any packet."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from effort import examples
from hypothesis import assume, given
from hypothesis import strategies as st
from mutations import changes_between, mutate
from virtual import (
    COMPUTES,
    GATEWAYS,
    OUTSIDE4,
    OUTSIDE6,
    World,
    address,
    essence,
    frame,
    random_world,
)

from labctl.overlay.config.model import (
    VmPort,
)
from labctl.overlay.config.plan import PrefixPools, VmSpec, plan_network, plan_tenant, plan_vm
from labctl.overlay.flow import FROM_TUNNEL, WATCHED_PORTS, Answer, Drop, Forward, Match, ReadPorts
from labctl.overlay.packet import BROADCAST, ICMP, TCP, UDP, is_ipv4, link_local, mac_bytes, parse
from labctl.overlay.simulation.dependencies import TagIndex, matches
from labctl.overlay.simulation.topology import Change, VirtualTopology

if TYPE_CHECKING:
    from labctl.overlay.flow import Decision

seeds = st.integers(0, 10**9)
# A thorough search: pytest --hypothesis-profile nightly tests/unit/overlay
EXAMPLES = 60
many = examples(EXAMPLES)


def universe(world: World) -> tuple[list[bytes], list[bytes]]:
    """MACs and addresses that mean something in this world, and some that do not."""
    macs = {BROADCAST, b"\x33\x33\0\0\0\1", b"\x02\x99\0\0\0\1"}
    addresses = {
        address(text) for text in (OUTSIDE4, OUTSIDE6, "10.191.255.250", "ff02::1", "10.128.0.200", "fe80::9")
    }
    for network in world.topology.networks.values():
        macs |= set(network.macs)
        addresses |= set(network.ips)
    for uplink in world.topology.uplinks.values():
        macs |= {uplink.mac, uplink.kernel_mac}
        addresses |= uplink.mine | uplink.kernel
    return sorted(macs), sorted(addresses)


def any_frame(world: World, dice: random.Random, sender: VmPort | None = None) -> bytes:
    """Any frame; most of those with a sender bear its own addresses."""
    macs, addresses = universe(world)
    smac, dmac = dice.choice(macs), dice.choice(macs)
    dst = dice.choice(addresses)
    if dice.random() < 0.6:
        there = world.topology.ports[dice.choice(sorted(world.topology.ports))]
        dst = dice.choice(sorted(there.addresses))
    alike = [one for one in addresses if is_ipv4(one) == is_ipv4(dst)]
    src = dice.choice(alike)
    if sender is not None and dice.random() < 0.8:
        smac = mac_bytes(sender.mac)
        mine = [one for one in alike if one in world.topology.ports[sender.name].addresses]
        src = mine[0] if mine else src
        if dice.random() < 0.8:
            dmac = world.mac_towards(sender.name, dst)
    proto = dice.choice((UDP, TCP, ICMP, 47))
    ports = (
        dice.choice(((8, 5), (0, 5)))
        if proto == ICMP
        else (dice.choice((53, 67, 4000)), dice.choice((53, 68, 80)))
    )
    if proto == ICMP and not is_ipv4(src):
        ports = ((ports[0] and 128) or 129, 5)
    ttl, size = dice.choice((1, 2, 3, 64, 64, 64)), dice.choice((0, 20, 500, 1420, 1500))
    return frame(smac, dmac, src, dst, proto=proto, ports=ports, ttl=ttl, size=size)


def any_ingress(world: World, dice: random.Random) -> tuple[str, int, VmPort | None]:
    """A host, an ingress there, and the VM that sends if one does."""
    ports = sorted(world.topology.ports)
    port = world.vm(dice.choice(ports))
    kind = dice.randint(0, 5)
    if kind == 0:
        return dice.choice(GATEWAYS), world.topology.uplinks["uplink"].key, None
    if kind == 1:
        return port.host or COMPUTES[0], FROM_TUNNEL | port.key, None
    return port.host or COMPUTES[0], port.key, port


def tenant_of(world: World, port: str) -> str:
    return world.topology.networks[world.vm(port).network].tenant


@many
@given(seeds)
def test_no_packet_of_a_vm_reaches_another_tenant_that_is_no_peer(seed: int) -> None:
    dice = random.Random(seed)
    world = World.of(random_world(seed).items())
    sender = world.vm(dice.choice(sorted(world.topology.ports)))
    assume(sender.host)
    decision = world.decide(sender.host, any_frame(world, dice, sender), sender.key)
    for output in decision.outputs if isinstance(decision, Forward) else ():
        if output.port == "uplink":
            continue
        one, other = tenant_of(world, sender.name), tenant_of(world, output.port)
        assert one == other or world.topology.peers(one, other)


@many
@given(seeds)
def test_what_a_vm_sends_bears_its_own_addresses_or_goes_nowhere(seed: int) -> None:
    dice = random.Random(seed)
    world = World.of(random_world(seed).items())
    sender = world.vm(dice.choice(sorted(world.topology.ports)))
    assume(sender.host)
    raw = any_frame(world, dice, sender)
    decision = world.decide(sender.host, raw, sender.key)
    if isinstance(decision, Forward):
        packet, view = parse(raw), world.topology.ports[sender.name]
        assert packet.smac == view.mac
        assert packet.src in view.addresses | {view.link_local}
        assert not (packet.proto == UDP and packet.sport in (67, 547))


@many
@given(seeds)
def test_ttl_falls_by_one_a_router_and_never_below_one(seed: int) -> None:
    dice = random.Random(seed)
    world = World.of(random_world(seed).items())
    host, ingress, sender = any_ingress(world, dice)
    raw = any_frame(world, dice, sender)
    decision = world.decide(host, raw, ingress, explain=True)
    if isinstance(decision, Forward):
        routers = sum(step.device.startswith("router ") for step in decision.steps)
        assert decision.ttl_decrement == routers
        assert parse(raw).ttl > decision.ttl_decrement or routers == 0
        assert parse(raw).length <= decision.mtu or ingress & FROM_TUNNEL


@many
@given(seeds, st.booleans())
def test_whoever_is_reached_can_answer(seed: int, is_outside: bool) -> None:  # noqa: FBT001
    dice = random.Random(seed)
    world = World.of(random_world(seed).items())
    sender = dice.choice(sorted(world.topology.ports))
    assume(world.vm(sender).host)
    _, addresses = universe(world)
    dst = dice.choice(addresses)
    if is_outside:
        mine = dice.choice(sorted(world.topology.ports[sender].addresses))
        assert_answer_from_vm(world, sender, mine)
        return
    assume(dst[0] != 0xFE)
    out = world.from_vm(sender, world.request(sender, dst, ports=(4000, 80)))
    if out is None:
        return
    port, raw = out
    there = parse(raw)
    if port == "uplink":
        back = (
            world.from_outside(world.inwards(there.src, ports=(80, 4000))[:26] + raw[26:]) if False else None
        )
        uplink = world.topology.uplinks["uplink"]
        reply = frame(uplink.kernel_mac, uplink.mac, there.dst, there.src, ports=(80, 4000))
        back = world.from_outside(reply, dice.choice(GATEWAYS))
    else:
        back = world.from_vm(port, world.request(port, there.src, ports=(80, 4000)))
    assert back is not None, world.reason()
    assert back[0] == sender


def assert_answer_from_vm(world: World, name: str, mine: bytes) -> None:
    out = world.from_outside(world.inwards(mine, ports=(4000, 80)))
    if out is None:
        return
    there = parse(out[1])
    back = world.from_vm(name, world.request(name, there.src, ports=(80, 4000)))
    assert back is not None, world.reason()
    assert back[0] == "uplink"


@many
@given(seeds)
def test_packets_of_one_flow_get_one_decision(seed: int) -> None:
    """A cached decision holds for all packets with its key, enough TTL and a length that fits."""
    dice = random.Random(seed)
    world = World.of(random_world(seed).items())
    host, ingress, sender = any_ingress(world, dice)
    raw = any_frame(world, dice, sender)
    first = world.decide(host, raw, ingress)
    if not isinstance(first, Forward | Drop) or not first.cacheable:
        return
    packet = parse(raw)
    other = replace(
        packet,
        ttl=dice.randint(getattr(first, "ttl_decrement", 64) + 1, 255),
        length=dice.randint(60, min(getattr(first, "mtu", 1450), 1450)),
        tcp_flags=dice.randint(0, 255),
    )
    if isinstance(first, Drop) and (packet.ttl < 3 or packet.length > 1450):
        return
    assert packet.key(ingress) == other.key(ingress)
    assert essence(world.decide(host, other, ingress)) == essence(first)


@many
@given(seeds, st.integers(0, 65535), st.integers(0, 65535))
def test_port_numbers_that_were_not_read_do_not_matter(seed: int, sport: int, dport: int) -> None:
    dice = random.Random(seed)
    world = World.of(random_world(seed, with_ports=True).items())
    host, ingress, sender = any_ingress(world, dice)
    packet = parse(any_frame(world, dice, sender))
    first = world.decide(host, packet, ingress)
    assume(isinstance(first, Forward | Drop) and first.cacheable and packet.proto in (TCP, UDP))
    assert isinstance(first, Forward | Drop)
    other = replace(
        packet,
        sport=packet.sport if first.read & ReadPorts.SOURCE else sport,
        dport=packet.dport if first.read & ReadPorts.DESTINATION else dport,
    )
    assume(packet.proto == TCP or WATCHED_PORTS.isdisjoint((other.sport, other.dport)))
    second = world.decide(host, other, ingress)
    if isinstance(first, Forward) and isinstance(second, Forward):
        first, second = replace(first, conns=()), replace(second, conns=())
    assert essence(second) == essence(first)


@many
@given(seeds)
def test_an_inward_decision_holds_for_every_packet_to_that_destination(seed: int) -> None:
    dice = random.Random(seed)
    world = World.of(random_world(seed).items())
    uplink = world.topology.uplinks["uplink"]
    raw = any_frame(world, dice)
    raw = uplink.mac + uplink.kernel_mac + raw[12:]
    first = world.decide("gw1", raw, uplink.key)
    if not isinstance(first, Forward) or first.match is not Match.DESTINATION:
        return
    packet = parse(raw)
    src = address(OUTSIDE4 if is_ipv4(packet.dst) else OUTSIDE6)
    other = replace(
        packet, src=src, proto=dice.choice((6, 17, 132)), sport=dice.randint(0, 65535), ttl=9, length=99
    )
    assert essence(world.decide("gw1", other, uplink.key)) == essence(first)


@examples(3 * EXAMPLES)
@given(seeds)
def test_a_change_that_alters_a_decision_touches_one_of_its_tags(seed: int) -> None:
    dice = random.Random(seed)
    edit = random_world(seed)
    world = World.of(edit.items())
    before = list(edit.items())
    asked = []
    for _ in range(12):
        host, ingress, sender = any_ingress(world, dice)
        asked.append((host, any_frame(world, dice, sender), ingress))
    said = [world.decide(*one) for one in asked]
    mutate(edit, dice)
    world.topology, tags = world.topology.apply(changes_between(before, list(edit.items())))
    for one, was in zip(asked, said, strict=True):
        now = world.decide(*one)
        if essence(now) != essence(was):
            assert matches(was.tags, tags), (now, was, sorted(tags))


@many
@given(seeds, st.integers(1, 6))
def test_a_topology_made_step_by_step_is_the_one_made_at_once(seed: int, steps: int) -> None:
    dice = random.Random(seed)
    edit = random_world(seed)
    topology = VirtualTopology.of(edit.items())
    for step in range(steps):
        before = list(edit.items())
        inner = random.Random(seed + step)
        mutate(edit, inner)
        changes = changes_between(before, list(edit.items()))
        dice.shuffle(changes)
        topology, _ = topology.apply(changes)
    assert topology == VirtualTopology.of(edit.items())


def test_nothing_changed_touches_nothing() -> None:
    edit = random_world(3)
    topology = VirtualTopology.of(edit.items())
    same, tags = topology.apply(Change(type(item), item.name, item) for item in edit.items())
    assert tags == frozenset()
    assert same == topology


@pytest.mark.slow
def test_a_new_tenant_touches_no_flow_of_others() -> None:
    edit = random_world(5)
    world = World.of(edit.items())
    dice = random.Random(5)
    index: TagIndex[int] = TagIndex()
    for number in range(2000):
        host, ingress, sender = any_ingress(world, dice)
        decision: Decision = world.decide(host, any_frame(world, dice, sender), ingress)
        if isinstance(decision, Forward):
            index.add(number, decision.tags)
    before = list(edit.items())
    plan_tenant(edit, "new")
    plan_network(edit, "new", "new-net", PrefixPools())
    plan_vm(edit, VmSpec("new-vm", "new-net", COMPUTES[0]))
    _, tags = world.topology.apply(changes_between(before, list(edit.items())))
    assert len(index) > 50
    assert index.touched(tags) == set()


@pytest.mark.parametrize("seed", range(20))
def test_a_vm_can_be_reached_by_its_neighbours_in_some_worlds(seed: int) -> None:
    """The properties above are not kept by dropping everything."""
    world = World.of(random_world(seed).items())
    reached = 0
    for name in world.topology.ports:
        for other in world.topology.ports:
            if name != other and world.vm(name).host:
                out = world.from_vm(name, world.request(name, world.address(other), ports=(1, 2)))
                reached += out is not None and out[0] == other
    places = [port for port in world.topology.ports.values() if port.item.host]
    assert reached or len(places) < 4


@pytest.mark.slow
def test_answers_are_for_the_one_who_asked() -> None:
    world = World.of(random_world(1).items())
    dice = random.Random(1)
    seen = 0
    for _ in range(2000):
        host, ingress, sender = any_ingress(world, dice)
        raw = any_frame(world, dice, sender)
        decision = world.decide(host, raw, ingress)
        if isinstance(decision, Answer):
            seen += 1
            for answer in decision.frames:
                assert answer[:6] in (parse(raw).smac, BROADCAST, b"\x33\x33\0\0\0\1")
                assert not parse(answer).fault
    assert seen > 20


def test_an_insecure_port_still_cannot_be_a_router() -> None:
    edit = random_world(1)
    port = next(port for port in edit.all(VmPort) if port.host)
    edit.put(replace(port, secure=False))
    world = World.of(edit.items())
    view = world.topology.ports[port.name]
    body = frame(
        view.mac,
        b"\x33\x33\0\0\0\1",
        link_local(view.mac),
        address("ff02::1"),
        proto=ICMP,
        ports=(134, 0),
        ttl=255,
    )
    decision = world.decide(port.host, body, port.key)
    assert isinstance(decision, Drop)
