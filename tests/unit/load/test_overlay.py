"""The overlay section and the nodes that it is about."""

import json
from pathlib import Path

import pytest
import yaml

from labctl.document.document import Document
from labctl.document.tree import parse
from labctl.errors import InputError
from labctl.load import load_topology
from labctl.load.topology import topology_from
from labctl.model.codec import dump_lab, load_lab
from labctl.model.lab import Lab
from labctl.overlay.config.model import Network, Uplink, VmPort
from labctl.overlay.config.topology_section import LabFacts, plan_overlay
from labctl.render import render_files
from labctl.roles.catalog import load_roles

SHIPPED = Path(__file__).parents[3] / "topologies" / "zero-loss-gateway.yml"
NODES = """
name: a
nodes:
  gw1: {role: overlay-gateway}
  p1: {role: router}
  leaf1: {role: router}
  compute[1-2]: {role: compute}
  ctl1: {role: controller}
  vm[1-4]: {role: vm, host: "compute[1-2]", network: t1-net}
links: [[p1, gw1], [gw1, leaf1], [leaf1, "compute[1-2]"], [leaf1, ctl1]]
"""


def load(text: str) -> Lab:
    return topology_from(Document("a.yml", parse(text, "a.yml"), text), roles=load_roles())


def refused(text: str) -> str:
    with pytest.raises(InputError) as caught:
        load(text)
    return str(caught.value)


def test_guests_are_dealt_out_over_their_hosts_and_linked_to_them() -> None:
    lab = load(NODES + "overlay: {networks: 2}")
    to_hosts = [(str(link.a), link.b.node) for link in lab.links if link.a.node.startswith("vm")]
    assert to_hosts == [
        ("vm1:eth0", "compute1"),
        ("vm2:eth0", "compute2"),
        ("vm3:eth0", "compute1"),
        ("vm4:eth0", "compute2"),
    ]


@pytest.mark.slow
def test_what_is_rendered_plans_the_same_addresses_whatever_the_order_of_the_names() -> None:
    """Prefixes are given out in the order of the file; t10 comes before t2 where somebody sorts names."""
    text = NODES.replace("t1-net", '"t[1-2,10]-net"') + 'overlay: {tenants: {none: , "t[1-10]": }}'
    lab = load(text)
    seed = json.loads(render_files(lab)["ctl1/etc/labctl/overlay.json"][0])
    items = plan_overlay(seed["section"], LabFacts.parse(seed))
    rendered = {item.name: item.addresses[0] for item in items if isinstance(item, VmPort)}
    planned = {node.name: node.loopback4.ip for node in lab.nodes if node.role == "vm" and node.loopback4}
    assert rendered == planned
    assert str(planned["vm3"]) == "10.128.10.10"


def test_guests_have_the_addresses_that_they_will_be_told_and_nothing_on_the_link() -> None:
    lab = load(NODES + "overlay: {networks: 2}")
    vms = [node for node in lab.nodes if node.role == "vm"]
    assert [str(vm.loopback4) for vm in vms] == [f"10.128.0.{10 + n}/32" for n in range(4)]
    assert len({vm.loopback6 for vm in vms}) == 4
    assert {(port.ipv4, port.ipv6) for vm in vms for port in vm.interfaces} == {(None, None)}
    # IPv6 is what the VM makes of its own MAC.
    mac = bytes.fromhex(vms[0].interfaces[0].mac.replace(":", ""))
    suffix = bytes((mac[0] ^ 2, *mac[1:3], 0xFF, 0xFE, *mac[3:]))
    assert vms[0].loopback6 is not None
    assert vms[0].loopback6.ip.packed[8:] == suffix


def test_an_overlay_outlives_its_way_through_json() -> None:
    lab = load(NODES + "overlay: {networks: 2}")
    again = load_lab(dump_lab(lab))
    assert again == lab
    assert [host["kind"] for host in again.overlay["hosts"]] == ["gateway", "compute", "compute"]
    assert again.overlay["servers"] == [f"{lab.node('ctl1').loopback4.ip}:2181"]  # type: ignore[union-attr]
    assert again.overlay["anycast"] == "198.18.255.1"


