"""Two real hosts: what an agent's death, a flood, a stranger or a strange frame does to others."""

from __future__ import annotations

import socket
import struct
import subprocess
import time
from dataclasses import replace
from ipaddress import ip_address
from typing import TYPE_CHECKING

import pytest
from btf import structure
from fabric import Fabric, inside
from trialrun import built
from virtual import World, two_tenants

from labctl.overlay.agent.fair_queue import RoundRobinQueue
from labctl.overlay.config.model import VmPort
from labctl.overlay.datapath import layout
from labctl.overlay.datapath.layout import DatapathAction, DatapathSettings, FlowEntry, PortRecord
from labctl.overlay.flow import FROM_TUNNEL, ConnKey, FlowKey
from labctl.overlay.packet import address_bytes
from labctl.overlay.simulation.topology import Change

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fabric import Node

pytestmark = pytest.mark.netns
UNDERLAY = {"compute1": ("198.18.0.1",), "compute2": ("198.18.0.2",)}


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(tmp_path_factory.mktemp("bpf"))


@pytest.fixture(scope="module")
def fabric(target: Path) -> Iterator[Fabric]:
    made = Fabric("Kh", target, UNDERLAY, slots=4)
    yield made
    made.close()


@pytest.fixture
def world(fabric: Fabric) -> World:
    made = World.of(two_tenants().items())
    fabric.use(made.topology)
    return made


def drained(tap: socket.socket) -> int:
    """How many frames have come out of a tap."""
    count = 0
    while True:
        try:
            tap.recv(70000)
        except BlockingIOError:
            return count
        count += 1


def flows_of(world: World, count: int) -> list[tuple[str, str, bytes]]:
    """Packets of flows between t1's VMs, both ways and both IP versions: port, other port, frame."""
    made = []
    for number in range(count):
        one, other = ("t1-vm1", "t1-vm2") if number % 2 else ("t1-vm2", "t1-vm1")
        dst = world.address(other, 6 if number % 4 > 1 else 4)
        made.append((one, other, world.request(one, dst, ports=(2000 + number, 80))))
    return made


def decided(node: Node) -> dict[bytes, FlowEntry]:
    """What becomes of packets, whoever has decided it."""
    return {key: replace(entry, generation=0, conns=()) for key, entry in node.cache.entries()}


def test_existing_flows_outlive_the_agent_and_the_next_one_takes_them_over(
    fabric: Fabric, world: World, target: Path
) -> None:
    flows = flows_of(world, 40)
    for one, other, raw in flows:
        assert [name for _, name, _ in fabric.send(world.vm(one).host, one, raw)] == [other]
    # A killed agent says nothing to anybody: its descriptors just close.
    for node in fabric.nodes.values():
        node.channel.close()
        node.cache.close()
    for one, _, raw in flows:
        node = fabric.nodes[world.vm(one).host]
        node.taps[node.slot_of[one]].send(raw)
    time.sleep(0.2)
    arrived = sum(drained(tap) for node in fabric.nodes.values() for tap in node.taps.values())
    assert arrived == len(flows)
    # Meanwhile t1-vm1 has gone, and t2-vm1 may not speak any more.
    topology, _ = world.topology.apply([Change(VmPort, "t1-vm1", None)])
    for name, node in fabric.nodes.items():
        node.cache, node.channel, _ = fabric.agent(node.namespace, target, UNDERLAY[name], [])
        assert node.cache.adopted
        assert len(node.cache.entries()) >= len(flows)
        held = dict(node.slot_of)
        node.restart(topology)
        node.change(topology, set())
        node.engine.adopt([key for key, _ in node.cache.entries()], time.monotonic_ns())
        assert held.keys() - node.slot_of.keys() <= {"t1-vm1"}
    for one, _, raw in flows:
        if one == "t1-vm2":
            assert fabric.send("compute2", one, raw) == []


def test_flows_go_on_through_a_takeover_without_a_gap(fabric: Fabric, world: World, target: Path) -> None:
    flows = flows_of(world, 20)
    for one, _, raw in flows:
        fabric.send(world.vm(one).host, one, raw)
    entries = {name: decided(node) for name, node in fabric.nodes.items()}
    for name, node in fabric.nodes.items():
        node.channel.close()
        node.cache.close()
        node.cache, node.channel, _ = fabric.agent(node.namespace, target, UNDERLAY[name], [])
        node.restart(world.topology)
        node.change(world.topology, set())
        node.engine.adopt([key for key, _ in node.cache.entries()], time.monotonic_ns())
        assert decided(node) == entries[name]
    before = {name: node.cache.counters()["upcall"] for name, node in fabric.nodes.items()}
    for one, other, raw in flows:
        assert [name for _, name, _ in fabric.send(world.vm(one).host, one, raw)] == [other]
    assert before == {name: node.cache.counters()["upcall"] for name, node in fabric.nodes.items()}


