"""The parser against another program's idea of the same frames (scapy)."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption_NOP
from scapy.layers.inet6 import (
    ICMPv6EchoRequest,
    ICMPv6ND_NS,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
)
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.packet import Raw
from virtual import address

from labctl.overlay.flow import ConnKey, FlowKey, Fragment
from labctl.overlay.packet import address_bytes, address_of, checksum, link_local, mac_bytes, parse

MACS = {"src": "02:00:00:00:00:01", "dst": "02:00:00:00:00:02"}


ends = st.tuples(st.ip_addresses(v=4), st.ip_addresses(v=4), st.integers(0, 65535), st.integers(0, 65535))


@pytest.mark.parametrize("behind", [b"", bytes(60), b"\x08" * 60])
def test_what_stands_behind_the_end_of_a_packet_is_none_of_its_headers(behind: bytes) -> None:
    """A first fragment whose headers go on in the next one: a receiver puts them together."""
    head = Ether(**MACS) / IPv6(dst="fd00::1")
    first = head / IPv6ExtHdrFragment(m=1) / IPv6ExtHdrDestOpt() / ICMPv6EchoRequest()
    whole = bytes(first)
    parsed = parse(whole + behind)
    assert (parsed.fault, parsed.proto, parsed.frag) == ("", 58, Fragment.FIRST)
    cut = bytearray(whole[:70])
    cut[18:20] = (len(cut) - 54).to_bytes(2)
    assert parse(bytes(cut) + behind).fault == "cut short"
    for proto in (6, 17, 33):
        assert parse(bytes(Ether(**MACS) / IP(proto=proto, len=20)) + behind).fault == "cut short"


@given(ends, st.integers(1, 255), st.binary(max_size=100), st.booleans())
def test_udp_over_ipv4(ends: tuple[object, object, int, int], ttl: int, load: bytes, df: object) -> None:
    src, dst, sport, dport = ends
    frame = Ether(**MACS) / IP(src=str(src), dst=str(dst), ttl=ttl, flags="DF" if df else 0)
    packet = parse(bytes(frame / UDP(sport=sport, dport=dport) / Raw(load)))
    assert packet.fault == ""
    assert (packet.src, packet.dst) == (address(str(src)), address(str(dst)))
    assert (packet.proto, packet.sport, packet.dport, packet.ttl) == (17, sport, dport, ttl)
    assert packet.length == 28 + len(load)
    assert packet.dont_fragment is df
    assert packet.frag == Fragment.NONE


@given(st.ip_addresses(v=6), st.ip_addresses(v=6), st.integers(0, 65535), st.integers(0, 65535))
def test_tcp_over_ipv6_behind_extension_headers(src: object, dst: object, sport: int, dport: int) -> None:
    frame = Ether(**MACS) / IPv6(src=str(src), dst=str(dst)) / IPv6ExtHdrHopByHop() / IPv6ExtHdrDestOpt()
    packet = parse(bytes(frame / TCP(sport=sport, dport=dport, flags="SA")))
    assert (packet.src, packet.dst) == (address(str(src)), address(str(dst)))
    assert (packet.proto, packet.sport, packet.dport, packet.tcp_flags) == (6, sport, dport, 0x12)


def test_ip_options_are_skipped() -> None:
    frame = Ether(**MACS) / IP(src="1.2.3.4", dst="5.6.7.8", options=[IPOption_NOP()] * 8)
    packet = parse(bytes(frame / UDP(sport=7, dport=8)))
    assert (packet.sport, packet.dport, packet.l4) == (7, 8, 42)


def test_icmp_has_type_and_code_and_the_identifier_of_an_echo() -> None:
    packet = parse(bytes(Ether(**MACS) / IP(dst="5.6.7.8") / ICMP(type=8, id=77)))
    assert (packet.sport, packet.dport) == (8 << 8, 77)
    packet = parse(bytes(Ether(**MACS) / IP(dst="5.6.7.8") / ICMP(type=3, code=4, nexthopmtu=1400)))
    assert (packet.sport, packet.dport) == (3 << 8 | 4, 0)
    packet = parse(bytes(Ether(**MACS) / IPv6(dst="fd00::1") / ICMPv6EchoRequest(id=5)))
    assert (packet.sport, packet.dport) == (128 << 8, 5)


def test_fragments_of_ipv4() -> None:
    whole = IP(src="1.2.3.4", dst="5.6.7.8") / UDP(sport=7, dport=8) / Raw(bytes(3000))
    pieces = [parse(bytes(Ether(**MACS) / piece)) for piece in whole.fragment(1000)]
    assert [piece.frag for piece in pieces] == [Fragment.FIRST, *[Fragment.LATER] * (len(pieces) - 1)]
    assert [piece.sport for piece in pieces] == [7, *[0] * (len(pieces) - 1)]


@pytest.mark.parametrize(
    ("offset", "more", "expected"), [(0, 0, Fragment.NONE), (0, 1, Fragment.FIRST), (185, 0, Fragment.LATER)]
)
def test_fragments_of_ipv6(offset: int, more: int, expected: Fragment) -> None:
    frame = Ether(**MACS) / IPv6(dst="fd00::1") / IPv6ExtHdrFragment(offset=offset, m=more)
    packet = parse(bytes(frame / UDP(sport=7, dport=8)))
    assert packet.frag == expected
    assert packet.proto == 17
    assert packet.sport == (0 if expected == Fragment.LATER else 7)


def test_arp() -> None:
    packet = parse(bytes(Ether(**MACS) / ARP(op=1, psrc="10.0.0.1", pdst="10.0.0.2")))
    assert (packet.proto, packet.src, packet.dst) == (1, address("10.0.0.1"), address("10.0.0.2"))
    assert packet.key(5) == FlowKey(5, 0x0806, 0, 0, packet.dmac, packet.smac, 0, 0, bytes(16), bytes(16))


def test_a_vlan_tag_is_neither_ip_nor_arp() -> None:
    assert parse(bytes(Ether(**MACS) / Dot1Q(vlan=5) / IP())).eth_type == 0x8100


@given(st.binary(max_size=120))
def test_no_bytes_break_the_parser(raw: bytes) -> None:
    parse(raw)
    for kind in (b"\x08\x00", b"\x86\xdd", b"\x08\x06"):
        parse(bytes(12) + kind + raw, gso_size=len(raw))


@given(st.integers(0, 400))
def test_a_frame_that_is_cut_short_is_said_to_be_or_reads_the_same(length: int) -> None:
    for frame in (
        Ether(**MACS) / IP(dst="5.6.7.8") / TCP(sport=7, dport=8) / Raw(bytes(300)),
        Ether(**MACS) / IPv6(dst="fd00::1") / IPv6ExtHdrHopByHop() / UDP(sport=7, dport=8) / Raw(bytes(300)),
        Ether(**MACS) / IPv6(dst="fd00::1") / ICMPv6ND_NS(tgt="fd00::1") / Raw(bytes(300)),
    ):
        whole = parse(bytes(frame))
        short = parse(bytes(frame)[:length])
        assert short.fault or short.key(1) == whole.key(1)
        assert short.fault or short.length == whole.length


@given(st.ip_addresses())
def test_addresses_go_to_bytes_and_back(given_address: object) -> None:
    one = ip_address(str(given_address))
    if one.version == 6 and one.ipv4_mapped:
        return
    assert address_of(address_bytes(one)) == one


def test_link_local_addresses_are_made_as_the_kernel_does() -> None:
    assert address_of(link_local(mac_bytes("02:6c:00:00:01:09"))).compressed == "fe80::6c:ff:fe00:109"


@given(st.binary(max_size=64))
def test_the_checksum_of_data_with_its_checksum_is_zero(data: bytes) -> None:
    even = data + bytes(len(data) % 2)
    assert checksum(even + checksum(even).to_bytes(2, "big")) == 0


@given(st.builds(FlowKey, *[st.integers(0, 2**25 - 1), st.integers(0, 65535), st.integers(0, 255)],
    st.integers(0, 2), *[st.binary(min_size=6, max_size=6)] * 2, *[st.integers(0, 65535)] * 2,
    *[st.binary(min_size=16, max_size=16)] * 2))  # fmt: skip
def test_flow_keys_pack_and_unpack(key: FlowKey) -> None:
    assert len(key.pack()) == 56
    assert FlowKey.unpack(key.pack()) == key


@given(st.builds(ConnKey, st.integers(0, 2**24 - 1), st.integers(0, 255), *[st.integers(0, 65535)] * 2,
    *[st.binary(min_size=16, max_size=16)] * 2, st.booleans()))  # fmt: skip
def test_connection_keys_pack_and_unpack(key: ConnKey) -> None:
    assert ConnKey.unpack(key.pack()) == key
