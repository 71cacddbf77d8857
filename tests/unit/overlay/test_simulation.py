"""The simulation, case by case."""

from __future__ import annotations

from dataclasses import replace

import pytest
from virtual import (
    GATEWAYS,
    OUTSIDE4,
    OUTSIDE6,
    World,
    address,
    frame,
    two_tenants,
)

from labctl.overlay.config.model import Direction, GatewaySet, Rule, VmPort
from labctl.overlay.config.plan import RuleSpec, plan_group, plan_peering
from labctl.overlay.flow import FROM_TUNNEL, Answer, Drop, Forward, Match, ToPort, ToTunnel, Unknown
from labctl.overlay.packet import ICMP, ICMP6, IP4, TCP, UDP, ethernet, ipv4, link_local, mac_bytes, parse
from labctl.overlay.simulation.dependencies import conn_tag
from labctl.overlay.simulation.engine import router_advertisements, simulate
from labctl.overlay.simulation.inward import inside_prefixes, inward
from labctl.overlay.simulation.topology import Change, VirtualTopology


@pytest.fixture
def world() -> World:
    return World.of(two_tenants().items())


@pytest.mark.parametrize("version", [4, 6])
def test_a_packet_between_vms_of_a_network_goes_straight_to_the_other_host(
    world: World, version: int
) -> None:
    dst = world.address("t1-vm2", version)
    decision = world.decide("compute1", world.request("t1-vm1", dst), world.vm("t1-vm1").key)
    assert isinstance(decision, Forward)
    assert decision.outputs == (ToTunnel(world.vm("t1-vm2").key, "198.18.0.2", "t1-vm2"),)
    assert decision.ttl_decrement == 0
    assert decision.mtu == 1450
    reached = world.from_vm("t1-vm1", world.request("t1-vm1", dst))
    assert reached is not None
    assert reached[0] == "t1-vm2"


@pytest.mark.parametrize("version", [4, 6])
def test_a_router_between_two_networks_of_a_tenant_lowers_ttl_and_changes_macs(
    world: World, version: int
) -> None:
    dst = world.address("t1-vm3", version)
    out = world.from_vm("t1-vm1", world.request("t1-vm1", dst))
    assert out is not None
    port, raw = out
    assert port == "t1-vm3"
    packet = parse(raw)
    assert packet.ttl == 63
    assert packet.dmac == mac_bytes(world.vm("t1-vm3").mac)
    assert packet.smac == world.topology.networks["t1-db"].gateways[0].mac


@pytest.mark.parametrize("outside", [OUTSIDE4, OUTSIDE6])
def test_a_packet_to_the_outside_goes_to_the_gateways_anycast_address_and_out(
    world: World, outside: str
) -> None:
    raw = world.request("t1-vm1", address(outside))
    decision = world.decide("compute1", raw, world.vm("t1-vm1").key)
    assert isinstance(decision, Forward)
    assert [output.remote for output in decision.outputs if isinstance(output, ToTunnel)] == ["198.18.255.1"]
    assert decision.ttl_decrement == 2
    out = world.from_vm("t1-vm1", raw)
    assert out is not None
    assert out[0] == "uplink"
    assert parse(out[1]).dmac == world.topology.uplinks["uplink"].kernel_mac


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("gateway", GATEWAYS)
def test_every_gateway_sends_the_outside_to_the_vms_host(world: World, version: int, gateway: str) -> None:
    raw = world.inwards(world.address("t2-vm2", version))
    out = world.from_outside(raw, gateway)
    assert out is not None
    assert out[0] == "t2-vm2"
    first = world.entered[0][1]
    assert isinstance(first, Forward)
    assert first.match is Match.DESTINATION
    assert first.conns == ()


@pytest.mark.parametrize("version", [4, 6])
def test_tenants_do_not_reach_each_other_until_they_are_peers(version: int) -> None:
    edit = two_tenants()
    world = World.of(edit.items())
    raw = world.request("t1-vm1", world.address("t2-vm1", version))
    assert world.from_vm("t1-vm1", raw) is None
    assert world.reason() == "tenants are no peers"
    plan_peering(edit, "t1", "t2")
    out = World.of(edit.items()).from_vm("t1-vm1", raw)
    assert out is not None
    assert out[0] == "t2-vm1"


def test_a_gateway_refuses_an_inside_source_from_the_outside(world: World) -> None:
    uplink = world.topology.uplinks["uplink"]
    raw = frame(uplink.kernel_mac, uplink.mac, world.address("t2-vm1"), world.address("t1-vm1"))
    assert world.from_outside(raw) is None
    assert world.reason() == "inside address from the outside"


