"""Flows that the kernel decides by itself, from a decision for another one: when it may, and when no more."""

from __future__ import annotations

import time
from dataclasses import replace
from ipaddress import ip_address
from typing import TYPE_CHECKING

import pytest
from fabric import Fabric, inside
from trialrun import built
from virtual import World, two_tenants

from labctl.overlay.config.model import Direction, Group, Host, Rule, VmPort
from labctl.overlay.config.plan import RuleSpec, plan_group, plan_tenant
from labctl.overlay.datapath.layout import PortRecord
from labctl.overlay.flow import ConnKey
from labctl.overlay.packet import TCP
from labctl.overlay.simulation.topology import Change

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fabric import Node

    from labctl.overlay.config.state import Edit

pytestmark = pytest.mark.netns
UNDERLAY = {"compute1": ("198.18.0.1",), "compute2": ("198.18.0.2",)}


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(tmp_path_factory.mktemp("bpf"))


@pytest.fixture(scope="module")
def fabric(target: Path) -> Iterator[Fabric]:
    made = Fabric("Ks", target, UNDERLAY, slots=4)
    yield made
    made.close()


def strict() -> Edit:
    """t1-vm2 lets nobody in; t1-vm1 lets in what is for port 80, and may send nothing but answers."""
    edit = two_tenants()
    plan_group(edit, "t1", "web", [RuleSpec(Direction.IN, "tcp", "80", "")])
    plan_group(edit, "t1", "closed", [RuleSpec(Direction.OUT)])
    for port in edit.all(VmPort):
        if port.name in ("t1-vm1", "t1-vm2"):
            edit.put(replace(port, groups=("web" if port.name == "t1-vm1" else "closed",)))
    return edit


@pytest.fixture
def world(fabric: Fabric) -> World:
    made = World.of(strict().items())
    fabric.use(made.topology)
    return made


def sends(fabric: Fabric, world: World, ports: tuple[int, int], sender: str = "t1-vm2") -> list[str]:
    """Who gets a packet between t1-vm1 and t1-vm2."""
    other = "t1-vm1" if sender == "t1-vm2" else "t1-vm2"
    raw = world.request(sender, world.address(other), proto=TCP, ports=ports)
    return [name for _, name, _ in fabric.send(world.vm(sender).host, sender, raw)]


def counted(fabric: Fabric, what: str) -> int:
    return sum(node.cache.counters()[what] for node in fabric.nodes.values())


def made_by_kernel(node: Node) -> list[bytes]:
    return [key for key, entry in node.cache.entries() if entry.generation]


def talk(fabric: Fabric, world: World, port: int) -> None:
    """A connection to t1-vm1's port 80, with an answer."""
    assert sends(fabric, world, (port, 80)) == ["t1-vm1"]
    assert sends(fabric, world, (80, port), "t1-vm1") == ["t1-vm2"]


def change(fabric: Fabric, world: World, *changes: Change) -> World:
    topology, tags = world.topology.apply(list(changes))
    for node in fabric.nodes.values():
        node.change(topology, tags)
    return World(topology)


def test_the_next_connections_to_a_service_meet_no_agent_and_are_known_to_firewalls(
    fabric: Fabric, world: World
) -> None:
    talk(fabric, world, 1000)
    upcalls, made = counted(fabric, "upcall"), counted(fabric, "made")
    for port in range(2000, 2050):
        talk(fabric, world, port)
    assert counted(fabric, "upcall") == upcalls
    assert counted(fabric, "made") == made + 4 * 50
    known = {key for node in fabric.nodes.values() for key in node.connections()}
    assert len(known) == 2 * 51
    # The service may answer to nobody who has not asked.
    assert sends(fabric, world, (80, 3000), "t1-vm1") == []
    assert sends(fabric, world, (81, 2000), "t1-vm1") == []
    assert sends(fabric, world, (4000, 81)) == []