@pytest.mark.parametrize("said", ["underlay: ipv6", "anycast: '2001:2::ffff:1'"])
def test_tunnels_over_ipv6_go_between_ipv6_addresses_and_leave_20_bytes_less(said: str) -> None:
    lab = load(NODES + f"overlay: {{networks: 1, {said}}}")
    assert lab.overlay["anycast"] == "2001:2::ffff:1"
    tunnels = {host["name"]: host["tunnel"] for host in lab.overlay["hosts"]}
    assert tunnels == {
        name: str(lab.node(name).loopback6.ip)  # type: ignore[union-attr]
        for name in ("gw1", "compute1", "compute2")
    }
    items = plan_overlay(lab.overlay["section"], LabFacts.parse(lab.overlay))
    assert {item.mtu for item in items if isinstance(item, Network | Uplink)} == {1430}


def test_links_beyond_the_gateways_carry_no_tunnels() -> None:
    narrow = NODES.replace("[p1, gw1]", "{a: p1, b: gw1, mtu: 1300}")
    assert load(narrow + "overlay: {networks: 1}").overlay["link_mtu"] == 1500
    narrow = NODES.replace("[leaf1, ctl1]", "{a: leaf1, b: ctl1, mtu: 1300}")
    assert "does not fit links of 1300" in refused(narrow + "overlay: {networks: 1}")


@pytest.mark.slow
def test_what_is_rendered_for_tunnels_over_ipv6_has_the_ipv6_addresses() -> None:
    files = render_files(load(NODES + "overlay: {networks: 1, underlay: ipv6}"))
    routing = files["gw1/etc/frr/frr.conf"][0].decode()
    assert "ipv6 prefix-list ANYCAST permit 2001:2::ffff:1/128" in routing
    assert " match ipv6 address prefix-list ANYCAST" in routing
    assert " match ip address prefix-list ANYCAST" not in routing
    four, _, six = routing.partition("address-family ipv6 unicast")
    assert "network 2001:2::ffff:1/128" in six
    assert "network 2001:2::ffff:1" not in four
    for node in ("gw1", "compute1"):
        assert ":" in yaml.safe_load(files[f"{node}/etc/labctl/agent.json"][0])["tunnel"]


def test_ranges_in_the_names_of_tenants_stand_for_several() -> None:
    lab = load(NODES + 'overlay: {tenants: {"t[1-3]": {peers: [q]}, q: }}')
    assert list(lab.overlay["section"]["tenants"]) == ["t1", "t2", "t3", "q"]


@pytest.mark.slow
@pytest.mark.parametrize("networks", [3, 150, 300])
def test_the_shipped_topology_with_many_networks(networks: int) -> None:
    lab = load_topology(SHIPPED, [f"networks={networks}"])
    assert lab.node("stranger").loopback4 is not None
    assert lab.overlay["section"]["networks"] == networks