def test_a_flood_of_new_flows_does_not_starve_anothers_first_packets(fabric: Fabric, world: World) -> None:
    node = fabric.nodes["compute1"]
    flood = node.taps[node.slot_of["t1-vm1"]]
    calm = node.taps[node.slot_of["t2-vm1"]]
    far = fabric.nodes["compute2"].taps[fabric.nodes["compute2"].slot_of["t2-vm2"]]
    waiting, far_waiting = RoundRobinQueue(), RoundRobinQueue()
    waits: list[float] = []

    def serve_once() -> None:
        for name, queue in (("compute1", waiting), ("compute2", far_waiting)):
            here = fabric.nodes[name]
            for upcall in here.channel.receive(512):
                queue.push(upcall)
            some = [queue.take() for _ in range(min(len(queue), 64))]
            here.engine.serve(some, time.monotonic_ns())

    for number in range(40):
        # 300 new flows of the one, then one of the other: it comes last to the socket.
        for port in range(300):
            raw = world.request("t1-vm1", world.address("t1-vm2"), ports=(number * 300 + port + 100, 9))
            flood.send(raw)
        started = time.monotonic()
        calm.send(world.request("t2-vm1", world.address("t2-vm2"), ports=(5000 + number, 9)))
        rounds = 0
        while True:
            serve_once()
            rounds += 1
            try:
                if struct.unpack_from("!H", far.recv(2000), 34)[0] == 5000 + number:
                    break
            except BlockingIOError:
                assert time.monotonic() - started < 5, "starved"
        waits.append(rounds)
    # In turns: by the second round at each host at the latest, however many the other one has sent.
    assert sorted(waits)[len(waits) // 2] <= 3
    assert max(waits) <= 12
    fabric.settle()


def test_the_kernel_rations_each_port_and_each_tunnel_target_apart(fabric: Fabric, world: World) -> None:
    node = fabric.nodes["compute1"]
    key, ifindex = world.vm("t1-vm1").key, node.ifindexes[node.slot_of["t1-vm1"]]
    with inside(node.namespace):
        node.cache.bind(ifindex, PortRecord(key, 1, 5))
    far = fabric.nodes["compute2"]
    for port in range(60):
        node.taps[node.slot_of["t1-vm1"]].send(
            world.request("t1-vm1", world.address("t1-vm2"), ports=(100 + port, 9))
        )
    raw = world.request("t2-vm1", world.address("t2-vm2"))
    assert [name for _, name, _ in fabric.send("compute1", "t2-vm1", raw)].count("t2-vm2") == 1
    assert node.cache.bound()[ifindex].rate_limited >= 50
    # What comes by tunnel to t1-vm1 has a rate limit of its own; t2-vm1's is untouched.
    for port in range(60):
        far.taps[far.slot_of["t1-vm2"]].send(
            world.request("t1-vm2", world.address("t1-vm1"), ports=(100 + port, 7))
        )
    raw = world.request("t2-vm2", world.address("t2-vm1"), ports=(7, 7))
    assert "t2-vm1" in [name for _, name, _ in fabric.send("compute2", "t2-vm2", raw)]


def test_a_tunnel_from_a_stranger_brings_nothing(fabric: Fabric, world: World) -> None:
    vm, node = world.vm("t1-vm1"), fabric.nodes["compute1"]
    inner = world.request("t1-vm2", world.address("t1-vm1"))
    vxlan = struct.pack("!BBHI", 8, 0, 0, vm.key << 8) + inner
    with inside(f"{fabric.prefix}sw"):
        subprocess.run(["ip", "address", "add", "198.18.0.99/16", "dev", "sw"], check=True)
        stranger = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        stranger.bind(("198.18.0.99", 0))
    before = node.cache.counters()
    with stranger:
        stranger.sendto(vxlan, ("198.18.0.1", 6677))
        assert fabric.settle() == []
        assert node.cache.counters()["stranger"] == before["stranger"] + 1
        # The same from an address that is a host's arrives: it was the sender that was wrong.
        node.cache.take_tunnels_from({address_bytes(ip_address("198.18.0.99"))})
        stranger.sendto(vxlan, ("198.18.0.1", 6677))
        assert [(name, raw) for _, name, raw in fabric.settle()] == [("t1-vm1", inner)]


@pytest.mark.parametrize("length", [14, 15, 20, 33, 34, 38, 41])
def test_a_frame_cut_short_goes_nowhere(fabric: Fabric, world: World, length: int) -> None:
    raw = world.request("t1-vm1", world.address("t1-vm2"))
    assert fabric.send("compute1", "t1-vm1", raw)  # there is an entry for the whole one
    assert fabric.send("compute1", "t1-vm1", raw[:length]) == []


def test_a_frame_with_a_vlan_tag_goes_nowhere(fabric: Fabric, world: World) -> None:
    raw = world.request("t1-vm1", world.address("t1-vm2"))
    assert fabric.send("compute1", "t1-vm1", raw)
    for tag in (b"\x81\0\0\0", b"\x81\0\0\x07", b"\x88\xa8\0\x07", b"\x81\0\0\x07\x81\0\0\x07"):
        assert fabric.send("compute1", "t1-vm1", raw[:12] + tag + raw[12:]) == []


def test_a_broadcast_with_its_checksum_left_to_the_card_is_taken_by_a_receiver(
    fabric: Fabric, world: World
) -> None:
    """The agent makes the copies: it hands on what is still to be done, or receivers throw them away."""
    everybody = str(world.vm("t1-vm1").addresses[0]).rsplit(".", 1)[0] + ".255"
    places = []
    for name in ("t1-vm1", "t1-vm2"):
        vm = world.vm(name)
        node = fabric.nodes[vm.host]
        slot = f"v{node.slot_of[name]}"
        places.append((node.far, slot))
        done = [
            f"link set {slot} address {vm.mac} arp on",
            f"address add {vm.addresses[0]}/24 broadcast + dev {slot}",
        ]
        subprocess.run(["ip", "-n", node.far, "-batch", "-"], input="\n".join(done).encode(), check=True)
    with inside(places[0][0]):
        sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with inside(places[1][0]):
        receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        with sender, receiver:
            receiver.bind(("", 9999))
            receiver.settimeout(2)
            sender.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            sender.sendto(b"hello" * 9, (everybody, 9999))
            fabric.settle()
            assert receiver.recv(100) == b"hello" * 9
    finally:
        for far, slot in places:
            subprocess.run(["ip", "-n", far, "address", "flush", "dev", slot], check=True)


def test_structures_in_python_lie_as_in_the_object(target: Path) -> None:
    sizes = {
        "flow_key": layout.FLOW_KEY_SIZE,
        "flow_value": FlowEntry.SIZE,
        "port": PortRecord.SIZE,
        "settings": len(DatapathSettings(1, 2).pack()),
        "prefix": layout.INSIDE_KEY_SIZE,
        "conn_key": layout.CONN_KEY_SIZE,
        "megaflow": layout.MEGAFLOW_SIZE,
        "variant": len(layout.Variant((), 0, 0, FlowEntry(DatapathAction.DROP)).pack()),
    }
    structs = {name: structure(target, name) for name in sizes}
    assert {name: one.size for name, one in structs.items()} == sizes
    key = FlowKey(0x01020304, 0x0506, 0x11, 0x12, b"dmac__", b"smac__", 0x2122, 0x2324, b"s" * 16, b"d" * 16)
    packed = key.pack()
    for field, value in {
        "ingress": struct.pack("=I", 0x01020304), "eth_type": struct.pack("=H", 0x0506), "proto": b"\x11",
        "match_frag": b"\x12", "dmac": b"dmac__", "smac": b"smac__", "sport": struct.pack("=H", 0x2122),
        "dport": struct.pack("=H", 0x2324), "src": b"s" * 16, "dst": b"d" * 16,
    }.items():  # fmt: skip
        at = structs["flow_key"].offsets[field]
        assert packed[at : at + len(value)] == value, field
    ref = layout.ConnRef(5, inbound=True, is_sender=True)
    entry = FlowEntry(
        DatapathAction.TUNNEL,
        7,
        8,
        "1.2.3.4",
        9,
        10,
        layout.Flag.MACS,
        b"dmac__",
        b"smac__",
        (ref,),
        11,
        12,
        13,
        14,
    )
    packed = entry.pack()
    for field, value in {
        "kind": b"\2", "out_ifindex": b"\7", "tunnel_key": b"\x08", "mtu": b"\x09", "ttl": b"\x0a",
        "flags": b"\1", "tunnel_dst": b"\1\2\3\4", "dmac": b"dmac__", "smac": b"smac__",
        "generation": b"\x0b", "conns": struct.pack("=II", 0xC1000005, 0),
        "last_ns": b"\x0c", "packets": b"\x0d", "bytes": b"\x0e",
    }.items():  # fmt: skip
        at = structs["flow_value"].offsets[field]
        assert packed[at : at + len(value)] == value, field
    variant = layout.Variant((ref,), 21, 22, entry).pack()
    for field, value in {
        "asked": struct.pack("=II", 0xC1000005, 0), "length": b"\x15\0", "ttl": b"\x16", "value": packed,
    }.items():  # fmt: skip
        at = structs["variant"].offsets[field]
        assert variant[at : at + len(value)] == value, field
    assert len(ConnKey(1, 2, 3, 4, bytes(16), bytes(16), True).pack()) == layout.CONN_KEY_SIZE
    assert FROM_TUNNEL == 0x01000000