def test_a_forged_tunnel_frame_for_a_vm_elsewhere_goes_nowhere(world: World) -> None:
    raw = world.request("t1-vm1", world.address("t1-vm2"))
    decision = world.decide("compute1", raw, FROM_TUNNEL | world.vm("t1-vm2").key)
    assert isinstance(decision, Drop)
    assert decision.reason == "vm is not on this host"


@pytest.mark.parametrize("version", [4, 6])
def test_routers_answer_pings_from_inside_and_outside(world: World, version: int) -> None:
    gateway = world.topology.networks["t1-net"].gateways[0]
    dst = gateway.address4 if version == 4 else gateway.address6
    assert dst is not None
    kind = 8 if version == 4 else 128
    for host, raw, key in (
        (
            "compute1",
            world.request("t1-vm1", dst, proto=ICMP, ports=(kind, 7)),
            world.vm("t1-vm1").key,
        ),
        ("gw2", world.inwards(dst, proto=ICMP, ports=(kind, 7)), world.topology.uplinks["uplink"].key),
    ):
        decision = world.decide(host, raw, key)
        assert isinstance(decision, Answer), decision
        assert decision.what == "echo reply"
        reply = parse(decision.frames[0])
        assert (reply.src, reply.dst, reply.sport, reply.dport) == (
            dst,
            parse(raw).src,
            0 if version == 4 else 129 << 8,
            7,
        )


def test_a_vm_pings_its_routers_link_local_address(world: World) -> None:
    vm = world.vm("t1-vm1")
    gateway = world.topology.networks["t1-net"].gateways[0]
    own = link_local(mac_bytes(vm.mac))
    raw = frame(mac_bytes(vm.mac), gateway.mac, own, gateway.link_local, proto=ICMP6, ports=(128, 1))
    decision = world.decide("compute1", raw, vm.key)
    assert isinstance(decision, Answer)
    assert decision.what == "echo reply"


def test_link_local_addresses_are_not_routed(world: World) -> None:
    vm = world.vm("t1-vm1")
    gateway = world.topology.networks["t1-net"].gateways[0]
    raw = frame(mac_bytes(vm.mac), gateway.mac, link_local(mac_bytes(vm.mac)), world.address("t1-vm3", 6))
    decision = world.decide("compute1", raw, vm.key)
    assert isinstance(decision, Drop)
    assert decision.reason == "link-local is not routed"


@pytest.mark.parametrize(("ttl", "router"), [(1, 0), (2, 1)])
@pytest.mark.parametrize("outside", [OUTSIDE4, OUTSIDE6])
def test_each_router_tells_when_ttl_is_over(world: World, ttl: int, router: int, outside: str) -> None:
    decision = world.decide(
        "compute1", world.request("t1-vm1", address(outside), ttl=ttl), world.vm("t1-vm1").key
    )
    assert isinstance(decision, Answer)
    assert decision.what == "time exceeded"
    gateway, uplink = world.topology.networks["t1-net"].gateways[0], world.topology.uplinks["uplink"]
    four = outside == OUTSIDE4
    expected = [
        gateway.address4 if four else gateway.address6,
        uplink.address4 if four else uplink.address6,
    ]
    assert parse(decision.frames[0]).src == expected[router]


def test_an_address_that_nobody_has_is_told_so_and_learnt_when_it_comes(world: World) -> None:
    subnet = world.vm("t1-vm1").addresses[0]
    free = address(str(subnet + 100))
    decision = world.decide("compute1", world.request("t1-vm3", free), world.vm("t1-vm3").key)
    decision = world.decide("compute2", world.request("t1-vm3", free), world.vm("t1-vm3").key)
    assert isinstance(decision, Answer)
    assert decision.what == "host unreachable"
    assert decision.hold
    assert f"ip:t1-net:{free.hex()}" in decision.tags


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("dst", ["t1-vm2", "t1-vm3", OUTSIDE4])
def test_a_packet_too_long_for_the_tunnel_is_told_so(world: World, version: int, dst: str) -> None:
    outside = address(OUTSIDE4 if version == 4 else OUTSIDE6)
    to = outside if dst == OUTSIDE4 else world.address(dst, version)
    head = 28 if version == 4 else 48
    key = world.vm("t1-vm1").key
    fits = world.decide("compute1", world.request("t1-vm1", to, size=1450 - head), key)
    assert isinstance(fits, Forward)
    decision = world.decide("compute1", world.request("t1-vm1", to, size=1451 - head), key)
    assert isinstance(decision, Answer)
    assert decision.what == "packet too big"
    told = decision.frames[0]
    assert int.from_bytes(told[38:42] if version == 4 else told[58:62], "big") == 1450


def test_the_length_of_one_packet_counts_not_that_of_a_gso_frame(world: World) -> None:
    raw = world.request("t1-vm1", world.address("t1-vm2"), proto=TCP, size=20000)
    packet = parse(raw, gso_size=1398)
    decision = world.decide("compute1", packet, world.vm("t1-vm1").key)
    assert isinstance(decision, Forward)
    assert packet.length == 1438


