import json
from dataclasses import fields
from ipaddress import IPv4Interface, IPv6Interface

import pytest
from effort import examples
from hypothesis import given
from hypothesis import strategies as st

from labctl.model.codec import dump_lab, lab_from_dict, lab_to_dict, load_lab
from labctl.model.lab import Endpoint, Interface, Lab, LinkPlan, NodePlan

names = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?", fullmatch=True)
endpoints = st.builds(Endpoint, names, st.from_regex(r"[a-z][a-z0-9.]{0,8}", fullmatch=True))
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
ipv4 = st.none() | st.builds(lambda ip, bits: f"{ip}/{bits}", st.ip_addresses(v=4), st.integers(0, 32))
ipv6 = st.none() | st.builds(lambda ip, bits: f"{ip}/{bits}", st.ip_addresses(v=6), st.integers(0, 128))


def _ipv4() -> st.SearchStrategy[object]:
    return ipv4.map(lambda text: None if text is None else IPv4Interface(text))


def _ipv6() -> st.SearchStrategy[object]:
    return ipv6.map(lambda text: None if text is None else IPv6Interface(text))


interfaces = st.builds(
    Interface,
    name=names,
    link=st.integers(0, 99),
    peer=endpoints,
    peer_role=names,
    mac=st.just("02:00:00:00:00:01"),
    mtu=st.integers(1280, 9000),
    ipv4=_ipv4(),
    ipv6=_ipv6(),
    peer_ipv4=_ipv4(),
    peer_ipv6=_ipv6(),
    side=names | st.just(""),
)
nodes = st.builds(
    NodePlan,
    name=names,
    role=names,
    index=st.integers(0, 99),
    interfaces=st.lists(interfaces, max_size=3).map(tuple),
    loopback4=_ipv4(),
    loopback6=_ipv6(),
    asn=st.none() | st.integers(1, 4294967294),
    params=st.dictionaries(st.text(), json_values, max_size=3),
    acts_as=names,
    image=names,
)
labs = st.builds(
    Lab,
    name=names,
    nodes=st.lists(nodes, max_size=3).map(tuple),
    links=st.lists(
        st.builds(LinkPlan, st.integers(0, 9), endpoints, endpoints, st.integers(68, 9000)), max_size=3
    ).map(tuple),
    vars=st.dictionaries(names, json_values, max_size=3),
)


@examples(50)
@given(labs)
def test_a_lab_comes_back_from_json_as_it_went(lab: Lab) -> None:
    text = dump_lab(lab)
    again = load_lab(text)
    assert again == lab
    assert dump_lab(again) == text, "the same lab is the same text"
    assert lab_from_dict(json.loads(json.dumps(lab_to_dict(lab)))) == lab


def test_every_field_is_written() -> None:
    node = NodePlan(
        "r",
        "router",
        0,
        interfaces=(Interface("eth1", 0, Endpoint("s", "eth1"), "router", "02:00:00:00:00:01"),),
    )
    written = lab_to_dict(Lab("l", (node,), (), overlay={"section": {}}, templates=("/t",)))
    assert set(written) == {spec.name for spec in fields(Lab)} | {"format"}
    assert set(written["nodes"][0]) == {spec.name for spec in fields(NodePlan)}
    assert set(written["nodes"][0]["interfaces"][0]) == {spec.name for spec in fields(Interface)}


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"format": 2}', '{"format": 1, "name": "x"}', "null", '"x"']
)
def test_what_is_no_lab_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - JSON's own error is one too
        load_lab(text)
