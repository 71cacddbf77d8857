"""render --target c9s: the same lab, without what clabernetes refuses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import yaml

from labctl.clab.parse import read_definition
from labctl.load import load_topology
from labctl.render import render
from labctl.render.c9s import for_c9s
from labctl.shipped import examples

if TYPE_CHECKING:
    from pathlib import Path

    from labctl.clab.definition import NodeDefinition
    from labctl.model.lab import LinkPlan

# Keys of a node that clabernetes knows (util/containerlab/types.go at 1cc0cbe) and that a rendered one has.
# network-mode and image-pull-policy are known, and refused with our values.
KNOWN = {"kind", "image", "entrypoint", "cmd", "exec", "binds", "env", "labels", "sysctls", "aliases"}


def told(node: NodeDefinition) -> dict[str, object]:
    """What a definition says of a node, but for what only the engine of one machine reads."""
    kept = ("name", "kind", "image", "cmd", "env", "labels", "exec", "sysctls")
    return {name: getattr(node, name) for name in kept}


def ends(link: LinkPlan) -> list[tuple[str, str]]:
    return [(end.node, end.interface) for end in (link.a, link.b)]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["pair", "ecmp-gateways", "zero-loss-gateway"])
def test_a_shipped_topology_is_the_same_lab_in_the_words_of_clabernetes(name: str, tmp_path: Path) -> None:
    lab = load_topology(examples("topologies")[name])
    ours = read_definition(render(lab, tmp_path / "ours"))
    path = render(lab, tmp_path / "c9s", c9s=True)
    theirs = read_definition(path)
    assert [told(node) for node in theirs.nodes] == [told(node) for node in ours.nodes]
    assert [ends(link) for link in theirs.links] == [ends(link) for link in ours.links]
    data = yaml.safe_load(path.read_text())
    assert data.keys() == {"name", "topology"}
    assert "groups" not in data["topology"]
    for entry in (*data["topology"]["nodes"].values(), *data["topology"].get("kinds", {}).values()):
        assert entry.keys() <= KNOWN
    for link in data["topology"]["links"]:
        assert link.keys() <= {"endpoints", "labels", "vars", "mtu", "type"}
        assert all(isinstance(end, str) for end in link["endpoints"])


def test_the_node_wins_over_its_group_maps_merge_and_lists_add_up() -> None:
    text = """
name: a
mgmt: {network: none}
topology:
  groups: {g: {image: of-group, cmd: run, env: {A: group, B: group}, exec: [one, two]}}
  links:
    - {type: veth, mtu: 9000, endpoints: [{node: n, interface: eth1, mac: "02:00:00:00:00:01"}, "m:eth1"]}
  nodes: {n: {group: g, image: of-node, env: {A: node}, exec: [two, three]}, m: {kind: linux}}
"""
    assert yaml.safe_load(for_c9s(text)) == {
        "name": "a",
        "topology": {
            "nodes": {
                "n": {
                    "image": "of-node",
                    "cmd": "run",
                    "env": {"A": "node", "B": "group"},
                    "exec": ["one", "two", "three"],
                },
                "m": {"kind": "linux"},
            },
            "links": [{"endpoints": ["n:eth1", "m:eth1"], "mtu": 9000}],
        },
    }
