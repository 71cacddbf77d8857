"""The kernel's half against Python's: keys, refusals and rewriting, frame by frame."""

from __future__ import annotations

import ipaddress
import os
import random
import struct
from typing import TYPE_CHECKING

import pytest
from effort import examples
from hypothesis import HealthCheck, assume, example, given
from hypothesis import strategies as st
from trialrun import LOOPBACK, PORT, REDIRECT, SHOT, Trial, built

from labctl.overlay.agent.entries import rewritten
from labctl.overlay.datapath import cache as cache_module
from labctl.overlay.datapath.layout import DatapathAction, Flag, FlowEntry, PortRecord, flow_key, inside_key
from labctl.overlay.flow import FROM_TUNNEL, FlowKey, Forward, Match, ToPort
from labctl.overlay.packet import IP4, IP6, checksum, ethernet, ipv4, ipv6, parse

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.netns
many = examples(400, HealthCheck.function_scoped_fixture)
A, B = b"\x02\0\0\0\0\x0a", b"\x02\0\0\0\0\x0b"
V4A, V4B = bytes(10) + b"\xff\xff\x0a\0\0\1", bytes(10) + b"\xff\xff\x0a\0\0\2"
V6A, V6B = b"\xfd" + bytes(14) + b"\1", b"\xfd" + bytes(14) + b"\2"
SHORTEST = 15  # the kernel tries nothing shorter
SHORTEST_OF = {IP4: 14 + 20, IP6: 14 + 40}


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trial]:
    made = Trial(built(tmp_path_factory.mktemp("bpf")))
    yield made
    made.close()


bytes_of = st.binary
protos = st.sampled_from((0, 1, 2, 6, 17, 33, 41, 43, 44, 47, 50, 51, 58, 59, 60, 132, 136, 255))


@st.composite
def extensions(draw: st.DrawFn) -> tuple[int, bytes]:
    """A chain of IPv6 headers: the type of the first, and all of it, payload included."""
    chain = draw(st.lists(st.sampled_from((0, 43, 44, 60)), max_size=10))
    last = draw(protos)
    payload = draw(bytes_of(max_size=24))
    kinds = [*chain, last]
    raw = b""
    for kind, after in zip(chain, kinds[1:], strict=True):
        if kind == 44:
            place = draw(st.sampled_from((0, 1, 2, 6, 8, 9, 0x100, 0xFFF8)))
            raw += struct.pack("!BBHI", after, draw(st.integers(0, 255)), place, 7)
        else:
            length = draw(st.integers(0, 2))
            raw += bytes((after, length)) + bytes(6 + 8 * length)
    return kinds[0], raw + payload


@st.composite
def frames(draw: st.DrawFn) -> bytes:
    kind = draw(st.sampled_from(("ip4", "ip4", "ip6", "ip6", "any", "noise")))
    if kind == "noise":
        return draw(bytes_of(min_size=SHORTEST, max_size=120))
    if kind == "any":
        return A + B + draw(bytes_of(min_size=2, max_size=2)) + draw(bytes_of(min_size=1, max_size=80))
    if kind == "ip4":
        options = draw(st.integers(0, 10))
        version = draw(st.sampled_from((4, 4, 4, 4, 5)))
        words = draw(st.sampled_from((5 + options, 5 + options, 4)))
        payload = draw(bytes_of(max_size=24))
        head = struct.pack(
            "!BBHHHBBH4s4s",
            version << 4 | words, 0, draw(st.sampled_from((0, 19, 20, 60, 1500, 65535))), 0,
            draw(st.sampled_from((0, 0, 0x4000, 0x2000, 0x2001, 1, 0x1FFF, 0x8000))),
            draw(st.integers(0, 255)), draw(protos), 0, V4A[12:], V4B[12:],
        )  # fmt: skip
        frame = ethernet(B, A, IP4, head + bytes(options * 4) + payload)
    else:
        first, rest = draw(extensions())
        said = max(0, len(rest) + draw(st.sampled_from((0, 0, 0, -1, -8, -20, 8))))
        head = struct.pack("!IHBB", draw(st.sampled_from((6, 6, 6, 4))) << 28, said, first, 64)
        frame = ethernet(B, A, IP6, head + V6A + V6B + rest)
    cut = draw(st.sampled_from((0, 0, 0, 1, 4, 9, 20)))
    return frame[: max(SHORTEST, len(frame) - cut)]


