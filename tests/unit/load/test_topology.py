from ipaddress import IPv4Interface
from pathlib import Path

import pytest

from labctl.document.document import Document
from labctl.document.tree import parse
from labctl.errors import InputError
from labctl.load import load_topology
from labctl.load.nodes import ENOUGH
from labctl.load.ranges import expand
from labctl.load.topology import topology_from
from labctl.model.lab import Lab
from labctl.model.topology import Behaviour
from labctl.roles.model import Role, RoleVar, VarType

ROOT = Path(__file__).parents[3]
VARS = {name: RoleVar(default=0) for name in ("a", "b", "c")}
MEMORY = {"memory": RoleVar((VarType.INT,), 64), "disk": RoleVar((VarType.INT,), 1)}
ROLES = {str(kind): Role(str(kind), kind, declared=VARS) for kind in Behaviour} | {
    "vm": Role("vm", Behaviour.HOST, declared={**VARS, **MEMORY}, node_keys=("host", "network")),
    "edge": Role("edge", Behaviour.GATEWAY),
}


def load(text: str, *sets: str, name: str | None = None) -> Lab:
    return topology_from(Document("a.yml", parse(text, "a.yml"), text), sets, name, roles=ROLES)


def refused(text: str, *sets: str, name: str | None = None) -> str:
    with pytest.raises(InputError) as caught:
        load(text, *sets, name=name)
    return str(caught.value)


def links(lab: Lab) -> list[str]:
    return [f"{link.a} {link.b}" for link in lab.links]


def test_the_topology_of_the_product() -> None:
    lab = load_topology(ROOT / "topologies" / "ecmp-gateways.yml")
    assert [node.name for node in lab.nodes] == ["ext1", "r1", "r2", "gw1", "gw2", "gw3", "leaf1", "srv1"]
    assert len(lab.links) == 2 + 6 + 3 + 1
    assert {interface.side for interface in lab.node("gw2").interfaces} == {"ext1", "leaf1"}
    assert lab.node("leaf1").interfaces[3].peer.node == "srv1"


@pytest.mark.parametrize("size", [2, 3, 30, 1000])
def test_a_ring_of_any_size(size: int) -> None:
    lab = load_topology(ROOT / "topologies" / "ring.yml", [f"size={size}"])
    assert len(lab.nodes) == len(lab.links) == size
    assert all(len(node.interfaces) == 2 for node in lab.nodes)
    around, node, came_by = 0, "r1", ""
    while around == 0 or node != "r1":
        out = next(each for each in lab.node(node).interfaces if each.name != came_by)
        node, came_by = out.peer.node, out.peer.interface
        around += 1
    assert around == size


def test_a_ring_of_one_is_refused() -> None:
    said = refused((ROOT / "topologies" / "ring.yml").read_text(), "size=1")
    assert "'2-1' in 'r[2-1,1]' runs backwards" in said


def test_links_are_each_with_each_in_order() -> None:
    text = """
name: l
nodes: {"a[1-2]": {role: router}, "b[1-2]": {role: router}}
links: [["a[1-2]", "b[1-2]"]]
"""
    lab = load(text)
    assert links(lab) == ["a1:eth1 b1:eth1", "a1:eth2 b2:eth1", "a2:eth1 b1:eth2", "a2:eth2 b2:eth2"]


def test_pairs_link_the_nth_with_the_nth() -> None:
    lab = load(
        """
name: chain
vars: {n: 4}
nodes:
  r[1-{n}]: {role: router}
links:
  - {a: "r[1-{n-1}]", b: "r[2-{n}]", pair: true}
"""
    )
    assert links(lab) == ["r1:eth1 r2:eth1", "r2:eth2 r3:eth1", "r3:eth2 r4:eth1"]


def test_the_same_link_twice_is_two_parallel_links() -> None:
    lab = load("{name: l, nodes: {a: {role: router}, b: {role: router}}, links: [[a, b], [b, a]]}")
    assert links(lab) == ["a:eth1 b:eth1", "b:eth2 a:eth2"]


def test_counted_nodes_and_a_count_by_variable() -> None:
    text = """
name: l
vars: {n: 2}
nodes: {h: {role: host, count: "{n}"}, sw: {role: switch}}
links: [["h[1-{n}]", sw]]
"""
    lab = load(text, "n=3")
    assert [node.name for node in lab.nodes] == ["h1", "h2", "h3", "sw"]
    assert len(lab.links) == 3


def test_later_keys_change_nodes_that_are_there() -> None:
    lab = load(
        """
name: l
nodes:
  gw[1-3]: {role: gateway, asn: 65000, vars: {a: 1, b: 1}}
  gw2: {asn: 65010, vars: {b: 2}}
  gw[2-3]: {image: other, loopback: {ipv4: 10.1.0.1}}
  gw3: {loopback: {ipv4: 10.1.0.3}}
"""
    )
    assert [node.asn for node in lab.nodes] == [65000, 65010, 65000]
    assert [node.params["a"] for node in lab.nodes] == [1, 1, 1]
    assert [node.params["b"] for node in lab.nodes] == [1, 2, 1]
    assert [node.image for node in lab.nodes] == ["", "other", "other"]
    assert [str(node.loopback4) for node in lab.nodes] == ["10.255.0.1/32", "10.1.0.1/32", "10.1.0.3/32"]


