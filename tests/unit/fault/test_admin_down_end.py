"""Which end of a cut link goes down: by what its nodes act as, whatever their roles are called."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from labctl.clab.definition import Definition, NodeDefinition
from labctl.clab.parse import read_definition
from labctl.fault.linkstate import admin_down_end
from labctl.lab.definition_cache import save_definition
from labctl.lab.state import LabDir
from labctl.load import load_topology
from labctl.model.lab import Endpoint, LinkPlan
from labctl.render import render
from labctl.roles.catalog import load_roles
from labctl.shipped import folder

if TYPE_CHECKING:
    from pathlib import Path

ROUTER = {"labctl-role": "host", "labctl-acts-as": "router"}


def admin_down_node(root: Path, a: NodeDefinition, b: NodeDefinition) -> str:
    link = LinkPlan(0, Endpoint(a.name, "eth1"), Endpoint(b.name, "eth1"))
    lab = LabDir("x", root)
    save_definition(lab, Definition("x", root / "x.clab.yml", (a, b), (link,)))
    return admin_down_end(lab, link).node


@pytest.mark.parametrize(
    ("labels", "kind", "expected"),
    [
        ({"labctl-acts-as": "host"}, "linux", "one"),
        ({"labctl-acts-as": "guest"}, "linux", "one"),
        ({"labctl-acts-as": "switch"}, "linux", "one"),
        ({}, "bridge", "one"),
        ({"labctl-acts-as": "host", "labctl-traits": "forwards"}, "linux", "router"),
        ({"labctl-acts-as": "gateway"}, "linux", "router"),
        # The name of a role says nothing, and of somebody else's node nothing is known.
        ({"labctl-role": "host", "labctl-acts-as": "router"}, "linux", "router"),
        ({"labctl-role": "host"}, "linux", "router"),
    ],
)
def test_an_end_system_goes_down_before_a_switch_before_what_forwards(
    tmp_path: Path, labels: dict[str, str], kind: str, expected: str
) -> None:
    one, router = NodeDefinition("one", kind, labels=labels), NodeDefinition("router", labels=ROUTER)
    assert admin_down_node(tmp_path, one, router) == expected


def test_between_an_end_system_and_a_switch_the_end_system_is_admin_down_node(tmp_path: Path) -> None:
    host, switch = NodeDefinition("h", labels={"labctl-acts-as": "host"}), NodeDefinition("s", "bridge")
    assert admin_down_node(tmp_path, switch, host) == "h"
    assert admin_down_node(tmp_path, host, switch) == "h"


def test_what_a_users_role_acts_as_reaches_the_definition(tmp_path: Path) -> None:
    (tmp_path / "tpl/mine").mkdir(parents=True)
    (tmp_path / "tpl/mine/role.yml").write_text("extends: host\nacts-as: host\n")
    topology = tmp_path / "t.yml"
    topology.write_text(
        "name: t\ntemplates: tpl\nnodes: {b: {role: mine}, r1: {role: router}}\nlinks: [[b, r1]]\n"
    )
    definition = read_definition(render(load_topology(topology), tmp_path / "out"))
    assert admin_down_node(tmp_path, *definition.nodes) == "b"


def test_every_shipped_role_that_acts_as_a_host_and_forwards_says_so() -> None:
    """They set ip_forward, or make bridges of their own."""
    roles = load_roles().values()
    forwarding = {role.name for role in roles if role.sysctls.get("net.ipv4.ip_forward") == "1"}
    declared = {role.name for role in roles if role.traits}
    assert {name for name in forwarding if load_roles()[name].acts_as == "host"} <= declared
    assert declared == {"nova-compute", "nova-controller", "vrrp-gateway"}
    assert (folder("templates") / "nova-compute").is_dir()
