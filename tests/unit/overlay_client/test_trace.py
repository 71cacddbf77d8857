"""A packet's bytes, what agents say of it from host to host, and what was seen, put together."""

from __future__ import annotations

import struct
from dataclasses import replace
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.cli.trace import _plain
from labctl.errors import InputError
from labctl.overlay.client.hop_decision import HopDecision, follow, with_entries
from labctl.overlay.client.hops import hops
from labctl.overlay.client.observation import Observation, Tunnel, lengths, program, read_frame
from labctl.overlay.client.packet import TOKEN_BYTES, as_frame, ip_packet
from labctl.overlay.client.packet_spec import read_words
from labctl.overlay.client.trace import Trace
from labctl.overlay.flow import FROM_TUNNEL
from labctl.overlay.packet import address_bytes, checksum, ethernet, ipv4, parse, transport_checksum
from labctl.probe.frames import Frame

if TYPE_CHECKING:
    from collections.abc import Mapping

TOKEN = bytes(range(TOKEN_BYTES))
VM1, VM2, ROUTER = "02:00:00:00:00:01", "02:00:00:00:00:02", "02:00:00:00:00:fe"
ONE, TWO = ("10.0.0.1", "fd00::1"), ("10.0.0.2", "fd00::2")
PORT = 6677


def made(words: str, family: int = 4) -> bytes:
    which = 0 if family == 4 else 1
    return ip_packet(read_words(words), ONE[which], TWO[which], TOKEN)


@given(
    st.sampled_from(["icmp x", "udp x:53", "tcp x:80"]),
    st.sampled_from([4, 6]),
    st.integers(1, 255),
    st.integers(80, 1500),
)
def test_every_checksum_is_right(words: str, family: int, ttl: int, size: int) -> None:
    packet = made(f"{words} ttl={ttl} size={size}", family)
    read = parse(as_frame(packet, VM2, VM1))
    assert (read.fault, read.ttl, read.length, len(packet)) == ("", ttl, size, size)
    assert TOKEN in packet
    if family == 4:
        assert checksum(packet[:20]) == 0
    segment = packet[20 if family == 4 else 40 :]
    if read.proto == 1:
        assert checksum(segment) == 0
    else:
        assert transport_checksum(read.src, read.dst, read.proto, segment) == 0


def test_a_size_that_leaves_no_room_for_what_the_packet_is_known_by_is_refused() -> None:
    with pytest.raises(InputError, match="must be at least 44"):
        made("icmp x size=40")


def forwards(port: str, key: int, remote: str, **more: Any) -> dict[str, Any]:
    return {
        "decision": "forward",
        "steps": [{"device": f"port {port}", "message": "out"}],
        "dmac": VM2,
        "smac": ROUTER,
        "ttl": 2,
        "outputs": [{"key": key, "port": port, "remote": remote}],
        "entry": None,
        **more,
    }