@many
@given(frames())
@example(ethernet(B, A, IP6, struct.pack("!IHBB", 6 << 28, 64, 0, 64) + V6A + V6B + bytes(100)))
@example(ethernet(B, A, IP4, ipv4(V4A, V4B, 33, bytes(12))[0:]))
@example(
    ethernet(B, A, IP6, ipv6(V6A, V6B, 44, struct.pack("!BBHI", 60, 0, 1, 7) + b":" + bytes(7)) + b"<" * 9)
)
@example(ethernet(B, A, IP6, ipv6(V6A, V6B, 58, b"\x08\0\0\0\0\x05\0\0")))
def test_an_entry_under_pythons_key_is_found_by_the_kernel_for_any_frame(trial: Trial, frame: bytes) -> None:
    packet = parse(frame)
    # A trial (not the program) asks for a whole IP header; what is shorter is tried with real frames.
    assume(len(frame) >= SHORTEST_OF.get(packet.eth_type, SHORTEST))
    before = trial.cache.counters()
    if packet.fault and packet.eth_type in (IP4, IP6):
        assert trial.run(frame).verdict == SHOT
        assert trial.cache.counters()["malformed"] == before["malformed"] + 1
        return
    # Nothing there yet: a miss, and the mark says where it came from.
    missed = trial.run(frame)
    assert (missed.verdict, missed.mark, missed.frame) == (REDIRECT, LOOPBACK, frame)
    key = flow_key(packet.key(PORT))
    trial.cache.write([(key, FlowEntry(DatapathAction.DROP))])
    try:
        assert trial.run(frame).verdict == SHOT
        found = trial.cache.entry(key)
        assert found is not None
        assert (found.packets, found.octets) == (1, len(frame))
    finally:
        trial.cache.remove([key])


def test_flows_that_differ_in_any_field_have_entries_of_their_own(trial: Trial) -> None:
    base = ethernet(B, A, IP4, ipv4(V4A, V4B, 17, b"\0\x07\0\x09\0\x08\0\0"))
    key = flow_key(parse(base).key(PORT))
    trial.cache.write([(key, FlowEntry(DatapathAction.DROP))])
    try:
        for at in (0, 6, 26, 30, 34, 36):
            other = bytearray(base)
            other[at] ^= 4
            assert trial.run(bytes(other)).verdict == REDIRECT, at
        assert trial.run(base).verdict == SHOT
    finally:
        trial.cache.remove([key])


@many
@given(st.integers(0, 10**9))
def test_an_entry_rewrites_as_python_would_and_the_header_checksum_stays_right(
    trial: Trial, seed: int
) -> None:
    dice = random.Random(seed)
    four, ttl, by = dice.random() < 0.5, dice.randint(1, 255), dice.randint(0, 3)
    body = struct.pack("!HHHH", 1, 2, 8, 0)
    inner = (
        ipv4(V4A, dice.randbytes(16), 17, body, ttl=ttl, tos=dice.randrange(256))
        if four
        else ipv6(V6A, V6B, 17, body, ttl=ttl)
    )
    frame = ethernet(B, A, IP4 if four else IP6, inner)
    dmac, smac = dice.randbytes(6), dice.randbytes(6)
    packet = parse(frame)
    key = flow_key(packet.key(PORT))
    entry = FlowEntry(DatapathAction.PORT, LOOPBACK, ttl=by, flags=Flag.MACS, dmac=dmac, smac=smac)
    trial.cache.write([(key, entry)])
    try:
        done = trial.run(frame, mark=77)
    finally:
        trial.cache.remove([key])
    assert done.verdict == REDIRECT
    if by and ttl <= by:
        assert (done.frame, done.mark) == (frame, LOOPBACK)  # to the agent, as it was
        return
    decision = Forward((ToPort(1, ""),), dmac, smac, by, 0, (), frozenset())
    assert (done.frame, done.mark) == (rewritten(packet, decision), 0)
    assert not four or checksum(done.frame[14:34]) == 0


