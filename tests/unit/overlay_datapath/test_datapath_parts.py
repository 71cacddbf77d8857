# ruff: noqa: ARG002 - the memory takes what a kernel would
"""Parts of agent and datapath that need no kernel: turns, reasons, megaflows, records."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from virtual import World, random_world, two_tenants

from labctl.overlay.agent.connections import Connections
from labctl.overlay.agent.engine import FlowEngine
from labctl.overlay.agent.entries import entry_of
from labctl.overlay.agent.fair_queue import RoundRobinQueue
from labctl.overlay.agent.flow_records import FlowTable, make_record
from labctl.overlay.agent.host import decide_by
from labctl.overlay.agent.megaflow import Made, Megaflow, MegaflowTable
from labctl.overlay.agent.ports import Bound, PortBindings
from labctl.overlay.agent.probe_packet import packet_of
from labctl.overlay.datapath.channel import Upcall
from labctl.overlay.datapath.layout import (
    INDICES,
    MEGAFLOW_SIZE,
    ConnRef,
    ConnRequirement,
    DatapathAction,
    DatapathSettings,
    Flag,
    FlowEntry,
    PortRecord,
    Variant,
)
from labctl.overlay.flow import FROM_TUNNEL, ConnKey, Drop, FlowKey, Forward, ToPort
from labctl.overlay.flow import ReadPorts as Read
from labctl.overlay.packet import ICMP, TCP, UDP
from labctl.overlay.simulation.engine import simulate

if TYPE_CHECKING:
    from collections.abc import Iterator

HEAD = bytes(10)


class Memory:
    """A cache and a channel that only remember."""

    def __init__(self) -> None:
        self.entries: dict[bytes, FlowEntry] = {}
        self.kept: dict[bytes, int] = {}
        self.written: dict[bytes, list[bytes]] = {}
        self.valid = [0] * INDICES
        self.sent: list[bytes] = []
        self.looked_through = 0
        self.opened: dict[int, int] = {}
        self.ceilings: dict[int, int] = {}

    def put(self, rows: Any) -> None:
        self.entries |= {key: FlowEntry.unpack(value) for key, value in rows}

    def write(self, rows: Any, *, fixed: bool = False) -> None:
        if not fixed:
            self.entries |= dict(rows)

    def restore(self, key: bytes, value: bytes) -> bool:
        if key in self.entries:
            return False
        self.put([(key, value)])
        return True

    def remove(self, keys: Any, *, fixed: bool = False) -> int:
        return sum(self.entries.pop(key, None) is not None for key in keys)

    def remember_connections(self, rows: Any) -> None:
        self.kept |= dict(rows)

    def forget_connections(self, keys: Any) -> None:
        for key in keys:
            self.kept.pop(key, None)

    def knows(self, conn: bytes) -> bool:
        return conn in self.kept

    def connections(self) -> Iterator[list[tuple[bytes, int]]]:
        yield list(self.kept.items())

    def connection_quotas(self) -> dict[int, tuple[int, int]]:
        return {port: (self.connections_opened(port), 0) for port in self.ceilings}

    def connections_opened(self, port: int) -> int:
        return self.opened.get(port, 0)

    def limit_connections(self, port: int, ceiling: int) -> None:
        self.ceilings[port] = ceiling

    def forget_quota(self, port: int) -> None:
        self.ceilings.pop(port, None)
        self.opened.pop(port, None)

    def write_megaflow(self, key: bytes, variants: Any) -> None:
        self.written[key] = list(variants)
        if not variants:
            del self.written[key]

    def megaflows(self) -> list[bytes]:
        return list(self.written)

    def active(self) -> list[int]:
        return list(self.valid)

    def activate(self, generations: Any) -> None:
        for generation in generations:
            self.valid[generation % INDICES] = generation

    def made_by(self, generations: Any) -> list[bytes]:
        self.looked_through += 1
        return [key for key, entry in self.entries.items() if entry.generation in generations]

    def again(self, upcall: Upcall) -> None:
        self.sent.append(upcall.frame)

    def out_of(self, interface: str, frame: bytes, head: bytes = HEAD) -> None:
        self.sent.append(frame)

    def into(self, origin: int, frame: bytes, head: bytes = HEAD) -> None:
        self.sent.append(frame)


def engine_of(world: World, host: str, memory: Memory) -> tuple[FlowEngine, PortBindings]:
    ports = PortBindings()
    for number, view in enumerate(world.topology.ports.values(), 10):
        if view.item.host == host:
            ports.bind(Bound(view.key, f"p{number}", number))
    return FlowEngine(decide_by(world.topology, host), ports, memory, memory, Connections(memory)), ports


def origin_of(ports: PortBindings, key: int) -> int:
    found = ports.ifindex(key)
    assert found is not None
    return found


def test_one_that_sends_much_waits_for_itself_alone() -> None:
    queue = RoundRobinQueue(most=10)
    for number in range(50):
        queue.push(Upcall(1, HEAD, bytes([number])))
    queue.push(Upcall(2, HEAD, b"x"))
    order = [queue.take() for _ in range(len(queue))]
    assert [one.origin for one in order[:2]] == [1, 2]
    assert queue.dropped == 40
    assert [one.frame[0] for one in order if one.origin == 1] == list(range(40, 50))
    with pytest.raises(IndexError):
        queue.take()


@given(st.lists(st.tuples(st.integers(1, 4), st.booleans()), max_size=60))
def test_turns_keep_the_order_of_each_origin_and_lose_nothing(steps: list[tuple[int, bool]]) -> None:
    queue, joined, taken = RoundRobinQueue(), [], []
    for number, (origin, take) in enumerate(steps):
        if take and queue:
            taken.append(queue.take().frame)
        else:
            joined.append((origin, b"%d" % number))
            queue.push(Upcall(origin, HEAD, b"%d" % number))
    taken += [queue.take().frame for _ in range(len(queue))]
    assert sorted(taken) == sorted(frame for _, frame in joined)
    for origin in range(1, 5):
        mine = [frame for whose, frame in joined if whose == origin]
        assert [frame for frame in taken if frame in mine] == mine


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3), st.booleans()), max_size=40))
def test_the_table_finds_what_a_tag_touches(steps: list[tuple[int, int, bool]]) -> None:
    table = FlowTable()
    told: dict[bytes, int] = {}
    for flow, tag, gone in steps:
        key = bytes([flow])
        if gone:
            table.remove([key])
            told.pop(key, None)
            continue
        table.put(
            key, make_record(FlowEntry(DatapathAction.DROP)), table.dependencies(frozenset((f"port:{tag}",)))
        )
        told[key] = tag
    assert table.keys() == set(told)
    for tag in range(4):
        assert table.touched([f"port:{tag}"]) == ({key for key, t in told.items() if t == tag}, [])
    table.remove(list(told))
    assert table.touched([f"port:{tag}" for tag in range(4)]) == (set(), [])
    assert not table._sets


@given(st.integers(0, 10**9))
def test_every_entry_of_an_engine_is_what_a_fresh_simulation_says(seed: int) -> None:
    """Also those made from an earlier decision, and those made ahead for replies."""
    dice = random.Random(seed)
    world = World.of(random_world(seed).items())
    memory = Memory()
    engine, ports = engine_of(world, "compute1", memory)
    names = [name for name, view in world.topology.ports.items() if view.item.host == "compute1"]
    if not names:
        return
    everybody = sorted(world.topology.ports)
    pairs = [(dice.choice(names), dice.choice(everybody)) for _ in range(3)]
    for _ in range(40):
        sender, other = dice.choice(pairs)
        version = dice.choice((4, 6))
        proto = dice.choice((UDP, TCP, ICMP))
        numbers = (dice.randint(1, 5000), dice.randint(1, 3))
        if proto == ICMP:
            numbers = (dice.choice((8, 0) if version == 4 else (128, 129)), dice.randint(1, 9))
        elif dice.random() < 0.5:
            numbers = numbers[::-1]
        raw = world.request(sender, world.address(other, version), proto=proto, ports=numbers)
        engine.upcall(Upcall(origin_of(ports, world.vm(sender).key), HEAD, raw), 1)
    for packed, entry in memory.entries.items():
        key = FlowKey.unpack(packed)
        decision = simulate(world.topology, "compute1", packet_of(key), key.ingress, engine.established)
        if any(
            engine.established(ref.of(key)) for ref in entry.conns if ref.wanted is ConnRequirement.UNKNOWN
        ):
            continue  # the kernel asks before it drops, and finds it
        if isinstance(decision, Forward):
            assert replace(entry, conns=()) == entry_of(decision, ports)
        else:
            assert entry.action in (DatapathAction.DROP, DatapathAction.UPCALL)


def test_another_connection_to_the_same_service_is_not_simulated_and_its_reply_is_awaited() -> None:
    world, memory = World.of(two_tenants().items()), Memory()
    engine, ports = engine_of(world, "compute1", memory)
    origin = origin_of(ports, world.vm("t1-vm1").key)
    for port in range(1000, 1050):
        raw = world.request("t1-vm1", world.address("t1-vm2"), proto=TCP, ports=(port, 80))
        engine.upcall(Upcall(origin, HEAD, raw), 1)
    assert engine.counts["flow"] == 1
    assert engine.counts["flow, like another"] >= 98
    assert len(memory.written) == 2  # the kernel would have done it by itself
    assert len(memory.entries) == 100
    assert len(memory.sent) == 50


def test_an_evicted_entry_comes_back_with_the_next_packet_and_one_not_seen_is_forgotten() -> None:
    world, memory = World.of(two_tenants().items()), Memory()
    engine, ports = engine_of(world, "compute1", memory)
    raw = world.request("t1-vm1", world.address("t1-vm2"))
    upcall = Upcall(origin_of(ports, world.vm("t1-vm1").key), HEAD, raw)
    engine.upcall(upcall, 1)
    written = dict(memory.entries)
    memory.entries.clear()
    engine.upcall(upcall, 2)
    assert len(memory.entries) == 1
    assert engine.counts["written again"] == 1
    engine.scan_begins()
    engine.seen(list(memory.entries.items()), 3)
    engine.scan_ends()
    assert len(engine) == 1
    assert len(written) == 2


def test_an_entry_that_comes_back_brings_its_connection_that_was_evicted_as_well() -> None:
    """The answer to the very packet that brings it back would be dropped."""
    world, memory = World.of(two_tenants().items()), Memory()
    engine, ports = engine_of(world, "compute1", memory)
    raw = world.request("t1-vm1", world.address("t1-vm2"), proto=ICMP, ports=(8, 7))
    upcall = Upcall(origin_of(ports, world.vm("t1-vm1").key), HEAD, raw)
    engine.upcall(upcall, 1)
    known = set(memory.kept)
    assert known
    memory.entries.clear()
    memory.kept.clear()
    engine.upcall(upcall, 2)
    assert engine.counts["written again"] == 1
    assert set(memory.kept) == known


def test_a_first_fragment_whose_later_ones_are_known_no_more_is_decided_again() -> None:
    """The kernel lets it through by no entry that hangs on both; sent again by that one it would be lost."""
    world, memory = World.of(two_tenants().items()), Memory()
    engine, ports = engine_of(world, "compute1", memory)
    key = world.vm("t1-vm1").key
    raw = world.request("t1-vm1", world.address("t1-vm2"), ports=(1000, 2000))
    engine.upcall(Upcall(origin_of(ports, key), HEAD, raw), 1)
    back = bytearray(world.request("t1-vm2", world.address("t1-vm1"), ports=(2000, 1000)))
    back[20] |= 0x20  # more fragments
    upcall = Upcall(FROM_TUNNEL | key, HEAD, bytes(back))
    engine.upcall(upcall, 2)
    (later,) = [conn for conn in memory.kept if not ConnKey.unpack(conn).local_port]
    del memory.kept[later]
    engine.upcall(upcall, 3)
    assert later in memory.kept
    assert engine.counts["again"] == 0


def test_a_change_of_what_drops_looks_through_no_entries_since_the_kernel_makes_none_of_it() -> None:
    world, memory = World.of(two_tenants().items()), Memory()
    engine, ports = engine_of(world, "compute1", memory)
    raw = b"\2nobdy" + world.request("t1-vm1", world.address("t1-vm2"))[6:]
    engine.upcall(Upcall(origin_of(ports, world.vm("t1-vm1").key), HEAD, raw), 1)
    assert engine.counts["drop: unknown destination mac"] == 1
    assert len(memory.written) == 1
    assert engine.revalidate([f"mac:{world.vm('t1-vm1').network}:{raw[:6].hex()}"], 2) == 1
    assert not memory.written
    assert memory.looked_through == 0


def test_idle_entries_go_and_used_ones_stay() -> None:
    world, memory = World.of(two_tenants().items()), Memory()
    engine, ports = engine_of(world, "compute1", memory)
    raw = world.request("t1-vm1", world.address("t1-vm2"))
    engine.upcall(Upcall(origin_of(ports, world.vm("t1-vm1").key), HEAD, raw), 1)
    engine.seen(list(memory.entries.items()), 30_000_000_000)
    assert len(memory.entries) == 2
    engine.seen(list(memory.entries.items()), 61_000_000_000)
    assert not memory.entries
    assert len(engine) == 0


refs = st.builds(
    ConnRef,
    port=st.integers(0, 2**24 - 1),
    inbound=st.booleans(),
    is_sender=st.booleans(),
    wanted=st.sampled_from(ConnRequirement),
    later=st.booleans(),
)


@given(
    st.builds(
        FlowEntry,
        action=st.sampled_from(
            [DatapathAction.DROP, DatapathAction.PORT, DatapathAction.TUNNEL, DatapathAction.UPCALL]
        ),
        out_ifindex=st.integers(0, 2**31),
        tunnel_key=st.integers(0, 2**24 - 1),
        mtu=st.integers(0, 65535),
        ttl=st.integers(0, 255),
        flags=st.sampled_from([Flag.NONE, Flag.MACS, Flag.PEER, Flag.MACS | Flag.PEER]),
        dmac=st.binary(min_size=6, max_size=6),
        smac=st.binary(min_size=6, max_size=6),
        conns=st.lists(refs, max_size=2).map(tuple),
        generation=st.integers(0, 2**32 - 1),
    )
)
def test_an_entry_survives_packing(entry: FlowEntry) -> None:
    if entry.action is DatapathAction.TUNNEL:
        return
    assert FlowEntry.unpack(entry.pack()) == entry
    assert FlowEntry.generation_of(entry.pack()) == entry.generation
    assert len(entry.pack()) == FlowEntry.SIZE


@given(st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)))
def test_a_tunnel_entry_keeps_its_remote(remote: object) -> None:
    entry = FlowEntry(DatapathAction.TUNNEL, tunnel_key=5, tunnel_dst=str(remote))
    assert FlowEntry.unpack(entry.pack()) == entry


def test_records_have_the_sizes_that_the_programs_declare() -> None:
    assert PortRecord.unpack(PortRecord(7, 100, 10, 3).pack()) == PortRecord(7, 100, 10, 3)
    packed = DatapathSettings(3, 4, ("198.18.0.1", "fd00::1"), checked=True).pack()
    assert packed == b"\3\0\0\0\4\0\0\0\xc6\x12\0\1\1\0\0\0\xfd" + bytes(14) + b"\1"


def test_a_megaflow_has_the_size_that_the_programs_declare() -> None:
    assert len(Variant((), 0, 0, FlowEntry(DatapathAction.DROP)).pack()) * 4 == MEGAFLOW_SIZE


FLOW = FlowKey(1, 0x0800, TCP, 0, b"a" * 6, b"b" * 6, 1000, 80, bytes(15) + b"1", bytes(15) + b"2")


def written(
    megaflows: MegaflowTable,
    table: FlowTable,
    flow: FlowKey,
    read: Read = Read.DESTINATION,
    *,
    known: bool = False,
) -> None:
    """Keep a decision for a flow that asked about one connection."""
    tag = f"port:{flow.ingress}"
    decision = Forward((ToPort(2, "two"),), b"c" * 6, b"d" * 6, 1, 1450, (), frozenset((tag,)), read=read)
    asked = [(ConnKey(1, TCP, flow.sport, flow.dport, flow.src, flow.dst, True), known)]
    made = Made(
        decision,
        make_record(FlowEntry(DatapathAction.PORT, 3, mtu=1450, ttl=1), 1),
        table.dependencies(decision.tags),
        asked,
    )
    assert megaflows.keep(flow, packet_of(flow), made)
    megaflows.flush()


def test_what_dies_with_a_megaflow_dies_at_once_and_its_generation_does_not_come_back() -> None:
    table, memory = FlowTable(), Memory()
    megaflows = MegaflowTable(table, memory)
    seen: set[int] = set()
    for _ in range(5):
        written(megaflows, table, FLOW)
        _, (megaflow,) = table.touched(["port:1"])
        assert memory.valid[megaflow.generation % INDICES] == megaflow.generation
        assert megaflow.generation not in seen
        seen.add(megaflow.generation)
        megaflows.kill([megaflow])
        assert not memory.written
        assert memory.valid[megaflow.generation % INDICES] != megaflow.generation
        assert table.touched(["port:1"]) == (set(), [])


def test_a_withdrawn_megaflow_makes_nothing_new_but_what_it_made_lives_until_it_is_killed() -> None:
    table, memory = FlowTable(), Memory()
    megaflows = MegaflowTable(table, memory)
    written(megaflows, table, FLOW)
    _, (old,) = table.touched(["port:1"])
    megaflows.withdraw([old])
    written(megaflows, table, FLOW)
    assert len(memory.written[old.key]) == 1
    assert memory.valid[old.generation % INDICES] == old.generation
    megaflows.kill([old])
    assert len(memory.written[old.key]) == 1  # the one in its place
    assert memory.valid[old.generation % INDICES] != old.generation


@pytest.mark.slow
def test_the_oldest_megaflow_makes_room_when_all_generations_are_taken_and_takes_its_flows_with_it() -> None:
    table, memory = FlowTable(), Memory()
    megaflows = MegaflowTable(table, memory)
    for number in range(INDICES + 10):
        written(megaflows, table, FLOW._replace(ingress=number))
    assert len(megaflows) == INDICES - 1
    assert len(memory.written) == INDICES - 1
    assert table.touched([f"port:{number}" for number in range(11)]) == (set(), [])
    _, (newest,) = table.touched([f"port:{INDICES + 9}"])
    assert memory.valid[newest.generation % INDICES] == newest.generation


@pytest.mark.slow
def test_a_vm_that_talks_to_everybody_pushes_out_its_own_megaflow_and_not_those_of_others() -> None:
    table, memory = FlowTable(), Memory()
    megaflows = MegaflowTable(table, memory)
    written(megaflows, table, FLOW)
    _, (mine,) = table.touched(["port:1"])
    for number in range(INDICES + 10):
        written(megaflows, table, FLOW._replace(ingress=2, dst=number.to_bytes(16, "big")))
    assert len(megaflows) == INDICES - 1
    assert memory.valid[mine.generation % INDICES] == mine.generation
    assert memory.written[mine.key]
    # A third one finds room, too: whoever has most makes it.
    written(megaflows, table, FLOW._replace(ingress=3))
    assert len(megaflows) == INDICES - 1
    assert memory.valid[mine.generation % INDICES] == mine.generation


def test_the_next_agent_uses_no_megaflow_of_the_last_one_and_lets_its_flows_live_until_they_are_adopted() -> (
    None
):
    table, memory = FlowTable(), Memory()
    written(MegaflowTable(table, memory), table, FLOW)
    _, (old,) = table.touched(["port:1"])
    table = FlowTable()
    megaflows = MegaflowTable(table, memory)
    assert not memory.written
    assert memory.valid[old.generation % INDICES] == old.generation
    written(megaflows, table, FLOW)
    _, (new,) = table.touched(["port:1"])
    assert new.generation % INDICES != old.generation % INDICES
    megaflows.kill_unowned()
    assert memory.valid[old.generation % INDICES] != old.generation
    assert memory.valid[new.generation % INDICES] == new.generation


def test_one_that_opens_and_one_that_returns_stand_under_the_same_key_and_answers_tell_them_apart() -> None:
    table, memory = FlowTable(), Memory()
    megaflows = MegaflowTable(table, memory)
    written(megaflows, table, FLOW)
    written(megaflows, table, FLOW, known=True)
    _, both = table.touched(["port:1"])
    assert [len(variants) for variants in memory.written.values()] == [2]

    def find(*, established: bool) -> Megaflow | None:
        return megaflows.find(FLOW._replace(sport=7), packet_of(FLOW), lambda _: established)

    found = [find(established=answer) for answer in (False, True)]
    assert set(found) == set(both)
    assert len(set(found)) == 2


@pytest.mark.parametrize("ports", [(67, 9), (9, 68), (546, 9), (9, 547)])
def test_what_has_to_do_with_dhcp_is_left_to_the_simulation(ports: tuple[int, int]) -> None:
    table = FlowTable()
    megaflows = MegaflowTable(table, Memory())
    flow = FLOW._replace(sport=ports[0], dport=ports[1])
    made = Made(
        Drop("no", frozenset(), read=Read.NONE),
        make_record(FlowEntry(DatapathAction.DROP)),
        table.dependencies(frozenset()),
        [],
    )
    assert not megaflows.keep(flow, packet_of(flow), made)
    assert not megaflows.keep(FLOW._replace(proto=ICMP), packet_of(flow), made)
    assert not megaflows.keep(FLOW._replace(frag=1), packet_of(flow), made)
    assert megaflows.keep(FLOW, packet_of(FLOW), made)
