"""Packets compiled to bytes: every stamped one has the checksum that scapy would have given it."""

import struct

import pytest
from effort import examples
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.inet6 import ICMPv6EchoRequest, IPv6
from scapy.layers.l2 import Ether
from scapy.layers.vxlan import VXLAN
from scapy.packet import Raw

from labctl.errors import ProbeError
from labctl.probe import payload
from labctl.probe.spec import PacketSpec, compile_packet, flow_packet, flow_specs, least_size
from labctl.probe.types import Stream


def stream(family: int, proto: str, size: int = 128) -> Stream:
    source, destination = ("10.0.0.1", "10.0.0.2") if family == 4 else ("fd00::1", "fd00::2")
    return Stream("s", "a", "b", source, destination, proto=proto, size=size)


def stamped(spec: PacketSpec, sequence: int, t_ns: int) -> bytes:
    buffer = bytearray(spec.data)
    spec.stamp(buffer, sequence, t_ns)
    return bytes(buffer)


def fresh(raw: bytes, family: int) -> bytes:
    """The same packet with every checksum made anew by scapy."""
    packet = (IP if family == 4 else IPv6)(raw)
    for layer, field in ((UDP, "chksum"), (ICMP, "chksum"), (ICMPv6EchoRequest, "cksum")):
        if layer in packet:
            delattr(packet[layer], field)
    return bytes(packet)


@examples(60)
@given(
    kind=st.tuples(st.sampled_from((4, 6)), st.sampled_from(("udp", "icmp"))),
    odd=st.integers(0, 1),
    flow=st.integers(0, 4095),
    sequence=st.integers(0, 2**63),
    t_ns=st.integers(0, 2**62),
)
def test_the_mended_checksum_is_the_one_that_scapy_computes(
    kind: tuple[int, str], odd: int, flow: int, sequence: int, t_ns: int
) -> None:
    family, proto = kind
    spec = compile_packet(flow_packet(stream(family, proto, 128 + odd), 7, flow, 20000 + flow, 50000))
    raw = stamped(spec, sequence, t_ns)
    assert len(raw) == 128 + odd
    assert struct.unpack_from(">Qq", raw, spec.fields_at) == (sequence, t_ns)
    want = fresh(raw, family)
    if raw != want:  # 0 and 0xffff are one number; ICMP may use either
        at = spec.checksum_at
        assert {raw[at : at + 2], want[at : at + 2]} == {b"\0\0", b"\xff\xff"}
        assert raw[:at] + raw[at + 2 :] == want[:at] + want[at + 2 :]


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("proto", ["udp", "icmp"])
def test_a_flow_mended_from_the_first_is_the_flow_built_by_itself(family: int, proto: str) -> None:
    ports = [20000, 20001, 65535, 1, 20004, *range(30000, 30500)]
    one = stream(family, proto)
    for flow, spec in enumerate(flow_specs(one, 0xDEADBEEF, ports, 50000)):
        if flow < 5 or flow % 97 == 0:
            assert spec == compile_packet(flow_packet(one, 0xDEADBEEF, flow, ports[flow], 50000))


def test_inside_vxlan_only_the_inner_checksum_is_mended() -> None:
    inner = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02") / flow_packet(
        stream(4, "udp"), 7, 3, 1, 2
    )
    outer = Ether() / IP(src="10.1.1.1", dst="10.1.1.2") / UDP(sport=1, dport=4789) / VXLAN(vni=5) / inner
    spec = compile_packet(outer)
    raw = stamped(spec, 123456789, 987654321)
    again = Ether(raw)
    inside = again[VXLAN].payload
    assert bytes(inside[IP]) == fresh(bytes(inside[IP]), 4)
    del again[UDP].chksum
    assert bytes(again) == raw


def test_a_packet_without_our_payload_is_left_as_it_is() -> None:
    packet = IP(src="10.0.0.1", dst="10.0.0.2") / UDP(sport=1, dport=2) / Raw(b"hello")
    spec = compile_packet(packet)
    assert spec == PacketSpec(bytes(packet))
    assert stamped(spec, 5, 6) == bytes(packet)


def test_a_checksum_set_by_hand_is_kept() -> None:
    packet = flow_packet(stream(4, "udp"), 7, 0, 1, 2)
    packet[UDP].chksum = 0
    spec = compile_packet(packet)
    assert spec.checksum_at == -1
    assert stamped(spec, 5, 6)[26:28] == b"\0\0"


def test_what_the_kernel_writes_is_cut_off_with_its_checksum() -> None:
    whole = compile_packet(flow_packet(stream(4, "udp"), 7, 0, 1, 2))
    bare = whole.cut(28)
    assert bare.data == whole.data[28:]
    assert (bare.fields_at, bare.checksum_at) == (payload.SEQUENCE_AT, -1)
    echo = compile_packet(flow_packet(stream(4, "icmp"), 7, 0, 1, 2)).cut(20)
    assert echo.checksum_at == 2


@pytest.mark.parametrize(("family", "size"), [(4, 59), (6, 79), (4, 65536)])
def test_a_size_that_cannot_be_is_refused(family: int, size: int) -> None:
    with pytest.raises(ProbeError, match=f"must be {least_size(family)} to 65535"):
        flow_packet(stream(family, "udp", size), 0, 0, 1, 2)