@pytest.mark.parametrize(
    ("payload", "gso", "mtu", "goes_up"),
    [
        (1430, 0, 1450, False),  # 20 + 1430
        (1431, 0, 1450, True),
        (3000, 1410, 1450, False),  # segments of 20 + 20 + 1410
        (3000, 1411, 1450, True),
        (3000, 1448, 1450, True),
        (3000, 1448, 0, False),
        (3000, 0xFFFF, 1450, False),  # a list of whole packets
    ],
)
def test_a_packet_or_a_segment_longer_than_the_entrys_mtu_goes_to_the_agent(
    trial: Trial,
    payload: int,
    gso: int,
    mtu: int,
    goes_up: bool,  # noqa: FBT001 - a parameter of the case
) -> None:
    tcp = struct.pack("!HHIIBBHHH", 1, 2, 0, 0, 0x50, 0x10, 0, 0, 0)
    frame = ethernet(B, A, IP4, ipv4(V4A, V4B, 6, tcp + bytes(payload - len(tcp))))
    packet = parse(frame, gso if gso != 0xFFFF else 0)
    key = flow_key(packet.key(PORT))
    trial.cache.write([(key, FlowEntry(DatapathAction.PORT, LOOPBACK, mtu=mtu))])
    try:
        done = trial.run(frame, gso=gso)
    finally:
        trial.cache.remove([key])
    assert (done.mark == LOOPBACK) is goes_up
    if gso != 0xFFFF and mtu:
        assert (packet.length > mtu) is goes_up  # Python counts alike


def test_a_frame_that_lies_about_its_length_is_measured(trial: Trial) -> None:
    frame = ethernet(B, A, IP4, ipv4(V4A, V4B, 17, bytes(8)) + bytes(2000))
    key = flow_key(parse(frame).key(PORT))
    trial.cache.write([(key, FlowEntry(DatapathAction.PORT, LOOPBACK, mtu=1450))])
    done = trial.run(frame)
    trial.cache.remove([key])
    assert done.mark == LOOPBACK


def test_upcalls_are_rationed_and_counted(trial: Trial) -> None:
    frame = ethernet(B, A, IP4, ipv4(V4A, V4B, 17, bytes(8)))
    trial.bind(PortRecord(PORT, 1, 10))
    try:
        verdicts = [trial.run(frame).verdict for _ in range(40)]
        assert trial.cache.bound()[LOOPBACK].rate_limited == verdicts.count(SHOT)
    finally:
        trial.bind(PortRecord(PORT, 1_000_000_000, 1_000_000))
    # The burst and the one in hand; perhaps one more where a second has passed.
    assert verdicts.count(REDIRECT) in (11, 12)
    assert verdicts[:11] == [REDIRECT] * 11


def test_an_uplink_takes_entries_by_destination_and_refuses_inside_sources(trial: Trial) -> None:
    frame = ethernet(B, A, IP4, ipv4(V4A, V4B, 17, bytes(8)))
    packet = parse(frame)
    wide = flow_key(packet.key(PORT), Match.DESTINATION)
    trial.cache.write([(wide, FlowEntry(DatapathAction.PORT, LOOPBACK))], fixed=True)
    inside = [ipaddress.IPv4Network("10.0.0.0/24")]
    try:
        for sport in (1, 2, 3):
            other = ethernet(B, A, IP4, ipv4(V4A, V4B, 17, struct.pack("!HHHH", sport, 5, 8, 0)))
            assert trial.run(other, "from_uplink").verdict == REDIRECT
        found = trial.cache.entry(wide, fixed=True)
        assert found is not None
        assert found.packets == 3
        trial.cache.set_inside(inside)
        assert trial.cache.inside() == frozenset(inside)
        assert trial.run(frame, "from_uplink").verdict == SHOT
    finally:
        trial.cache.unset_inside(inside)
        trial.cache.remove([wide], fixed=True)
    assert inside_key(inside[0])[:4] == struct.pack("=I", 120)


