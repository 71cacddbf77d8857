"""Netlink messages, byte by byte."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st

from labctl.linux import netlink


def _attr(kind: int, payload: bytes) -> bytes:
    return struct.pack("=HH", len(payload) + 4, kind) + payload + b"\0" * (-len(payload) % 4)


@given(st.lists(st.tuples(st.integers(1, 500), st.binary(max_size=20)), unique_by=lambda pair: pair[0]))
def test_attributes_are_taken_apart_as_they_were_put_together(pairs: list[tuple[int, bytes]]) -> None:
    data = b"".join(_attr(kind, payload) for kind, payload in pairs)
    assert netlink.attributes(data) == dict(pairs)


@given(st.binary(max_size=100))
def test_garbage_is_no_endless_loop(data: bytes) -> None:
    netlink.attributes(data)


def test_a_link_names_both_ends_with_numbers_of_their_own() -> None:
    message = netlink.veth_pair(("eth1", "02:00:00:00:00:01", 7, 100), ("eth2", "", 8, 101), 1500)
    length, kind, flags, _, _ = struct.unpack_from("=IHHII", message)
    assert (length, kind) == (len(message), netlink.RTM_NEWLINK)
    assert flags & netlink.NLM_F_EXCL  # never a change of something that is there
    index, state, change = struct.unpack_from("=4xiII", message, 16)
    assert (index, state, change) == (100, 0, 0)
    attrs = netlink.attributes(message[32:])
    assert attrs[netlink.IFLA_IFNAME] == b"eth1\0"
    assert attrs[netlink.IFLA_ADDRESS] == bytes.fromhex("020000000001")
    assert attrs[netlink.IFLA_NET_NS_FD] == struct.pack("=I", 7)
    info = netlink.attributes(attrs[netlink.IFLA_LINKINFO])
    assert info[netlink.IFLA_INFO_KIND] == b"veth"
    peer = netlink.attributes(info[netlink.IFLA_INFO_DATA])[netlink.VETH_INFO_PEER]
    assert struct.unpack_from("=4xi", peer)[0] == 101
    other = netlink.attributes(peer[16:])
    assert other[netlink.IFLA_IFNAME] == b"eth2\0"
    assert netlink.IFLA_ADDRESS not in other


def test_a_group_goes_down_in_one_message_that_names_no_link() -> None:
    message = netlink.group_flags(9, up=False)
    index, state, change = struct.unpack_from("=4xiII", message, 16)
    assert (index, state, change) == (0, 0, netlink.IFF_UP)
    assert netlink.attributes(message[32:]) == {netlink.IFLA_GROUP: struct.pack("=I", 9)}


def test_carrier_needs_a_link_that_is_up() -> None:
    def link(flags: int) -> netlink.LinkInfo:
        return netlink.LinkInfo(struct.pack("=BxHiII", 0, 1, 5, flags, 0) + _attr(3, b"eth1\0"))

    assert link(netlink.IFF_UP | netlink.IFF_LOWER_UP).carrier
    assert not link(netlink.IFF_LOWER_UP).carrier
    assert not link(netlink.IFF_UP).carrier
    assert link(0).name == "eth1"