def test_a_drop_that_waits_for_a_connection_ends_when_the_kernel_makes_it(
    fabric: Fabric, world: World
) -> None:
    assert sends(fabric, world, (80, 2000), "t1-vm1") == []  # nobody has asked; and there is an entry
    assert sends(fabric, world, (80, 2000), "t1-vm1") == []
    talk(fabric, world, 1000)
    upcalls = counted(fabric, "upcall")
    assert sends(fabric, world, (2000, 80)) == ["t1-vm1"]
    assert counted(fabric, "upcall") == upcalls
    assert sends(fabric, world, (80, 2000), "t1-vm1") == ["t1-vm2"]


def test_drops_leave_no_entry_and_push_out_nobodys(fabric: Fabric, world: World) -> None:
    assert sends(fabric, world, (80, 1), "t1-vm1") == []
    before = {name: len(node.cache.entries()) for name, node in fabric.nodes.items()}
    for port in range(100, 200):
        assert sends(fabric, world, (80, port), "t1-vm1") == []
    assert {name: len(node.cache.entries()) for name, node in fabric.nodes.items()} == before


def test_a_rule_that_goes_takes_the_flows_with_it_that_only_the_kernel_knows(
    fabric: Fabric, world: World
) -> None:
    for port in range(1000, 1010):
        talk(fabric, world, port)
    assert made_by_kernel(fabric.nodes["compute1"])
    rules = [
        rule.name
        for rule in world.topology.items[Rule].values()
        if isinstance(rule, Rule) and rule.group == "web" and rule.port_min == 80
    ]
    later = change(fabric, world, *(Change(Rule, name, None) for name in rules))
    for port in (1000, 1005, 1009, 1500):
        assert sends(fabric, later, (port, 80)) == []
        assert sends(fabric, later, (80, port), "t1-vm1") == []


def test_a_change_that_leaves_a_decision_as_it_was_costs_its_flows_no_upcall(
    fabric: Fabric, world: World
) -> None:
    for port in range(1000, 1020):
        talk(fabric, world, port)
    edit = strict()
    plan_tenant(edit, "t9")
    new = [Change(type(item), item.name, item) for item in edit.items()]
    upcalls, made = counted(fabric, "upcall"), counted(fabric, "made")
    later = change(fabric, world, *new)  # touches nobody
    for port in range(1000, 1020):
        talk(fabric, later, port)
    assert (counted(fabric, "upcall"), counted(fabric, "made")) == (upcalls, made)
    rule = next(
        rule
        for rule in later.topology.items[Rule].values()
        if isinstance(rule, Rule) and rule.group == "web" and rule.port_min == 80 and rule.version == 4
    )
    later = change(fabric, later, Change(Rule, rule.name, replace(rule, port_max=90)))  # touches all
    for port in range(1000, 1020):
        talk(fabric, later, port)
    assert counted(fabric, "upcall") == upcalls
    assert counted(fabric, "made") > made


def test_flows_of_a_decision_that_looks_at_more_ports_than_before_are_decided_one_by_one(
    fabric: Fabric, world: World
) -> None:
    for port in range(1000, 1010):
        assert sends(fabric, world, (port, 80)) == ["t1-vm1"]
    group = world.topology.items[Group]["closed"]
    # What t1-vm2 may send hung on no port number so far.
    rules = [
        Change(Rule, rule.name, replace(rule, proto=TCP, port_min=80, port_max=80))
        for rule in world.topology.items[Rule].values()
        if isinstance(rule, Rule) and rule.group == group.name
    ]
    node = fabric.nodes["compute2"]
    before = node.cache.counters()["upcall"]
    later = change(fabric, world, *rules)
    for port in range(1000, 1010):
        assert sends(fabric, later, (port, 80)) == ["t1-vm1"]
    assert node.cache.counters()["upcall"] == before


def test_a_return_flow_that_the_kernel_made_ends_with_its_connection(fabric: Fabric, world: World) -> None:
    for port in (1000, 1001):
        talk(fabric, world, port)
    for node in fabric.nodes.values():
        node.cache.forget_connections(node.connections())
        node.age()
    assert sends(fabric, world, (80, 1001), "t1-vm1") == []
    talk(fabric, world, 1001)  # asked anew
    assert sends(fabric, world, (80, 1000), "t1-vm1") == []


