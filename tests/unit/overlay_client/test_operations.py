"""Operations on a lab's virtual networks, over a state database in memory."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING

import pytest
from virtual import two_tenants

from labctl.errors import ActionError, InputError
from labctl.overlay.client import environments, gateways, rules, tenants
from labctl.overlay.client.gateways import GatewaySummary
from labctl.overlay.client.tenants import NetworkSummary, TenantSummary
from labctl.overlay.config.model import Direction, Rule, Subnet, VmPort
from labctl.testing.state_database import FakeStateDatabase, fake_overlay

if TYPE_CHECKING:
    from labctl.overlay.client.database import Overlay

PLAN = {
    "hosts": [
        {"name": "compute1", "kind": "compute", "tunnel": "198.18.0.1"},
        {"name": "gw1", "kind": "gateway", "tunnel": "198.18.1.1"},
        {"name": "gw3", "kind": "gateway", "tunnel": "198.18.1.3"},
    ]
}


@pytest.fixture
def database() -> FakeStateDatabase:
    return FakeStateDatabase(two_tenants().items(), sessions=("gw1", "compute1"))


@pytest.fixture
def overlay(database: FakeStateDatabase) -> Overlay:
    return fake_overlay(database, PLAN)


def test_tenants_are_listed_with_what_they_have(overlay: Overlay) -> None:
    assert tenants.list_tenants(overlay) == (TenantSummary("t1", 2, 3, ()), TenantSummary("t2", 1, 2, ()))
    tenants.peer_tenants(overlay, "t2", "t1")
    assert [one.peers for one in tenants.list_tenants(overlay)] == [("t2",), ("t1",)]
    tenants.part_tenants(overlay, "t1", "t2")
    assert [one.peers for one in tenants.list_tenants(overlay)] == [(), ()]
    for pair in (("t1", "t9"), ("t9", "t1")):
        with pytest.raises(InputError, match="there is no tenant 't9'"):
            tenants.part_tenants(overlay, *pair)


def test_a_tenant_goes_with_all_that_it_owns(overlay: Overlay) -> None:
    tenants.remove_tenant(overlay, "t1")
    assert [one.name for one in tenants.list_tenants(overlay)] == ["t2"]
    assert {one.tenant for one in tenants.list_networks(overlay)} == {"t2"}


def test_a_network_has_the_prefixes_that_it_was_given_and_planned_ones_else(overlay: Overlay) -> None:
    tenants.add_tenant(overlay, "shop")
    tenants.add_network(overlay, "shop", "shop-net", prefixes=["10.140.0.0/24"], dns=["192.0.2.53"])
    found = {one.name: one for one in tenants.list_networks(overlay)}
    planned = found["shop-net"].prefixes[1]
    assert found["shop-net"] == NetworkSummary("shop-net", "shop", ("10.140.0.0/24", planned), 1450, 0)
    assert ip_network(planned).version == 6
    subnets = [item for item in overlay.database.state().items() if isinstance(item, Subnet)]
    served = {one.prefix.version: one.dns for one in subnets if one.network == "shop-net"}
    assert served == {4: (ip_address("192.0.2.53"),), 6: ()}
    tenants.remove_network(overlay, "shop-net")
    assert "shop-net" not in {one.name for one in tenants.list_networks(overlay)}


@pytest.mark.parametrize(
    ("prefixes", "dns"), [(["ten"], []), (["10.0.0.1/24"], []), ([], ["nobody"]), (["10.128.0.0/25"], [])]
)
def test_a_network_that_cannot_be_changes_nothing(
    overlay: Overlay, database: FakeStateDatabase, prefixes: list[str], dns: list[str]
) -> None:
    before = database.state()
    with pytest.raises(InputError):
        tenants.add_network(overlay, "t1", "x", prefixes=prefixes, dns=dns)
    assert database.state() is before


def test_a_rule_makes_one_for_each_version_of_ip_and_its_group_for_a_tenant(overlay: Overlay) -> None:
    made = rules.add_rule(overlay, "web", "in", proto="tcp", ports="80", tenant="t1")
    listed = rules.list_rules(overlay, "web")
    assert {one.name for one in listed} == set(made)
    assert [(one.version, one.direction, one.proto, one.port_min, one.port_max) for one in listed] == [
        (4, Direction.IN, 6, 80, 80),
        (6, Direction.IN, 6, 80, 80),
    ]
    rules.remove_rule(overlay, made[0])
    assert [one.name for one in rules.list_rules(overlay, "web")] == [made[1]]
    with pytest.raises(InputError, match="there is no rule"):
        rules.remove_rule(overlay, made[0])


def test_rules_are_listed_by_group_and_name(overlay: Overlay) -> None:
    everything = rules.list_rules(overlay)
    assert [(one.group, one.name) for one in everything] == sorted(
        (one.group, one.name) for one in overlay.database.state().items() if isinstance(one, Rule)
    )
    assert {one.group for one in everything} == {"t1-default", "t2-default"}


@pytest.mark.parametrize(
    ("group", "direction", "told"),
    [("t1-default", "up", "'in' or 'out'"), ("t1-defualt", "in", "did you mean 't1-default'")],
)
def test_a_rule_that_cannot_be_is_refused(overlay: Overlay, group: str, direction: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        rules.add_rule(overlay, group, direction)


def test_a_vm_is_put_into_groups_in_place_of_its_own(overlay: Overlay) -> None:
    rules.add_rule(overlay, "web", "in", tenant="t1")
    rules.use_groups(overlay, "t1-vm1", ["web"])
    (port,) = [
        item
        for item in overlay.database.state().items()
        if isinstance(item, VmPort) and item.name == "t1-vm1"
    ]
    assert port.groups == ("web",)
    with pytest.raises(InputError):
        rules.use_groups(overlay, "t1-vm1", ["nothing"])


def test_gateways_are_listed_with_who_is_alive_and_who_drains(overlay: Overlay) -> None:
    gateways.drain_gateway(overlay, "gw2")
    assert gateways.list_gateways(overlay) == (
        GatewaySummary("gw1", "198.18.1.1", alive=True, draining=False),
        GatewaySummary("gw2", "198.18.1.2", alive=False, draining=True),
    )
    gateways.drain_gateway(overlay, "gw2", undo=True)
    assert not any(one.draining for one in gateways.list_gateways(overlay))


def test_a_gateway_is_drained_for_a_while_before_it_is_removed(
    overlay: Overlay, database: FakeStateDatabase
) -> None:
    draining: list[list[str]] = []

    def sleep(seconds: float) -> None:
        assert seconds == gateways.DRAIN_S
        draining.append([one.name for one in gateways.list_gateways(overlay) if one.draining])

    gateways.remove_gateway(overlay, "gw1", sleep=sleep)
    assert draining == [["gw1"]]
    assert [one.name for one in gateways.list_gateways(overlay)] == ["gw2"]
    assert database.transactions == 2
    gateways.add_gateway(overlay, "gw1")
    assert [(one.name, one.draining) for one in gateways.list_gateways(overlay)] == [
        ("gw1", False),
        ("gw2", False),
    ]


@pytest.mark.parametrize("already", [True, False])
def test_nobody_waits_for_a_drain_that_was_or_is_not_wanted(
    overlay: Overlay,
    database: FakeStateDatabase,
    already: bool,  # noqa: FBT001
) -> None:
    def never(_: float) -> None:
        pytest.fail("nothing is to be waited for")

    if already:
        gateways.drain_gateway(overlay, "gw1")
    gateways.remove_gateway(overlay, "gw1", now=not already, sleep=never)
    assert [one.name for one in gateways.list_gateways(overlay)] == ["gw2"]


@pytest.mark.parametrize("node", ["compute1", "leaf1"])
def test_what_is_no_gateway_is_refused(overlay: Overlay, node: str) -> None:
    with pytest.raises(ActionError, match="no agent of a gateway"):
        gateways.add_gateway(overlay, node)
    for operation in (gateways.drain_gateway, gateways.remove_gateway):
        with pytest.raises(ActionError, match="is no gateway"):
            operation(overlay, node)


def test_an_environment_comes_in_one_transaction_and_goes_in_one(
    overlay: Overlay, database: FakeStateDatabase
) -> None:
    before = {(type(item), item.name) for item in database.state().items()}
    ports = environments.create_environment(overlay, "dev", networks=2, vms=3, hosts=["compute2"])
    assert [(port.name, port.network, port.host) for port in ports] == [
        ("dev-vm1", "dev-net1", "compute2"),
        ("dev-vm2", "dev-net2", "compute2"),
        ("dev-vm3", "dev-net1", "compute2"),
    ]
    listed = [vm for vm in environments.list_environments(overlay) if vm.environment == "dev"]
    assert tuple(vm.port for vm in listed) == ports
    environments.destroy_environment(overlay, "dev")
    assert {(type(item), item.name) for item in database.state().items()} == before
    assert database.transactions == 2


def test_vms_without_addresses_are_named_when_the_time_is_over(database: FakeStateDatabase) -> None:
    overlay = fake_overlay(database, late=("dev-vm2",))
    ports = environments.create_environment(overlay, "dev", vms=2)
    late = environments.await_environment(overlay, ports, 0.01)
    assert late == ("dev-vm2",)
    with pytest.raises(ActionError, match=r"after 0\.01 s there is no address yet in dev-vm2"):
        environments.need_addresses(late, 0.01)
    assert environments.await_environment(overlay, ports[:1], 0.01) == ()


def test_a_database_that_does_not_answer_is_an_error_of_every_operation(
    overlay: Overlay, database: FakeStateDatabase
) -> None:
    database.down = True
    for operation in (
        lambda: tenants.list_tenants(overlay),
        lambda: tenants.add_tenant(overlay, "x"),
        lambda: tenants.list_networks(overlay),
        lambda: rules.list_rules(overlay),
        lambda: gateways.list_gateways(overlay),
        lambda: environments.list_environments(overlay),
    ):
        with pytest.raises(ActionError, match="does not answer"):
            operation()


def test_the_last_gateway_does_not_go_in_silence(overlay: Overlay) -> None:
    assert gateways.without_gateway([]) != ""
    for alive, draining, left in ((True, False, True), (True, True, False), (False, False, False)):
        one = GatewaySummary("gw1", "198.18.1.1", alive, draining)
        assert (gateways.without_gateway([one]) == "") == left
    assert gateways.without_gateway(gateways.list_gateways(overlay)) == ""
    for one in gateways.list_gateways(overlay):
        gateways.remove_gateway(overlay, one.name, now=True)
    assert "no gateway is left" in gateways.without_gateway(gateways.list_gateways(overlay))