@pytest.mark.parametrize(
    ("overlay", "said"),
    [
        ("overlay: {networks: 0}", "a.yml:9:54: there is no network 't1-net'"),
        ("overlay: {network: 2}", "a.yml:11:11: unknown key 'network' (did you mean 'networks'?)"),
        ("overlay: {networks: 1, ipv4: 10.0.0.0/33}", "a.yml:11:30: "),
        (
            "overlay: {networks: 1, tenants: {t1: {groups: {g: [{allow: inn}]}}}}",
            "a.yml:11:60: expected 'in' or 'out', not 'inn'",
        ),
        (
            "overlay: {networks: 1, tenants: {t1: {groups: {g: [{allow: in, proto: tpc}]}}}}",
            "a.yml:11:71: 'tpc' is no protocol",
        ),
        (
            "overlay: {networks: 1, tenants: {t2: {peers: [t9]}}}",
            "a.yml:11:47: there is no tenant 't9' (known: t1, t2)",
        ),
        (
            'overlay: {networks: 1, tenants: {"x[1-2]": , x2: }}',
            "a.yml:11:46: tenant 'x2' is there already",
        ),
        ('overlay: {networks: 1, tenants: {"x[1": }}', "a.yml:11:34: "),
        (
            "overlay: {networks: 2, tenants: {t2: {networks: {n: {ipv4: 10.128.0.0/24}}}}}",
            "a.yml:11:50: subnet 'n-ipv4': 10.128.0.0/24 overlaps 10.128.0.0/24 of subnet 't1-net-ipv4'",
        ),
        ("overlay: {networks: 1, underlay: ipv5}", "a.yml:11:34: "),
        (
            "overlay: {networks: 1, anycast: 198.18.1}",
            "a.yml:11:33: expected an IP address such as 192.0.2.1 or 2001:db8::1, not '198.18.1'",
        ),
        (
            "overlay: {networks: 1, underlay: ipv6, anycast: 198.18.255.1}",
            "a.yml:11:49: anycast address 198.18.255.1 is no IPv6 address, as the underlay's are",
        ),
        (
            "overlay: {networks: 1, underlay: ipv4, anycast: '2001:db8::1'}",
            "a.yml:11:49: anycast address 2001:db8::1 is no IPv4 address, as the underlay's are",
        ),
        (
            "overlay: {networks: 1, anycast: 'ff02::1'}",
            "a.yml:11:33: anycast address ff02::1 is no address that can be routed to",
        ),
        (
            "overlay: {networks: 1, anycast: 10.128.0.1}",
            "a.yml:11:33: anycast address 10.128.0.1 lies among the networks' own addresses",
        ),
        ("overlay: {networks: 1, anycast: 10.255.0.1}", "a.yml:11:33: anycast address 10.255.0.1 is "),
        (
            "overlay: {networks: 1, underlay: ipv6, mtu: 1450}",
            (
                "a.yml:11:45: an MTU of 1450 does not fit links of 1500: "
                "tunnels over IPv6 take 70 bytes (1430 would)"
            ),
        ),
        (
            "overlay: {networks: 1}\ndefaults: {mtu: 1400}",
            (
                "a.yml:11:1: an MTU of 1450 does not fit links of 1400: "
                "tunnels over IPv4 take 50 bytes (1350 would)"
            ),
        ),
    ],
)
def test_what_is_wrong_with_a_section_is_told_with_its_place(overlay: str, said: str) -> None:
    assert said in refused(NODES + overlay)


@pytest.mark.parametrize(
    ("overlay", "said"),
    [
        ("overlay: {netwroks: 1}", "a.yml:11:11: unknown key 'netwroks' (did you mean 'networks'?)"),
        ("overlay: {networks: -1}", "a.yml:11:21: expected at least 0, not -1"),
        ("overlay: {networks: 1, ipv4: 'fd00::/8'}", "a.yml:11:30: expected an IPv4 network such as"),
        ("overlay: {networks: 1, tenants: [t1]}", "a.yml:11:33: expected a mapping, not a list of 1"),
        (
            "overlay: {networks: 1, tenants: {t1: {groups: {g: {}}}}}",
            "a.yml:11:51: expected a list",
        ),
        (
            "overlay: {networks: 1, tenants: {t1: {groups: {g: [{allow: up}]}}}}",
            "a.yml:11:60: expected 'in' or 'out', not 'up'",
        ),
        (
            "overlay: {networks: 1, tenants: {t1: {groups: {g: [{allow: in, to: any}]}}}}",
            "a.yml:11:68: a rule that allows in has no 'to' (known: from)",
        ),
        (
            "overlay: {networks: 1, tenants: {t1: {groups: {g: [{allow: in, ports: 80-x}]}}}}",
            "a.yml:11:71: '80-x' is no port or range of ports (such as 80 or 8000-8100)",
        ),
        (
            "overlay: {networks: 1, tenants: {t1: {groups: {g: [{allow: in, from: nobody}]}}}}",
            "a.yml:11:70: 'nobody' is neither a prefix nor a security group",
        ),
        ("overlay: {networks: 1, tenants: {t1: {peers: t2}}}", "a.yml:11:46: expected a list, not 't2'"),
        (
            'overlay: {networks: 1, tenants: {"x[1-2]": {networks: {n: }}}}',
            "a.yml:11:56: network 'n' is there already",
        ),
    ],
)
def test_every_mistake_in_a_section_stands_where_it_is_made(overlay: str, said: str) -> None:
    (line,) = {line for line in refused(NODES + overlay).splitlines() if line.startswith("a.yml:11:")}
    assert line.startswith(said)