def test_flows_in_use_keep_their_connections_alive_without_an_agent(fabric: Fabric, world: World) -> None:
    for port in (1000, 1001):
        talk(fabric, world, port)
    node = fabric.nodes["compute1"]
    node.cache.remember_connections([(key, 1) for key in node.connections()])

    def renewed() -> list[bytes]:
        return [key for rows in node.cache.connections() for key, seen in rows if seen > 1]

    end = time.monotonic() + 5
    while not renewed() and time.monotonic() < end:  # never idle, so it is not idleness that renews them
        assert sends(fabric, world, (1001, 80)) == ["t1-vm1"]
        time.sleep(0.05)
    assert [ConnKey.unpack(key).remote_port for key in renewed()] == [1001]


def test_longer_or_older_packets_than_a_megaflow_holds_for_go_to_the_agent_and_make_no_entry(
    fabric: Fabric, world: World
) -> None:
    talk(fabric, world, 1000)
    node = fabric.nodes["compute2"]
    vm, far = world.vm("t1-vm2"), world.address("t1-vm1")
    before = set(made_by_kernel(node))
    raw = world.request(vm.name, far, proto=TCP, ports=(1007, 80), size=1500)
    assert "t1-vm1" not in [name for _, name, _ in fabric.send(vm.host, vm.name, raw)]
    assert set(made_by_kernel(node)) == before


def test_the_kernels_own_flows_outlive_the_agent_and_the_next_one_takes_them_over(
    fabric: Fabric, world: World, target: Path
) -> None:
    talk(fabric, world, 1000)
    for node in fabric.nodes.values():
        node.channel.close()
        node.cache.close()
    # While there is none, megaflows still hold.
    node = fabric.nodes["compute2"]
    for port in range(2000, 2010):
        node.taps[node.slot_of["t1-vm2"]].send(
            world.request("t1-vm2", world.address("t1-vm1"), proto=TCP, ports=(port, 80))
        )
    time.sleep(0.2)
    for name, one in fabric.nodes.items():
        one.cache, one.channel, _ = fabric.agent(one.namespace, target, UNDERLAY[name], [])
        assert one.cache.adopted
        assert len(made_by_kernel(one)) >= 10
        one.restart(world.topology)
        assert one.cache.megaflows() == []
    assert len(fabric.settle()) == 10
    for one in fabric.nodes.values():
        one.change(world.topology, set())
        left = [key for key, _ in one.cache.entries()]
        one.engine.adopt(left[1:], time.monotonic_ns())
        one.engine.adopted()
        assert set(made_by_kernel(one)) <= set(left[:1])
    for port in range(2000, 2010):
        talk(fabric, world, port)  # also that of the entry that nobody adopted


def test_what_the_kernel_makes_by_itself_is_rationed_by_port(fabric: Fabric, world: World) -> None:
    talk(fabric, world, 1000)
    node, vm = fabric.nodes["compute2"], world.vm("t1-vm2")
    with inside(node.namespace):
        node.cache.bind(node.ifindexes[node.slot_of[vm.name]], PortRecord(vm.key, 1, 5))
    before = len(made_by_kernel(node))
    for port in range(2000, 2060):
        sends(fabric, world, (port, 80))
    assert len(made_by_kernel(node)) - before <= 2 * 5 + 3
    assert node.cache.bound()[node.ifindexes[node.slot_of[vm.name]]].rate_limited >= 30


def test_a_hosts_new_address_reaches_the_flows_of_the_kernel_at_once(fabric: Fabric, world: World) -> None:
    """The tunnels' far end is in every entry: none may go on to the old one."""
    for port in range(1000, 1010):
        talk(fabric, world, port)
    node = fabric.nodes["compute2"]
    host = world.topology.items[Host]["compute1"]
    assert isinstance(host, Host)
    elsewhere = ip_address("198.18.0.77")
    later = change(fabric, world, Change(Host, host.name, replace(host, tunnel=elsewhere)))
    for port in range(1000, 1010):
        assert sends(fabric, later, (port, 80)) == []
    used = [
        entry
        for key, entry in node.cache.entries()
        if entry.tunnel_dst and (not entry.generation or node.engine._megaflows.is_alive(entry.generation))
    ]
    assert used
    assert {entry.tunnel_dst for entry in used} == {str(elsewhere)}