def test_return_traffic_comes_in_although_no_rule_lets_it(world: World) -> None:
    edit = two_tenants()
    plan_group(edit, "t1", "closed", [RuleSpec(Direction.OUT)])
    edit.put(_in_group(edit.get(VmPort, "t1-vm1"), "closed"))
    world = World.of(edit.items())
    mine = world.address("t1-vm1")
    assert world.from_outside(world.inwards(mine, ports=(53, 4000))) is None
    assert world.reason() == "no rule lets it in"
    assert world.from_vm("t1-vm1", world.request("t1-vm1", address(OUTSIDE4), ports=(4000, 53))) is not None
    for gateway in GATEWAYS:
        assert world.from_outside(world.inwards(mine, ports=(53, 4000)), gateway) is not None
    assert world.from_outside(world.inwards(mine, ports=(54, 4000))) is None


def test_a_drop_waits_for_the_connection_that_would_let_it_through(world: World) -> None:
    edit = two_tenants()
    plan_group(edit, "t1", "closed", [RuleSpec(Direction.OUT)])
    edit.put(_in_group(edit.get(VmPort, "t1-vm1"), "closed"))
    world = World.of(edit.items())
    raw = world.inwards(world.address("t1-vm1"), ports=(53, 4000))
    world.from_outside(raw)
    dropped = world.entered[-1][1]
    world.from_vm("t1-vm1", world.request("t1-vm1", address(OUTSIDE4), ports=(4000, 53)))

    (opened,) = world.conns["compute1"]
    assert isinstance(dropped, Drop)
    assert conn_tag(opened) in dropped.tags


def test_a_rule_that_goes_takes_its_connections_with_it_in_both_directions() -> None:
    edit = two_tenants()
    plan_group(edit, "t1", "ssh", [RuleSpec(Direction.IN, "tcp", "22"), RuleSpec(Direction.OUT, "udp")])
    edit.put(_in_group(edit.get(VmPort, "t1-vm1"), "ssh"))
    world = World.of(edit.items())
    mine, outside = world.address("t1-vm1"), address(OUTSIDE4)
    inside = world.inwards(mine, proto=TCP, ports=(5000, 22))
    answer = world.request("t1-vm1", outside, proto=TCP, ports=(22, 5000))
    assert world.from_vm("t1-vm1", answer) is None
    assert world.from_outside(inside) is not None
    assert world.from_vm("t1-vm1", answer) is not None
    shut = [rule for rule in world.topology.groups["ssh"].rules["in", 4] if rule.proto == TCP]

    world.topology, tags = world.topology.apply([Change(Rule, shut[0].name, None)])
    assert f"rule:{shut[0].name}" in tags
    assert world.from_outside(inside) is None
    assert world.from_vm("t1-vm1", answer) is None
    assert world.reason() == "its connection is not allowed any more"


@pytest.mark.parametrize("proto", [TCP, UDP])
def test_a_rule_that_goes_takes_its_connections_with_it_also_where_the_group_lets_all_out(proto: int) -> None:
    name = {TCP: "tcp", UDP: "udp"}[proto]
    edit = two_tenants()
    plan_group(edit, "t1", "open", [RuleSpec(Direction.IN, name, "22"), RuleSpec(Direction.OUT)])
    edit.put(_in_group(edit.get(VmPort, "t1-vm1"), "open"))
    world = World.of(edit.items())
    mine, outside = world.address("t1-vm1"), address(OUTSIDE4)
    inside = world.inwards(mine, proto=proto, ports=(5000, 22))
    answer = world.request("t1-vm1", outside, proto=proto, ports=(22, 5000))
    assert world.from_outside(inside) is not None
    assert world.from_vm("t1-vm1", answer) is not None
    shut = [rule for rule in world.topology.groups["open"].rules["in", 4] if rule.proto == proto]
    known = set(world.conns["compute1"])

    world.topology, _ = world.topology.apply([Change(Rule, shut[0].name, None)])
    assert world.from_vm("t1-vm1", answer) is None
    assert world.reason() == "its connection is not allowed any more"
    assert set(world.conns["compute1"]) == known, "the reply opened a connection of its own"
    assert world.from_outside(inside) is None
    # What the VM opens by itself is its own affair, as before.
    own = world.request("t1-vm1", outside, proto=proto, ports=(23, 5000))
    assert world.from_vm("t1-vm1", own) is not None
    # And so is this flow, once the connection has expired.
    world.conns["compute1"].clear()
    assert world.from_vm("t1-vm1", answer) is not None


