"""A packet in a few words: what is understood, and what is said of what is not."""

from __future__ import annotations

import contextlib
import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.errors import InputError
from labctl.overlay.client.packet_spec import PROTOCOLS, TracePacket, read_words


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("icmp vm2", TracePacket("icmp", 0, "vm2")),
        ("ICMP vm2", TracePacket("icmp", 0, "vm2")),
        ("icmp6 vm2", TracePacket("icmp", 6, "vm2")),
        ("udp 10.128.1.10:53", TracePacket("udp", 4, "10.128.1.10", 53)),
        ("udp 10.128.1.10", TracePacket("udp", 4, "10.128.1.10", 33434)),
        ("tcp6 vm3:8080 ttl=2", TracePacket("tcp", 6, "vm3", 8080, ttl=2)),
        ("tcp [fd6c::0010]:443", TracePacket("tcp", 6, "fd6c::10", 443)),
        ("udp fd6c::10", TracePacket("udp", 6, "fd6c::10", 33434)),
        ("tcp vm3 size=1400 sport=5000", TracePacket("tcp", 0, "vm3", 80, sport=5000, size=1400)),
        ("icmp vm2 src=10.0.0.9", TracePacket("icmp", 4, "vm2", source="10.0.0.9")),
    ],
)
def test_words_that_are_understood(text: str, wanted: TracePacket) -> None:
    assert read_words(text) == wanted


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is no packet: expected PROTOCOL TARGET"),
        ("icmp", "is no packet: expected PROTOCOL TARGET"),
        ("icpm vm2", "did you mean 'icmp'?"),
        ("gre vm2", "one of icmp, tcp, udp"),
        ("tcp vm2:http", "port is 'http', must be a number from 1 to 65535"),
        ("tcp vm2:", "port is '', must be a number from 1 to 65535"),
        ("tcp vm2:0", "port is '0'"),
        ("udp :53", "names nobody"),
        ("icmp vm2:7", "icmp knows no ports"),
        ("udp4 [fd6c::10]:53", "udp4 is IPv4 and fd6c::10 is an IPv6 address"),
        ("udp [nothing]:53", "in brackets is no IPv6 address"),
        ("icmp vm2 tll=3", "did you mean ttl=?"),
        ("icmp vm2 ttl=300", "ttl is '300', must be a number from 1 to 255"),
        ("icmp vm2 src=nobody", "src=nobody: no address"),
        ("icmp 10.0.0.1 src=fd00::1", "IPv"),
    ],
)
def test_words_that_are_not(text: str, said: str) -> None:
    with pytest.raises(InputError) as caught:
        read_words(text)
    assert said in str(caught.value)


def test_every_problem_is_told_at_once() -> None:
    with pytest.raises(InputError) as caught:
        read_words("icpm vm2:x tll=3 ttl=0")
    assert len(caught.value.problems) == 4


addresses = st.ip_addresses().map(lambda one: ipaddress.ip_address(int(one)) if one.version == 4 else one)


@given(
    st.sampled_from([proto for proto in PROTOCOLS if proto != "icmp"]),
    addresses,
    st.integers(1, 65535),
    st.integers(1, 255),
)
def test_any_address_with_any_port_is_read_back(
    proto: str, address: ipaddress.IPv4Address | ipaddress.IPv6Address, port: int, ttl: int
) -> None:
    spelled = f"[{address}]" if address.version == 6 else str(address)
    found = read_words(f"{proto}{address.version} {spelled}:{port} ttl={ttl}")
    assert found == TracePacket(proto, address.version, str(address), port, ttl=ttl)


@given(st.text(max_size=60))
def test_no_text_at_all_is_more_than_an_error(text: str) -> None:
    with contextlib.suppress(InputError):
        found = read_words(text)
        assert found.proto in PROTOCOLS
        assert found.target