def test_what_the_agent_sends_again_follows_its_entry_or_is_dropped(trial: Trial) -> None:
    frame = ethernet(B, A, IP4, ipv4(V4A, V4B, 17, bytes(8)))
    packet = parse(frame)
    direct = FROM_TUNNEL << 1 | 5
    for mark, ingress in ((LOOPBACK, PORT), (FROM_TUNNEL | 9, FROM_TUNNEL | 9), (direct, direct)):
        key = flow_key(packet.key(ingress))
        assert trial.run(frame, "from_agent", mark=mark).verdict == SHOT
        trial.cache.write([(key, FlowEntry(DatapathAction.PORT, LOOPBACK))])
        assert trial.run(frame, "from_agent", mark=mark).verdict == REDIRECT
        trial.cache.write([(key, FlowEntry(DatapathAction.UPCALL))])
        assert trial.run(frame, "from_agent", mark=mark).verdict == SHOT
        trial.cache.remove([key])
    assert trial.run(frame, "from_agent").verdict == SHOT  # nobody says where it is from


def test_a_map_of_another_layout_is_not_taken_over_and_one_of_the_same_is(
    trial: Trial, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """As an agent finds them that comes after one of another version."""
    maps = trial.loaded.maps
    old = {"lc_flows": maps["lc_ports"], "lc_conns": maps["lc_conns"]}
    target = built(tmp_path_factory.mktemp("next"))
    loaded = trial.bpf.load(target, cache_module._PROGRAMS, cache_module._MAPS, old, {"lc_flows": 1024})
    try:
        assert loaded.reused == {"lc_conns"}
    finally:
        for descriptor in (*loaded.programs.values(), *loaded.maps.values()):
            os.close(descriptor)


def test_the_least_used_entry_goes_when_there_are_too_many(tmp_path_factory: pytest.TempPathFactory) -> None:
    small = Trial(built(tmp_path_factory.mktemp("small")), flows=1024)
    try:
        keys = [
            flow_key(FlowKey(PORT, IP4, 17, 0, B, A, n & 0xFFFF, n >> 16, V4A, V4B)) for n in range(20_000)
        ]
        for at in range(0, len(keys), 100):
            small.cache.write([(key, FlowEntry(DatapathAction.DROP)) for key in keys[at : at + 100]])
        kept = {key for key, _ in small.cache.entries()}
        assert 0 < len(kept) <= 1024
        assert keys[-1] in kept
        assert keys[0] not in kept
        assert small.cache.restore(keys[0], FlowEntry(DatapathAction.DROP).pack())
        assert not small.cache.restore(keys[0], FlowEntry(DatapathAction.PORT, 3).pack())
        found = small.cache.entry(keys[0])
        assert found is not None
        assert found.action is DatapathAction.DROP
    finally:
        small.close()


def test_the_prefixes_of_ten_thousand_networks_of_both_versions_fit(trial: Trial) -> None:
    prefixes: list[ipaddress.IPv4Network | ipaddress.IPv6Network] = [
        *(ipaddress.IPv4Network((0x0A000000 + (number << 8), 24)) for number in range(10_000)),
        *(ipaddress.IPv6Network(((0xFD00 << 112) + (number << 64), 64)) for number in range(10_000)),
    ]
    trial.cache.set_inside(prefixes)
    try:
        assert trial.cache.inside() == frozenset(prefixes)
    finally:
        trial.cache.unset_inside(prefixes)