def test_an_icmp_error_about_a_known_connection_comes_in_and_another_does_not() -> None:
    edit = two_tenants()
    plan_group(edit, "t1", "closed", [RuleSpec(Direction.OUT)])
    edit.put(_in_group(edit.get(VmPort, "t1-vm1"), "closed"))
    world = World.of(edit.items())
    request = world.request("t1-vm1", address(OUTSIDE4), ports=(4000, 53))
    world.from_vm("t1-vm1", request)
    uplink = world.topology.uplinks["uplink"]
    for quoted, expected in ((4000, True), (4001, False)):
        inner = world.request("t1-vm1", address(OUTSIDE4), ports=(quoted, 53))[14:]

        error = ipv4(
            address("192.0.2.99"), world.address("t1-vm1"), ICMP, b"\x03\x01\0\0\0\0\0\0" + inner[:28]
        )
        out = world.from_outside(ethernet(uplink.mac, uplink.kernel_mac, IP4, error))
        assert (out is not None) is expected
    decision = world.entered[1][1]
    assert isinstance(decision, Forward)


def test_what_is_not_known_yet_is_waited_for_and_not_refused(world: World) -> None:
    decision = simulate(
        VirtualTopology(), "compute1", parse(world.inwards(address(OUTSIDE4))), 5, lambda _: False
    )
    assert isinstance(decision, Unknown)
    assert "key:5" in decision.tags


def test_the_trace_tells_every_device(world: World) -> None:
    raw = world.request("t1-vm1", address(OUTSIDE4))
    decision = world.decide("compute1", raw, world.vm("t1-vm1").key, explain=True)
    assert [step.device for step in decision.steps] == [
        "port t1-vm1",
        "port t1-vm1",
        "bridge t1-net",
        "router t1-router",
        "router provider",
        "uplink uplink",
    ]


def test_a_gateway_knows_the_way_to_every_vm_ahead(world: World) -> None:
    entries = {entry.dst: entry for entry in inward(world.topology, "gw1")}
    addresses = {a for port in world.topology.ports.values() for a in port.addresses}
    assert set(entries) == addresses
    for dst, entry in entries.items():
        asked = world.decide("gw1", world.inwards(dst), entry.ingress)
        assert isinstance(asked, Forward)
        assert (asked.outputs, asked.dmac, asked.smac) == (
            entry.forward.outputs,
            entry.forward.dmac,
            entry.forward.smac,
        )
    assert len(inside_prefixes(world.topology)) == 6


def test_unasked_router_advertisements_go_to_the_vms_of_the_host(world: World) -> None:
    frames = router_advertisements(world.topology, "compute2")
    assert set(frames) == {world.vm(name).key for name in ("t1-vm2", "t1-vm3", "t2-vm2")}


def test_a_vm_that_runs_nowhere_is_not_reached(world: World) -> None:
    vm = world.vm("t1-vm2")

    world.topology, _ = world.topology.apply([Change(VmPort, vm.name, replace(vm, host=""))])
    assert world.from_vm("t1-vm1", world.request("t1-vm1", world.address("t1-vm2"))) is None
    assert world.reason() == "no host of the vm"


def test_without_gateways_a_packet_to_the_outside_is_dropped_with_a_tag_to_come_back(world: World) -> None:
    gateways = world.topology.gateways
    assert gateways is not None
    world.topology, _ = world.topology.apply([Change(GatewaySet, gateways.name, None)])
    raw = world.request("t1-vm1", address(OUTSIDE4))
    decision = world.decide("compute1", raw, world.vm("t1-vm1").key)
    assert isinstance(decision, Drop)
    assert "gateways" in decision.tags


def test_a_broadcast_reaches_every_vm_of_the_network_and_nobody_else(world: World) -> None:
    vm = world.vm("t1-vm1")
    raw = frame(mac_bytes(vm.mac), b"\xff" * 6, world.address("t1-vm1"), address("255.255.255.255"))
    decision = world.decide("compute1", raw, vm.key)
    assert isinstance(decision, Forward)
    assert [output.port for output in decision.outputs] == ["t1-vm2"]
    assert not decision.cacheable


def test_two_vms_of_one_host_meet_without_a_tunnel(world: World) -> None:
    edit = two_tenants()

    edit.put(replace(edit.get(VmPort, "t1-vm2"), host="compute1"))
    world = World.of(edit.items())
    raw = world.request("t1-vm1", world.address("t1-vm2"))
    decision = world.decide("compute1", raw, world.vm("t1-vm1").key)
    assert isinstance(decision, Forward)
    assert decision.outputs == (ToPort(world.vm("t1-vm2").key, "t1-vm2"),)
    assert len(decision.conns) == 2


def _in_group(port: VmPort, group: str) -> VmPort:

    return replace(port, groups=(group,))
