"""The planner: nothing twice, nothing given changed, nothing renumbered without need."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface
from itertools import combinations
from math import prod

import pytest
from effort import examples
from hypothesis import assume, given
from hypothesis import strategies as st

from labctl.model.lab import Interface, Lab
from labctl.model.plan import PlanError, plan
from labctl.model.topology import (
    AddressPools,
    Behaviour,
    EndpointRequest,
    LabRequest,
    LinkRequest,
    NodeRequest,
)

HOST, ROUTER, GATEWAY, SWITCH = Behaviour.HOST, Behaviour.ROUTER, Behaviour.GATEWAY, Behaviour.SWITCH


def node(name: str, kind: Behaviour, **given_values: object) -> NodeRequest:
    return NodeRequest(name, str(kind), kind, **given_values)  # type: ignore[arg-type]


def link(a: str | EndpointRequest, b: str | EndpointRequest) -> LinkRequest:
    return LinkRequest(
        a if isinstance(a, EndpointRequest) else EndpointRequest(a),
        b if isinstance(b, EndpointRequest) else EndpointRequest(b),
    )


def topology(nodes: list[NodeRequest], links: list[LinkRequest], **more: object) -> LabRequest:
    return LabRequest("lab", tuple(nodes), tuple(links), **more)  # type: ignore[arg-type]


def _digits(*bases: int) -> st.SearchStrategy[tuple[int, ...]]:
    """Whole numbers below these bases, all from one draw."""

    def split(number: int) -> tuple[int, ...]:
        found = []
        for base in bases:
            number, digit = divmod(number, base)
            found.append(digit)
        return tuple(found)

    return st.integers(0, prod(bases) - 1).map(split)


_START = st.integers(0, 19)
_STRIDE = st.sampled_from([1, 3, 7, 9, 11, 13, 17, 19])
"""No divisor of 20, so that no two nodes get one loopback."""

_NODE = _digits(len(Behaviour), 2, 2, 16)
"""Behaviour, whether loopbacks and an AS number are given, and which."""

_LINK = _digits(12, 11, 4, 4, 2, 2)
"""Node, distance to the other node, the two names, whether an address is given, its pool."""


@st.composite
def topologies(draw: st.DrawFn) -> LabRequest:
    """Any graph of any roles, with given loopbacks, AS numbers, MACs and interface names here and there.

    Given values come from where planned ones do, so that they get into each other's way. All choices
    of a node, and all of a link, are digits of one number: a draw costs more than the planner does.
    """
    count = draw(st.integers(1, 12))
    shift, stride = draw(_START), draw(_STRIDE)
    kinds = list(Behaviour)
    nodes = []
    for index in range(count):
        which, has_loopback, has_asn, asn = draw(_NODE)
        kind = kinds[which]
        given_values: dict[str, object] = {}
        if kind is not SWITCH and has_loopback:
            loopback = 1 + (shift + stride * index) % 20
            given_values["loopback4"] = IPv4Address("10.255.0.0") + loopback
            given_values["loopback6"] = IPv6Address("fd5c:1ab:7e57:ffff::") + loopback
        if kind is not SWITCH and has_asn:
            given_values["asn"] = 4_200_000_000 + asn
        nodes.append(node(f"n{index}", kind, **given_values))
    links = []
    if count > 1:
        for order in range(draw(st.integers(0, 20))):
            a, distance, *which_names, has_address, which_pool = draw(_LINK)
            a %= count
            b = (a + 1 + distance % (count - 1)) % count
            known = ("", "", f"x{order}", f"eth{order + 1}")
            names = [known[which] for which in which_names]
            ends = [EndpointRequest(nodes[end].name, name) for end, name in zip((a, b), names, strict=True)]
            if SWITCH not in (nodes[a].behaviour, nodes[b].behaviour) and has_address:
                # A /29 of its own, somewhere in the pools of links and segments.
                pool = ("10.254.0.0", "10.192.0.0")[which_pool]
                base = IPv4Address(pool) + 8 * order
                ends[0] = replace(ends[0], ipv4=IPv4Interface((int(base) + 1, 29)))
            links.append(LinkRequest(ends[0], ends[1]))
    return topology(nodes, links)


def addresses(lab: Lab) -> list[object]:
    found: list[object] = []
    for each in lab.nodes:
        found += [own.ip for own in (each.loopback4, each.loopback6) if own is not None]
        for interface in each.interfaces:
            found += [own.ip for own in (interface.ipv4, interface.ipv6) if own is not None]
    return found


@examples(50)
@given(topologies())
def test_every_address_name_mac_and_planned_as_number_is_one_of_a_kind(wanted: LabRequest) -> None:
    lab = plan(wanted)
    assert len(addresses(lab)) == len(set(addresses(lab)))
    macs = [interface.mac for each in lab.nodes for interface in each.interfaces]
    assert len(macs) == len(set(macs)) == 2 * len(lab.links)
    assert all(int(mac[:2], 16) & 3 == 2 for mac in macs), "locally administered, unicast"
    for each in lab.nodes:
        names = [interface.name for interface in each.interfaces]
        assert len(names) == len(set(names))
    given_asns = {request.asn for request in wanted.nodes}
    planned = [each.asn for each, request in zip(lab.nodes, wanted.nodes, strict=True) if request.asn is None]
    planned = [asn for asn in planned if asn is not None]
    assert len(planned) == len(set(planned))
    assert not given_asns & set(planned)


@examples(50)
@given(topologies())
def test_what_is_given_is_kept(wanted: LabRequest) -> None:
    lab = plan(wanted)
    for request, each in zip(wanted.nodes, lab.nodes, strict=True):
        if request.loopback4 is not None:
            assert each.loopback4 == IPv4Interface((request.loopback4, 32))
            assert each.loopback6 == IPv6Interface((int(request.loopback6 or 0), 128))
        if request.asn is not None:
            assert each.asn == request.asn
    for asked, made in zip(wanted.links, lab.links, strict=True):
        for want, have in zip(asked.ends, (made.a, made.b), strict=True):
            assert have.node == want.node
            assert want.interface in ("", have.interface)
            if want.ipv4 is not None:
                assert lab.node(have.node).interface(have.interface).ipv4 == want.ipv4


@examples(50)
@given(topologies())
def test_no_two_segments_share_addresses_and_no_loopback_is_on_a_segment(wanted: LabRequest) -> None:
    lab = plan(wanted)
    for family in ("ipv4", "ipv6"):
        networks: dict[object, set[int]] = {}
        for each in lab.nodes:
            for interface in each.interfaces:
                own = getattr(interface, family)
                if own is not None:
                    networks.setdefault(own.network, set()).add(interface.link)
        for one, other in combinations(networks, 2):
            assert not one.overlaps(other)  # type: ignore[attr-defined]
        loopbacks = [getattr(each, f"loopback{family[-1]}") for each in lab.nodes]
        for network in networks:
            assert not any(own is not None and own.ip in network for own in loopbacks)  # type: ignore[operator]


@examples(50)
@given(topologies())
def test_the_two_ends_of_a_link_know_each_other(wanted: LabRequest) -> None:
    lab = plan(wanted)
    roles = {each.name: each.acts_as for each in lab.nodes}
    for made in lab.links:
        a = lab.node(made.a.node).interface(made.a.interface)
        b = lab.node(made.b.node).interface(made.b.interface)
        assert (a.peer, b.peer) == (made.b, made.a)
        assert a.mac != b.mac
        if SWITCH in (roles[made.a.node], roles[made.b.node]):
            assert a.peer_ipv4 is b.peer_ipv4 is None
            continue
        assert (a.peer_ipv4, b.peer_ipv4) == (b.ipv4, a.ipv4)
        assert (a.peer_ipv6, b.peer_ipv6) == (b.ipv6, a.ipv6)
        if a.ipv4 is not None and b.ipv4 is not None:
            assert a.ipv4.network == b.ipv4.network
        has_host = HOST in (roles[made.a.node], roles[made.b.node])
        assert (a.ipv6 is not None) == has_host


@examples(50)
@given(topologies())
def test_the_same_topology_gives_the_same_lab(wanted: LabRequest) -> None:
    assert plan(wanted) == plan(wanted)


@examples(50)
@given(topologies(), st.sampled_from(list(Behaviour)))
def test_a_node_added_at_the_end_renumbers_nothing(wanted: LabRequest, kind: Behaviour) -> None:
    # A planned value may only give way to one that the user gives.
    before = plan(wanted)
    more = (*wanted.nodes, node("new", kind))
    # Where the newcomer does not join a segment by a switch that was there, so that it stays itself.
    others = [each.name for each in wanted.nodes if kind is not SWITCH or each.behaviour is not SWITCH]
    assume(others)
    after = plan(replace(wanted, nodes=more, links=(*wanted.links, link(others[0], "new"))))
    for old, new in zip(before.nodes, after.nodes, strict=False):
        assert (new.loopback4, new.loopback6, new.asn) == (old.loopback4, old.loopback6, old.asn)
    for made, same in zip(before.links, after.links, strict=False):
        assert (same.a, same.b) == (made.a, made.b)
        for end in (made.a, made.b):
            was = before.node(end.node).interface(end.interface)
            now = after.node(end.node).interface(end.interface)
            assert (now.ipv4, now.ipv6, now.mac) == (was.ipv4, was.ipv6, was.mac)


@examples(50)
@given(topologies(), st.integers(0, 11))
def test_an_address_given_to_one_node_moves_at_most_the_one_that_had_it(
    wanted: LabRequest, which: int
) -> None:
    which %= len(wanted.nodes)
    assume(wanted.nodes[which].behaviour is not SWITCH and wanted.nodes[which].loopback4 is None)
    taken = IPv4Address("10.255.0.5")
    assume(all(each.loopback4 != taken for each in wanted.nodes))
    before = plan(wanted)
    nodes = list(wanted.nodes)
    nodes[which] = replace(nodes[which], loopback4=taken)
    after = plan(replace(wanted, nodes=tuple(nodes)))
    moved = [
        old.name
        for old, new in zip(before.nodes, after.nodes, strict=True)
        if old.loopback4 != new.loopback4 and old.index != which
    ]
    had_it = [each.name for each in before.nodes if each.loopback4 == IPv4Interface((taken, 32))]
    assert set(moved) <= set(had_it)


def interface(lab: Lab, name: str, number: int = 1) -> Interface:
    return lab.node(name).interface(f"eth{number}")


def test_the_routers_end_of_a_hosts_link_is_the_even_one() -> None:
    lab = plan(topology([node("h", HOST), node("r", ROUTER)], [link("h", "r"), link("r", "h")]))
    for number in (1, 2):
        router, host = interface(lab, "r", number), interface(lab, "h", number)
        assert router.ipv4 is not None
        assert router.ipv6 is not None
        assert int(router.ipv4.ip) % 2 == int(router.ipv6.ip) % 2 == 0
        assert host.ipv4 == IPv4Interface((int(router.ipv4.ip) + 1, 31))
        assert host.ipv6 == IPv6Interface((int(router.ipv6.ip) + 1, 127))


def test_routers_and_gateways_are_unnumbered_between_them() -> None:
    lab = plan(topology([node("r", ROUTER), node("g", GATEWAY)], [link("r", "g")]))
    assert interface(lab, "r").ipv4 is None
    assert interface(lab, "g").ipv6 is None


def test_one_given_end_gets_a_neighbour_in_its_network() -> None:
    ends = EndpointRequest("r", ipv4=IPv4Interface("10.7.0.1/30")), EndpointRequest("s")
    lab = plan(topology([node("r", ROUTER), node("s", ROUTER)], [LinkRequest(*ends)]))
    assert interface(lab, "s").ipv4 == IPv4Interface("10.7.0.2/30")
    assert interface(lab, "s").ipv6 is None


def test_what_switches_join_shares_a_subnet() -> None:
    nodes = [node(name, HOST) for name in ("h1", "h2", "h3")]
    nodes += [node(name, SWITCH) for name in ("s1", "s2", "s3")]
    links = [link("h1", "s1"), link("s1", "s2"), link("h2", "s2"), link("s3", "h3")]
    lab = plan(topology(nodes, links))
    assert interface(lab, "h1").ipv4 == IPv4Interface("10.192.0.1/24")
    assert interface(lab, "h2").ipv4 == IPv4Interface("10.192.0.2/24")
    assert interface(lab, "h3").ipv4 == IPv4Interface("10.192.1.1/24")
    assert interface(lab, "s1").ipv4 is None
    assert lab.node("s1").loopback4 is None
    assert lab.node("s1").asn is None


def test_a_large_segment_gets_a_large_subnet() -> None:
    nodes = [node(f"h{number}", HOST) for number in range(300)] + [node("s", SWITCH)]
    lab = plan(topology(nodes, [link(f"h{number}", "s") for number in range(300)]))
    own = [interface(lab, f"h{number}").ipv4 for number in range(300)]
    assert {each.network for each in own if each is not None} == {IPv4Network("10.208.0.0/19")}
    assert len(set(own)) == 300


def test_a_segment_keeps_the_network_that_one_of_its_ends_was_given() -> None:
    nodes = [node("h1", HOST), node("h2", HOST), node("s", SWITCH)]
    given_end = EndpointRequest("h2", ipv4=IPv4Interface("10.9.0.1/28"))
    lab = plan(topology(nodes, [link("h1", "s"), link(given_end, "s")]))
    own = interface(lab, "h1").ipv4
    assert own is not None
    assert own.network == IPv4Network("10.9.0.0/28")
    assert own != given_end.ipv4


def test_a_planned_mac_gives_way_to_a_given_one() -> None:
    nodes = [node("a", ROUTER), node("b", ROUTER)]
    planned = interface(plan(topology(nodes, [link("a", "b")])), "a").mac
    lab = plan(topology(nodes, [link("a", "b"), link(EndpointRequest("a", mac=planned), "b")]))
    assert interface(lab, "a", 2).mac == planned
    assert interface(lab, "a", 1).mac != planned


def test_a_side_is_what_is_left_when_all_gateways_are_out() -> None:
    nodes = [node("a", ROUTER), node("g1", GATEWAY), node("g2", GATEWAY), node("b", ROUTER), node("c", HOST)]
    links = [
        link("a", "g1"),
        link("g2", "a"),
        link("g1", "b"),
        link("b", "g2"),
        link("b", "c"),
        link("g1", "g2"),
    ]
    lab = plan(topology(nodes, links))
    assert [each.side for each in lab.node("g1").interfaces] == ["a", "b", ""]
    assert [each.side for each in lab.node("g2").interfaces] == ["a", "b", ""]
    assert {each.side for each in lab.node("b").interfaces} == {""}


def test_interfaces_are_in_the_order_of_their_numbers() -> None:
    nodes = [node("r", ROUTER)] + [node(f"p{number}", ROUTER) for number in range(12)]
    links = [link("r", f"p{number}") for number in range(12)]
    links[3] = link(EndpointRequest("r", "wan0"), "p3")
    names = [each.name for each in plan(topology(nodes, links)).node("r").interfaces]
    assert names == [f"eth{number}" for number in range(1, 13) if number != 4] + ["wan0"]


@pytest.mark.parametrize(
    "pools",
    [
        AddressPools(loopback4=IPv4Network("10.0.0.0/30")),
        AddressPools(link4=IPv4Network("10.0.0.0/30")),
        AddressPools(asn=4_294_967_290),
    ],
)
def test_a_pool_that_is_too_small_is_told(pools: AddressPools) -> None:
    nodes = [node("r", ROUTER), *(node(f"h{number}", HOST) for number in range(8))]
    nodes += [node(f"r{number}", ROUTER) for number in range(8)]
    links = [link("r", f"h{number}") for number in range(8)]
    with pytest.raises(PlanError, match="no room"):
        plan(topology(nodes, links, pools=pools))


def test_a_small_pool_is_used_to_its_last_address() -> None:
    nodes = [node(f"r{number}", ROUTER) for number in range(3)]
    lab = plan(topology(nodes, [], pools=AddressPools(loopback4=IPv4Network("10.0.0.0/30"))))
    assert [str(each.loopback4) for each in lab.nodes] == ["10.0.0.1/32", "10.0.0.2/32", "10.0.0.3/32"]
