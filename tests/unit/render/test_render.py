"""From a topology to a folder: the user's own roles, errors with their place, nothing twice different."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from labctl.errors import RenderError
from labctl.load import load_topology
from labctl.model.codec import load_lab
from labctl.render import render, render_files
from labctl.shipped import folder

DOCS = Path(__file__).parents[3] / "docs/roles.md"
ECMP = folder("topologies") / "ecmp-gateways.yml"


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def documented_role(root: Path) -> Path:
    """The firewall of docs/roles.md, as it stands there."""
    found = re.findall(r"`(firewall/\S+)`[^\n]*:\n\n```\w+\n(.*?)```", DOCS.read_text(), re.DOTALL)
    adding = re.findall(r"`(firewall/\S+)` adds[^\n]*:\n\n```\w+\n(.*?)```", DOCS.read_text(), re.DOTALL)
    files = dict(found) | dict(adding)
    assert set(files) == {
        "firewall/role.yml",
        "firewall/etc/firewall/rules.nft.j2",
        "firewall/etc/labctl/boot.j2",
    }
    return write(root, files)


def test_the_documented_role_works_as_documented(tmp_path: Path) -> None:
    mine = documented_role(tmp_path / "mine")
    topology = tmp_path / "lab.yml"
    topology.write_text(
        "name: lab\nnodes:\n  a: {role: host}\n  fw1: {role: firewall, vars: {blocked: [23, 445]}}\n"
        "  r1: {role: router}\nlinks:\n  - [a, fw1]\n  - [fw1, r1]\n"
    )
    lab = load_topology(topology, templates=[mine])
    definition = render(lab, tmp_path / "out", overlays=[mine])
    rules = (tmp_path / "out/fw1/etc/firewall/rules.nft").read_text()
    assert re.findall(r"tcp dport (\d+) drop", rules) == ["23", "445"]
    boot = (tmp_path / "out/fw1/etc/labctl/boot").read_text()
    assert "nft -f" in boot
    assert boot.index("vtysh -b") < boot.index("nft -f") < boot.index("exec sleep")
    assert "router bgp" in (tmp_path / "out/fw1/etc/frr/frr.conf").read_text()
    node = yaml.safe_load(definition.read_text())["topology"]["nodes"]["fw1"]
    assert "fw1/etc/firewall:/etc/firewall" in node["binds"]


@pytest.mark.slow
def test_rendering_twice_gives_the_same_bytes() -> None:
    lab = load_topology(ECMP)
    assert render_files(lab) == render_files(load_topology(ECMP))
    assert list(render_files(lab)) == list(render_files(lab))


def test_lab_json_is_the_planned_lab(tmp_path: Path) -> None:
    lab = load_topology(ECMP)
    render(lab, tmp_path / "out")
    assert load_lab((tmp_path / "out/lab.json").read_text()) == lab


def test_a_broken_template_names_template_line_and_node_and_writes_nothing(tmp_path: Path) -> None:
    mine = write(tmp_path / "mine", {"gateway/etc/motd.j2": "hello\n{{ node.nmae }}\n"})
    with pytest.raises(RenderError) as caught:
        render(load_topology(ECMP), tmp_path / "out", overlays=[mine])
    assert f"{mine}/gateway/etc/motd.j2:2: " in str(caught.value)
    assert "'nmae'" in str(caught.value)
    assert "(node gw1)" in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_a_condition_that_cannot_be_evaluated_is_named(tmp_path: Path) -> None:
    write(
        tmp_path,
        {"mine/role.yml": 'extends: host\nwhen: {/etc/x: "ports[9].name"}\n', "mine/etc/x": "x"},
    )
    topology = tmp_path / "lab.yml"
    topology.write_text("name: lab\nnodes: {a: {role: mine}, b: {role: host}}\nlinks: [[a, b]]\n")
    with pytest.raises(RenderError, match=r"role mine, when /etc/x: 'ports\[9\]\.name'.*\(node a\)"):
        render(load_topology(topology, templates=[tmp_path]), tmp_path / "out", overlays=[tmp_path])


def test_the_users_definition_template_is_taken(tmp_path: Path) -> None:
    mine = write(tmp_path, {"lab.clab.yml.j2": "name: {{ lab.name | yaml }} # mine\n"})
    files = render_files(load_topology(ECMP), overlays=[mine])
    assert files["ecmp-gateways.clab.yml"][0] == b"name: ecmp-gateways # mine\n"


def test_only_who_needs_the_gate_gets_it() -> None:
    files = render_files(load_topology(ECMP))
    having = {name.partition("/")[0] for name in files if name.endswith("etc/labctl/gate.json")}
    assert having == {"r1", "r2", "gw1", "gw2", "gw3"}, "leaf1's only host has no other uplink"


def test_hosts_links_are_left_to_the_router_that_holds_them() -> None:
    files = render_files(load_topology(ECMP))
    nodes = yaml.safe_load(files["ecmp-gateways.clab.yml"][0])["topology"]["nodes"]
    assert nodes["r1"]["labels"] == {"labctl-holds": "eth1"}
    assert "labels" not in nodes["leaf1"]
    assert re.search(rb"link set dev eth1 address \S+ down\n", files["r1/etc/labctl/ip.batch"][0])
    assert re.search(rb"link set dev eth4 address \S+ up\n", files["leaf1/etc/labctl/ip.batch"][0])
