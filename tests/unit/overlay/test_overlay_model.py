"""The model: its JSON, its rules, and what is planned from a few words."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from virtual import random_world, start, two_tenants

from labctl.errors import InputError
from labctl.overlay.config.check import breaches
from labctl.overlay.config.codec import dump, from_plain, load, to_plain
from labctl.overlay.config.environment import plan_environment, remove_network, remove_tenant
from labctl.overlay.config.model import (
    KINDS,
    Direction,
    GatewaySet,
    Group,
    Host,
    Network,
    Peering,
    Router,
    RouterPort,
    Rule,
    Subnet,
    Tenant,
    Uplink,
    VmPort,
)
from labctl.overlay.config.plan import (
    PrefixPools,
    RuleSpec,
    VmSpec,
    plan_group,
    plan_network,
    plan_peering,
    plan_tenant,
    plan_vm,
)
from labctl.overlay.config.state import COMMON, Edit, State, by_document
from labctl.overlay.config.topology_section import LabFacts, SectionError, plan_overlay

if TYPE_CHECKING:
    from collections.abc import Callable

seeds = st.integers(0, 10**6)


@given(seeds)
def test_items_go_to_json_and_back(seed: int) -> None:
    items = sorted(random_world(seed).items(), key=lambda item: (type(item).__name__, item.name))
    found = load(dump(items))
    assert sorted(found, key=lambda item: (type(item).__name__, item.name)) == items
    assert dump(found) == dump(reversed(items))


@pytest.mark.parametrize(
    "plain",
    [
        {"name": "x", "colour": "red"},
        {"name": "x"},
        {"name": "x", "network": "n", "prefix": "10.0.0.0/40"},
    ],
)
def test_what_is_no_item_is_refused(plain: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"subnet|network"):
        from_plain(Subnet, plain)


def test_an_unknown_class_in_a_document_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown class 'planet'"):
        load(b'{"planet": []}')


def test_every_class_has_a_name_and_default_values_are_left_out() -> None:
    assert to_plain(Tenant("t1")) == {"name": "t1"}
    assert "mtu" not in to_plain(Network("n", "t1"))
    assert len(KINDS) == 12


@given(seeds)
def test_what_is_planned_keeps_the_rules(seed: int) -> None:
    assert breaches(random_world(seed).items()) == []


def change(kind: type[Any], name: str, **values: object) -> Callable[[Edit], None]:
    return lambda edit: edit.put(replace(edit.get(kind, name), **values))


WRONG: dict[str, Callable[[Edit], object]] = {
    "unknown tenant 't9'|no tenant 't9'": change(Network, "t1-net", tenant="t9"),
    "no network 't1-nett', did you mean 't1-net'": change(VmPort, "t1-vm1", network="t1-nett"),
    "no host 'compute9'": change(VmPort, "t1-vm1", host="compute9"),
    "no compute node": change(VmPort, "t1-vm1", host="gw1"),
    "no group 'x'": change(VmPort, "t1-vm1", groups=("x",)),
    "is not of tenant 't1'": change(VmPort, "t1-vm1", groups=("t2-default",)),
    "no MAC address": change(VmPort, "t1-vm1", mac="x"),
    "of one device": change(VmPort, "t1-vm1", mac="03:00:00:00:00:01"),
    "in lower case": change(VmPort, "t1-vm1", mac="02:AA:00:00:00:01"),
    "in no subnet": change(VmPort, "t1-vm1", addresses=(ip_address("192.0.2.1"),)),
    "stands for all of subnet": change(VmPort, "t1-vm1", addresses=(ip_address("10.128.0.255"),)),
    "stands there twice": change(VmPort, "t1-vm1", addresses=(ip_address("10.128.0.9"),) * 2),
    "10.128.0.1 on network 't1-net' is router-port 't1-net-gw'": change(
        VmPort, "t1-vm1", addresses=(ip_address("10.128.0.1"),)
    ),
    "key 1 is 'uplink'": change(VmPort, "t1-vm1", key=1),
    "a key is 1 to 16777215": change(VmPort, "t1-vm1", key=1 << 24),
    "not of the same tenant": change(RouterPort, "t1-net-gw", router="t2-router"),
    "not a provider router": lambda edit: edit.put(Router("x", "t1", "t2-router")),
    "there is no router": change(Router, "t1-router", provider="x"),
    "a provider router has no provider": lambda edit: edit.put(Router("x", "", "provider")),
    "only a provider router has an uplink": change(Uplink, "uplink", router="t1-router"),
    "both ends have the same MAC": lambda edit: edit.put(
        replace(edit.get(Uplink, "uplink"), mac=edit.get(Uplink, "uplink").kernel_mac)
    ),
    "an IPv6 subnet has 64 bits": lambda edit: edit.put(Subnet("x", "t1-net", ip_network("fd99::/48"))),
    "cannot be a subnet's": lambda edit: edit.put(Subnet("x", "t1-net", ip_network("224.0.0.0/24"))),
    "overlaps 't1-net-ipv4'": lambda edit: edit.put(Subnet("x", "t1-net", ip_network("10.128.0.128/25"))),
    "and router 'provider' reaches both": change(Subnet, "t2-net-ipv4", prefix=ip_network("10.128.0.0/16")),
    "no IPv6 prefix": lambda edit: edit.put(
        Rule("x", "t1-default", Direction.IN, 6, remote=ip_network("10.0.0.0/8"))
    ),
    "an IP version is 4 or 6": lambda edit: edit.put(Rule("x", "t1-default", Direction.IN, 5)),
    "has no ports": lambda edit: edit.put(Rule("x", "t1-default", Direction.IN, 4, 47, 1, 2)),
    "no range of ports": lambda edit: edit.put(Rule("x", "t1-default", Direction.IN, 4, 6, 9, 2)),
    "an ICMP type is": lambda edit: edit.put(Rule("x", "t1-default", Direction.IN, 4, 1, 300, -1)),
    "an IP protocol is": lambda edit: edit.put(Rule("x", "t1-default", Direction.IN, 4, 300)),
    "a remote prefix or a remote group": lambda edit: edit.put(
        Rule("x", "t1-default", Direction.IN, 4, remote=ip_network("::/0"), remote_group="t1-default")
    ),
    "no peering with itself": lambda edit: edit.put(Peering("x", ("t1", "t1"))),
    "more than one record of the gateways": lambda edit: edit.put(GatewaySet("x", ip_address("1.2.3.4"))),
    "there is no host 'x'": change(GatewaySet, "gateways", draining=("x",)),
    "an MTU is": change(Network, "t1-net", mtu=100),
    "a name is": lambda edit: edit.put(Tenant("T:1")),
}


@pytest.mark.parametrize("said", WRONG)
def test_what_breaks_a_rule_is_told(said: str) -> None:
    edit = two_tenants()
    WRONG[said](edit)
    with pytest.raises(InputError, match=said):
        edit.checked()


def test_tenants_without_a_common_router_may_use_the_same_prefix() -> None:
    edit = two_tenants()
    for tenant in ("t1", "t2"):
        edit.put(replace(edit.get(Router, f"{tenant}-router"), provider=""))
    edit.put(*(replace(s, prefix=ip_network("10.0.0.0/8")) for s in edit.all(Subnet) if s.name == "x"))
    assert edit.checked()


def test_documents_hold_a_tenant_each_and_what_is_common() -> None:
    documents = by_document(two_tenants().items())
    assert set(documents) == {COMMON, "tenant.t1", "tenant.t2"}
    assert {type(item) for item in documents[COMMON]} == {Router, Uplink, Host, GatewaySet}
    names = {item.name for item in documents["tenant.t2"]}
    assert {"t2", "t2-net", "t2-net-gw", "t2-vm1", "t2-default", "t2-router"} <= names


def test_planning_is_the_same_for_the_same_words_and_keys_are_never_given_twice() -> None:
    assert dump(two_tenants().items()) == dump(two_tenants().items())
    edit = two_tenants()
    gone = edit.get(VmPort, "t2-vm2")
    edit.remove(VmPort, gone.name)
    assert plan_vm(edit, VmSpec("again", "t2-net")).key > gone.key


def test_ipv6_addresses_are_what_the_vm_makes_of_its_mac() -> None:
    edit = two_tenants()
    port = plan_vm(edit, VmSpec("x", "t1-net", mac="02:00:00:00:12:34"))
    assert str(port.addresses[1]) == "fd6c:6162::ff:fe00:1234"
    assert str(port.addresses[0]) == "10.128.0.12"


def test_a_network_gets_the_first_prefix_that_is_free() -> None:
    edit = start()
    plan_tenant(edit, "t1")
    pools = PrefixPools(IPv4Network("10.0.0.0/22"), IPv6Network("fd00::/62"))
    plan_network(edit, "t1", "a", pools)
    plan_network(edit, "t1", "b", pools, prefixes=[ip_network("10.0.1.0/25")])
    plan_network(edit, "t1", "c", pools)
    assert str(edit.get(Subnet, "c-ipv4").prefix) == "10.0.2.0/24"
    edit.remove(Subnet, "a-ipv4")
    plan_network(edit, "t1", "d", pools)
    assert str(edit.get(Subnet, "d-ipv4").prefix) == "10.0.0.0/24"
    with pytest.raises(InputError, match="has no prefix of 64 bits left"):
        plan_network(edit, "t1", "e", pools)


def test_a_full_subnet_is_told() -> None:
    edit = start()
    plan_tenant(edit, "t1")
    plan_network(edit, "t1", "n", PrefixPools(), prefixes=[ip_network("10.0.0.0/30")])
    plan_vm(edit, VmSpec("a", "n"))
    with pytest.raises(InputError, match="has no address left"):
        plan_vm(edit, VmSpec("b", "n"))


def test_rules_are_made_for_each_version_that_they_can_be_about() -> None:
    edit = two_tenants()
    plan_group(
        edit,
        "t1",
        "web",
        [
            RuleSpec(Direction.IN, "tcp", "80"),
            RuleSpec(Direction.IN, "icmp", "8"),
            RuleSpec(Direction.IN, "udp", "53-54", "10.0.0.0/8"),
            RuleSpec(Direction.OUT, remote="t1-default"),
        ],
    )
    rules = {
        (r.version, r.proto, r.port_min, r.port_max, r.remote_group)
        for r in edit.all(Rule)
        if r.group == "web"
    }
    assert rules == {
        (4, 6, 80, 80, ""),
        (6, 6, 80, 80, ""),
        (4, 1, 8, -1, ""),
        (6, 58, 8, -1, ""),
        (4, 17, 53, 54, ""),
        (4, 0, -1, -1, "t1-default"),
        (6, 0, -1, -1, "t1-default"),
    }


@pytest.mark.parametrize(
    "spec",
    [
        RuleSpec(Direction.IN, "tpc"),
        RuleSpec(Direction.IN, "tcp", "a"),
        RuleSpec(Direction.IN, "tcp", "1-b"),
        RuleSpec(Direction.IN, remote="nobody"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(spec: RuleSpec) -> None:
    with pytest.raises(InputError):
        plan_group(two_tenants(), "t1", "g", [spec])


def test_an_environment_is_dealt_out_and_taken_away_whole() -> None:
    edit = two_tenants()
    before = dump(edit.items())
    ports = plan_environment(edit, "dev", PrefixPools(), networks=2, vms=5)
    assert [port.host for port in ports] == ["compute1", "compute2"] * 2 + ["compute1"]
    assert {port.network for port in ports} == {"dev-net1", "dev-net2"}
    plan_peering(edit, "dev", "t1")
    edit.checked()
    remove_tenant(edit, "dev")
    assert dump(edit.items()) == before


def test_a_network_goes_with_all_that_is_on_it() -> None:
    edit = two_tenants()
    remove_network(edit, "t1-db")
    edit.checked()
    assert not edit.has(VmPort, "t1-vm3")
    assert not edit.has(RouterPort, "t1-db-gw")
    with pytest.raises(InputError, match="no network 't1-db'"):
        remove_network(edit, "t1-db")


def test_what_is_there_already_is_not_added_again() -> None:
    with pytest.raises(InputError, match="tenant 't1' is there already"):
        plan_tenant(two_tenants(), "t1")


FACTS = LabFacts.parse(
    {
        "hosts": [
            {"name": "compute1", "kind": "compute", "tunnel": "10.255.0.1"},
            {"name": "gw1", "kind": "gateway", "tunnel": "10.255.0.2"},
        ],
        "vms": [{"name": "vm1", "host": "compute1", "network": "t1-net", "mac": "02:00:00:00:00:07"}],
    }
)


def test_a_section_becomes_items() -> None:
    section = {
        "networks": 2,
        "ipv4": "10.64.0.0/16",
        "anycast": "192.0.2.1",
        "tenants": {
            "t1": {"groups": {"web": [{"allow": "in", "proto": "tcp", "ports": 80}]}, "peers": ["t2"]},
            "shop": {"networks": {"front": {"ipv4": "10.65.0.0/24", "dns": ["192.0.2.53"]}, "back": None}},
        },
    }
    items: dict[tuple[type, str], Any] = {
        (type(item), item.name): item for item in plan_overlay(section, FACTS)
    }
    assert {name for kind, name in items if kind is Network} == {"t1-net", "t2-net", "front", "back"}
    assert items[VmPort, "vm1"].mac == "02:00:00:00:00:07"
    assert items[GatewaySet, "gateways"].anycast == ip_address("192.0.2.1")
    assert str(items[Subnet, "front-ipv4"].prefix) == "10.65.0.0/24"
    assert items[Subnet, "front-ipv4"].dns == (ip_address("192.0.2.53"),)
    assert items[Peering, "t1.t2"].tenants == ("t1", "t2")
    assert items[Host, "gw1"].kind == "gateway"
    assert {name for kind, name in items if kind is Group} == {
        "t1-default",
        "t2-default",
        "shop-default",
        "web",
    }
    assert plan_overlay(section, FACTS) == tuple(items.values())


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ({"networks": 1, "tenants": {"t1": {"groups": {"g": [{"allow": "in", "to": "x"}]}}}}, "no 'to'"),
        ({"networks": 1, "tenants": {"t1": {"peers": ["t9"]}}}, "no tenant 't9'"),
        ({"networks": 1, "tenants": {"t2": {"networks": {"t1-net": None}}}}, "is there already"),
        ({"networks": 0}, "no network 't1-net'"),
    ],
)
def test_what_is_wrong_with_a_section_is_told(section: dict[str, object], said: str) -> None:
    with pytest.raises(InputError, match=said):
        plan_overlay(section, FACTS)


def test_what_planning_finds_wrong_has_its_path() -> None:
    section = {
        "networks": 1,
        "anycast": "ff02::1",
        "tenants": {
            "t1": {"groups": {"g": [{"allow": "in"}, {"allow": "in", "ports": "x"}]}, "peers": ["t2", "t9"]}
        },
    }
    with pytest.raises(SectionError) as caught:
        plan_overlay(section, LabFacts.parse({"vms": [{"name": "v", "host": "", "network": "nowhere"}]}))
    assert [fault.path for fault in caught.value.faults] == [
        ("anycast",),
        ("tenants", "t1", "groups", "g", 1, "ports"),
        ("tenants", "t1", "peers", 0),
        ("tenants", "t1", "peers", 1),
        ("vms", "v", "network"),
    ]
    assert "overlay: tenants.t1.groups.g.1.ports: 'x' is no port" in str(caught.value)


def test_a_rule_of_the_whole_that_is_broken_has_the_path_of_what_breaks_it() -> None:
    section = {"networks": 2, "tenants": {"t2": {"networks": {"n": {"ipv4": "10.128.0.0/24"}}}}}
    with pytest.raises(SectionError) as caught:
        plan_overlay(section, LabFacts())
    assert {fault.path for fault in caught.value.faults} == {("tenants", "t2", "networks", "n")}


def test_a_state_is_edited_without_changing_it() -> None:
    state = State(1, 9, by_document(two_tenants().items()))
    edit = Edit(state)
    edit.remove(VmPort, "t1-vm1")
    assert "t1-vm1" in {item.name for item in state.items()}
    assert edit.next_key == 9
