"""What templates see: who is behind a port, which sessions there are, what belongs to which side."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labctl.load import load_topology
from labctl.model.routing import RoutingPlan, plan_routing
from labctl.shipped import folder

if TYPE_CHECKING:
    from pathlib import Path


def seen(topology: Path, *sets: str) -> dict[str, RoutingPlan]:
    return plan_routing(load_topology(topology, sets))


def written(tmp_path: Path, text: str) -> dict[str, RoutingPlan]:
    path = tmp_path / "lab.yml"
    path.write_text(text)
    return seen(path)


def test_unnumbered_session_with_every_router_next_door() -> None:
    r1 = seen(folder("topologies") / "ecmp-gateways.yml")["r1"]
    assert [(s.device, s.peer, s.address, s.versions) for s in r1.sessions] == [
        ("eth2", "gw1", None, (4, 6)),
        ("eth3", "gw2", None, (4, 6)),
        ("eth4", "gw3", None, (4, 6)),
    ]
    assert {group.name for group in r1.groups} == {"fabric"}


def test_a_gateway_has_one_group_a_side_and_tags_are_the_labs() -> None:
    plans = seen(folder("topologies") / "ecmp-gateways.yml")
    for name in ("gw1", "gw2", "gw3"):
        gateway = plans[name]
        assert [(side.name, side.tag, side.ports) for side in gateway.sides] == [
            ("ext1", 1, ("eth1", "eth2")),
            ("leaf1", 2, ("eth3",)),
        ]
        assert [group.name for group in gateway.groups] == ["side-ext1", "side-leaf1"]


def test_a_router_routes_to_its_hosts_and_announces_them() -> None:
    leaf = seen(folder("topologies") / "ecmp-gateways.yml")["leaf1"]
    srv = leaf.ports[-1].hosts[0].node
    assert {str(route.prefix) for route in leaf.host_routes} == {
        str(srv.loopback4.network),  # type: ignore[union-attr]
        str(srv.loopback6.network),  # type: ignore[union-attr]
    }
    assert {route.prefix for route in leaf.host_routes} <= set(leaf.networks)


def test_a_host_has_one_exit_an_uplink_in_both_families() -> None:
    host = seen(folder("topologies") / "ecmp-gateways.yml")["ext1"]
    assert [exit_.device for exit_ in host.exits4] == ["eth1", "eth2"]
    assert [exit_.device for exit_ in host.exits6] == ["eth1", "eth2"]
    assert host.sessions == ()


def test_links_to_hosts_with_other_uplinks_are_deferred_and_those_to_others_are_not() -> None:
    plans = seen(folder("topologies") / "ecmp-gateways.yml")
    assert plans["r1"].deferred_up == ("eth1",)
    assert plans["leaf1"].deferred_up == ()
    assert not plans["leaf1"].gated


def test_across_switches_routers_peer_by_address_family_by_family() -> None:
    plans = seen(folder("topologies") / "segment.yml")
    r1 = plans["r1"]
    across = [s for s in r1.sessions if s.address]
    assert [(s.peer, s.group, s.versions) for s in across] == [
        ("r2", "fabric-ip4", (4,)),
        ("r2", "fabric-ip6", (6,)),
    ]
    assert {str(s.address) for s in across} == {
        str(plans["r2"].ports[0].ipv4.ip),  # type: ignore[union-attr]
        str(plans["r2"].ports[0].ipv6.ip),  # type: ignore[union-attr]
    }


def test_hosts_behind_switches_are_behind_the_port_and_exit_by_every_router() -> None:
    plans = seen(folder("topologies") / "segment.yml")
    assert {host.node.name for host in plans["r1"].ports[0].hosts} == {"h1", "h2"}
    assert len(plans["h1"].exits4) == 2
    assert plans["s1"].sessions == ()


def test_switches_in_a_circle_end(tmp_path: Path) -> None:
    plans = written(
        tmp_path,
        "name: x\nnodes: {a: {role: host}, b: {role: host}, 's[1-3]': {role: switch}}\n"
        "links: [[a, s1], [b, s3], [s1, s2], [s2, s3], [s3, s1]]\n",
    )
    assert [host.node.name for host in plans["a"].ports[0].hosts] == ["b"]


def test_two_links_between_two_routers_are_two_sessions(tmp_path: Path) -> None:
    plans = written(tmp_path, "name: x\nnodes: {'r[1-2]': {role: router}}\nlinks: [[r1, r2], [r1, r2]]\n")
    assert [session.device for session in plans["r1"].sessions] == ["eth1", "eth2"]
