"""Every example of docs/topology.md loads, and what the text says of it is so."""

import re
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from labctl.document.document import Document
from labctl.document.tree import parse
from labctl.load.schema import (
    AddressingModel,
    DefaultsModel,
    LinkModel,
    NodeModel,
    OverlayModel,
    RoleModel,
    TenantModel,
    TopologyModel,
    VirtualNetworkModel,
)
from labctl.load.topology import topology_from
from labctl.model.lab import Lab
from labctl.model.topology import AddressPools
from labctl.roles.catalog import load_roles

TEXT = (Path(__file__).parents[3] / "docs" / "topology.md").read_text()
EXAMPLES = {
    match.group(1).split("\n")[0].removeprefix("name: "): match.group(1)
    for match in re.finditer(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
}


def load(name: str) -> Lab:
    text = EXAMPLES[name]
    return topology_from(Document(name, parse(text, name), text), roles=load_roles())


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_example_loads(name: str) -> None:
    assert load(name).name == name


def test_every_block_is_an_example() -> None:
    assert len(EXAMPLES) == TEXT.count("```yaml") > 5


def test_the_first_example_is_the_shipped_topology() -> None:
    shipped = (Path(__file__).parents[3] / "topologies" / "ecmp-gateways.yml").read_text()
    assert parse(shipped, "a").plain() == parse(EXAMPLES["ecmp-gateways"], "b").plain()


def test_the_switched_example_shares_the_network_that_the_text_names() -> None:
    lab = load("switched")
    members = [node.interfaces[0].ipv4 for node in lab.nodes if node.acts_as != "switch"]
    assert len(members) == 5
    assert {own.network for own in members if own is not None} == {IPv4Network("172.16.7.0/24")}


def test_the_overrides_example_does_what_the_text_says() -> None:
    gw1, gw2, gw3, _ = load("overrides").nodes
    assert (gw1.params["bfd"], gw2.asn, str(gw2.loopback4)) == (True, 65010, "192.0.2.2/32")
    assert gw3.params["bfd_interval"] == 50


def test_every_key_is_in_the_reference() -> None:
    models = (TopologyModel, NodeModel, LinkModel, DefaultsModel, RoleModel, AddressingModel)
    for model in (*models, OverlayModel, TenantModel, VirtualNetworkModel):
        for key in model.model_fields:
            assert f"`{key}" in TEXT, key


def test_the_default_pools_are_those_of_the_table() -> None:
    pools = AddressPools()
    for name in AddressingModel.model_fields:
        assert f"| `{name}` | {getattr(pools, name)} |" in TEXT