def test_overrides_change_links_that_are_there_whichever_way_they_name_them() -> None:
    lab = load(
        """
name: l
nodes: {"gw[1-3]": {role: gateway}, leaf: {role: router}}
links:
  - {a: "gw[1-3]", b: leaf, mtu: 9000}
  - {a: leaf, b: gw2, override: true, mtu: 1400, ipv4: [10.0.0.1/24, 10.0.0.2/24]}
  - {a: leaf, b: gw2, override: true, mac: [null, "02:AA:00:00:00:01"]}
  - {a: "gw3:wan0", b: leaf, override: true}
"""
    )
    assert len(lab.links) == 3
    assert [link.mtu for link in lab.links] == [9000, 1400, 9000]
    gw2 = lab.node("gw2").interface("eth1")
    assert gw2.ipv4 == IPv4Interface("10.0.0.2/24")
    assert gw2.peer_ipv4 == IPv4Interface("10.0.0.1/24")
    assert gw2.mac == "02:aa:00:00:00:01"
    assert str(lab.links[2].a) == "gw3:wan0"


def test_an_override_names_one_of_parallel_links_by_its_interface() -> None:
    lab = load(
        """
name: l
nodes: {a: {role: router}, b: {role: router}}
links:
  - ["a:x0", b]
  - ["a:x1", b]
  - {a: b, b: "a:x1", override: true, mtu: 1300}
"""
    )
    assert [link.mtu for link in lab.links] == [1500, 1300]


def test_what_holds_for_all_and_for_a_role_gives_way_to_the_node() -> None:
    lab = load(
        """
name: l
defaults: {mtu: 9000, image: base, vars: {a: 0, b: 0, c: 0, memory: 1}}
roles: {vm: {image: vmimage, vars: {b: 1, c: 1}}}
nodes:
  v1: {role: vm, vars: {c: 2}, host: h1, network: net}
  h1: {role: host}
links: [[v1, h1], {a: v1, b: h1, mtu: 1280}]
"""
    )
    assert dict(lab.node("v1").params) == {
        "memory": 1,
        "disk": 1,
        "a": 0,
        "b": 1,
        "c": 2,
        "host": "h1",
        "network": "net",
    }
    assert (lab.node("v1").image, lab.node("h1").image) == ("vmimage", "base")
    assert [link.mtu for link in lab.links] == [9000, 1280]


def test_a_role_of_another_name_is_planned_as_it_acts() -> None:
    lab = load("{name: l, nodes: {e: {role: edge}, r: {role: router}}, links: [[e, r]]}")
    assert lab.node("e").acts_as == "gateway"
    assert lab.node("e").interfaces[0].side == "r"
    assert lab.node("r").interfaces[0].peer_role == "edge"


def test_the_name_may_come_from_the_command_line() -> None:
    assert load("{name: l, nodes: {r: {role: router}}}", name="other").name == "other"
    assert refused("{name: l, nodes: {r: {role: router}}}", name="a/b").startswith(
        "--name a/b: 'a/b' is not a name"
    )


def test_problems_of_the_command_line_and_the_file_come_together() -> None:
    said = refused("{name: l, vars: {n: 1}, nodes: {r: {role: ruter}}}", "m=1", "n=x")
    assert "--set m=1" in said
    assert "--set n=x" in said
    assert "a.yml:1:43: unknown role 'ruter'" in said


def test_a_node_may_be_named_by_a_number() -> None:
    lab = load("{name: l, nodes: {1: {role: router}, 2: {role: router}}, links: [['1', '2']]}")
    assert [node.name for node in lab.nodes] == ["1", "2"]


@pytest.mark.slow
def test_the_largest_lab_is_loaded_and_one_node_more_is_refused() -> None:
    ring = (ROOT / "topologies" / "ring.yml").read_text()
    assert len(load(ring, "size=4096").nodes) == 4096
    assert "expected at most 4096" in refused(ring, "size=4097")
    assert "expected at most 4096" in refused(ring, "size=999999999")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("head", "line"),
    [
        ("nodes: {'r[1-4096]': {role: router}}\nlinks:\n", "- ['x[1-4096]', 'y[1-4096]']\n"),
        ("nodes: {'r[1-4096]': {role: router}}\nlinks:\n", "- ['r[1-99]', 'r[100-199]']\n"),
        ("nodes:\n", "  n{number}[1-4096]: {{role: router}}\n"),
        ("nodes:\n", "  N{number}: {{rule: router}}\n"),
    ],
    ids=["unknown-nodes", "too-many-links", "too-many-nodes", "bad-keys"],
)
def test_the_ranges_of_a_file_full_of_mistakes_are_expanded_only_until_there_is_enough_to_mend(
    head: str, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Each range is 4096 names, and a file of 1 MiB has room for 60 000 of them.
    expanded: list[str] = []

    def counted(pattern: str, *bounds: int) -> tuple[str, ...]:
        expanded.append(pattern)
        return expand(pattern, *bounds)

    monkeypatch.setattr("labctl.load.nodes.expand", counted)
    monkeypatch.setattr("labctl.load.links.expand", counted)
    said = refused("name: l\n" + head + "".join(line.format(number=number) for number in range(1000)))
    assert "expected" in said or "unknown" in said
    assert 2 < len(said.splitlines()) <= ENOUGH + 2
    assert len(expanded) < 3 * ENOUGH