def test_all_that_is_wrong_with_a_section_is_told_at_once() -> None:
    said = refused(NODES + "overlay: {mtu: x, networks: y, colour: 1}")
    assert [line.partition(": ")[0] for line in said.splitlines()] == [
        "a.yml:11:16",
        "a.yml:11:29",
        "a.yml:11:32",
    ]


def test_faults_of_planning_come_at_once_and_with_those_of_the_nodes() -> None:
    groups = "{g: [{allow: in, proto: tpc}, {allow: out, from: any}]}"
    section = (
        f"overlay: {{networks: 1, anycast: 'ff02::1', tenants: {{t1: {{groups: {groups}, peers: [t8]}}}}}}"
    )
    planned = [
        "a.yml:11:33: anycast address ff02::1 is no address that can be routed to",
        "a.yml:11:91: 'tpc' is no protocol (one of any, icmp, tcp, udp, sctp, or a number)",
        "a.yml:11:116: a rule that allows out has no 'from' (known: to)",
        "a.yml:11:132: there is no tenant 't8' (known: t1)",
    ]
    assert refused(NODES + section).splitlines() == planned
    unknown = NODES.replace("p1: {role: router}", "p1: {role: ruter}")
    assert refused(unknown + section).splitlines() == [
        "a.yml:5:14: unknown role 'ruter' (did you mean 'router'?)",
        *planned,
    ]


def test_a_group_that_is_not_there_is_told_once_for_a_whole_range() -> None:
    text = NODES.replace("network: t1-net}", "network: t1-net, groups: [webb]}")
    section = "overlay: {networks: 1, tenants: {t1: {groups: {web: [{allow: in}]}}}}"
    assert refused(text + section) == "a.yml:9:62: there is no group 'webb' (did you mean 'web'?)"


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ("role: vm, network: t1-net", "a.yml:9:3: 'vm1' has no 'host' (known: compute1, compute2)"),
        ("role: vm, host: compute1", "a.yml:9:3: 'vm1' has no 'network'"),
        ("role: vm, host: compute3, network: t1-net", "unknown node 'compute3' (did you mean 'compute2'?)"),
        ("role: vm, host: leaf1, network: t1-net", "no compute node: 'leaf1'"),
        ('role: vm, host: "compute[1", network: t1-net', "a.yml:9:"),
        ("role: vm, host: compute1, network: 5", "expected a name, not 5"),
        ("role: vm, host: compute1, network: t1-net, hots: x", "unknown key 'hots' (did you mean 'host'?)"),
        ("role: vm, host: compute1, network: t1-net, groups: [nobodys]", "nobodys"),
    ],
)
def test_what_is_wrong_with_a_guest_is_told_with_its_place(keys: str, said: str) -> None:
    text = NODES.replace('role: vm, host: "compute[1-2]", network: t1-net', keys)
    assert said in refused(text + "overlay: {networks: 2}")


@pytest.mark.slow
def test_a_guests_host_stands_in_the_definition() -> None:
    files = render_files(load(NODES + "overlay: {networks: 1}"))
    said = yaml.safe_load(files["a.clab.yml"][0])["topology"]["nodes"]
    assert said["vm3"]["labels"] == {"labctl-host": "compute1"}
    assert "labels" not in said["compute1"]