def test_the_next_host_gets_the_frame_as_the_first_has_rewritten_it() -> None:
    asked: list[tuple[str, Mapping[str, Any]]] = []

    def ask(host: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
        asked.append((host, request))
        return forwards("vm2", 7, "192.0.2.2") if host == "c1" else forwards("vm2", 7, "")

    found = follow(ask, {"192.0.2.2": "c2"}.get, "c1", 3, as_frame(made("icmp x"), ROUTER, VM1))  # type: ignore[arg-type]
    assert [(one.host, one.ingress, one.next_host) for one in found] == [
        ("c1", 3, "c2"),
        ("c2", FROM_TUNNEL | 7, ""),
    ]
    second = parse(bytes.fromhex(asked[1][1]["frame"]))
    assert (second.ttl, second.dmac.hex(":"), second.smac.hex(":")) == (62, VM2, ROUTER)
    assert checksum(second.frame[14:34]) == 0


def test_where_nobody_knows_the_other_end_the_question_ends() -> None:
    found = follow(lambda *_: forwards("uplink", 1, "198.18.255.1"), lambda _: "", "c1", 3, bytes(60))
    assert [one.next_host for one in found] == [""]


def test_hosts_that_send_a_packet_round_are_not_asked_for_ever() -> None:
    frame = as_frame(made("icmp x"), ROUTER, VM1)
    found = follow(lambda *_: forwards("vm2", 7, "192.0.2.2"), lambda _: "c1", "c1", 3, frame)
    assert len(found) == 4


def test_entries_before_and_after_stand_side_by_side() -> None:
    drop = {"action": "drop"}
    before = (HopDecision("c1", 3, "forward", ()),)
    after = (
        HopDecision("c1", 3, "forward", (), entry=drop),
        HopDecision("gw1", 9, "forward", (), entry=drop),
    )
    first, second = with_entries(before, after)
    assert (first.entry, first.entry_after, first.asked_before) == (None, drop, True)
    assert (second.entry, second.entry_after, second.asked_before) == (None, drop, False)


def tunnelled(frame: bytes, key: int) -> bytes:
    vxlan = struct.pack("!B3xI", 8, key << 8) + frame
    udp = struct.pack("!HHHH", 40000, PORT, 8 + len(vxlan), 0) + vxlan
    src, dst = (address_bytes(ip_address(one)) for one in OUTER)
    return ethernet(bytes(6), bytes(6), 0x0800, ipv4(src, dst, 17, udp))


OUTER = ("192.0.2.1", "192.0.2.2")


def seen_as(frame: bytes, words: str = "icmp x") -> Observation | None:
    sent = parse(as_frame(made(words), VM2, VM1))
    return read_frame("n1", Frame(5, "eth1", True, frame), TOKEN, sent, PORT)


def test_a_packet_is_known_bare_and_in_a_tunnel() -> None:
    frame = as_frame(made("icmp x"), VM2, VM1)
    bare, inside = seen_as(frame), seen_as(tunnelled(frame, 7))
    assert bare is not None
    assert inside is not None
    assert (bare.tunnel, bare.answer) == (None, False)
    assert (inside.tunnel, inside.answer) == (Tunnel(7, *OUTER, 40000), False)
    assert bare.summary == inside.summary == "10.0.0.1 > 10.0.0.2 icmp echo request ttl 64"


def test_what_goes_the_other_way_or_tells_of_it_is_an_answer() -> None:
    sent = made("icmp x")
    back = ip_packet(read_words("icmp x"), TWO[0], ONE[0], TOKEN)
    error = ipv4(
        address_bytes(ip_address("10.0.0.9")),
        parse(as_frame(sent, VM2, VM1)).src, 1, struct.pack("!BBHI", 11, 0, 0, 0) + sent,
    )  # fmt: skip
    for packet, said in ((back, "echo request"), (error, "time exceeded")):
        found = seen_as(as_frame(packet, VM1, VM2))
        assert found is not None
        assert found.answer
        assert said in found.summary


def test_anybody_elses_packet_is_nothing() -> None:
    assert seen_as(as_frame(made("icmp x"), VM2, VM1).replace(TOKEN, bytes(TOKEN_BYTES))) is None


@given(st.integers(60, 1500), st.sampled_from([4, 6]), st.integers(40, 1700))
def test_the_socket_filter_takes_just_the_lengths_that_can_be(size: int, version: int, length: int) -> None:
    taken = lengths(size, version)
    assert _run(program(taken), length) == (length in taken)


def _run(lines: list[tuple[int, int, int, int]], length: int) -> bool:
    """Classic BPF, as far as it is used."""
    at, register = 0, 0
    while True:
        code, jump, skip, constant = lines[at]
        at += 1
        if code == 0x80:
            register = length
        elif code == 0x15:
            at += jump if register == constant else skip
        elif code == 0x06:
            return constant > 0


def observation(t: int, node: str, interface: str, *, out: bool, answer: bool = False) -> Observation:
    return Observation(t, node, interface, out, answer, "x ttl 64", None, b"")


def test_a_line_a_node_with_the_time_that_the_agent_took() -> None:
    found = hops(
        [
            observation(0, "vm1", "eth0", out=True),
            observation(1, "c1", "lc-vm7", out=False),
            observation(2, "c1", "lc-up0", out=True),
            observation(3, "c1", "lc-up1", out=False),
            observation(9, "c1", "lc-up1", out=True),
            observation(10, "c1", "lc-up0", out=False),
            observation(11, "c1", "lc-vx", out=True),
            observation(12, "c1", "eth1", out=True),
            observation(20, "c2", "eth1", out=False),
            observation(21, "c2", "lc-up1", out=False),
        ]
    )
    assert [(hop.node, hop.came, hop.left, hop.took_ns, hop.agent_ns) for hop in found] == [
        ("vm1", "", "eth0", 0, -1),
        ("c1", "lc-vm7", "eth1", 11, 6),
        ("c2", "eth1", "", 1, 0),
    ]


def test_the_json_of_a_trace_keeps_the_keys_that_its_readers_know() -> None:
    seen = replace(observation(0, "vm1", "eth0", out=True), tunnel=Tunnel(7, "c1", "c2", 1000), frame=b"\1\2")
    hop = HopDecision("c1", 3, "drop", (("bridge net", "no such MAC"),))
    plain = _plain(Trace("vm1", "vm2", "a packet", (hop,), (seen,), False, False, "lost", True))
    assert set(plain) == {
        *("source", "target", "said", "verdicts", "sightings", "arrived", "answered", "end", "whole")
    }
    assert plain["said"] == "a packet"
    assert plain["verdicts"][0]["steps"] == (("bridge net", "no such MAC"),)
    (sighting,) = plain["sightings"]
    assert set(sighting) == {
        *("t_ns", "node", "interface", "outgoing", "answer", "said", "tunnel", "frame"),
    }
    assert (sighting["said"], sighting["frame"]) == ("x ttl 64", "0102")
