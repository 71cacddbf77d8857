"""Rings on real links: which flows cross, what was transmitted to whom, and what it costs nobody."""

from __future__ import annotations

import os
import subprocess
import time
from typing import TYPE_CHECKING

import pytest
from probebed import Bed, bed

from labctl.events import now_ns
from labctl.probe import send_frames, start_traffic
from labctl.probe.link_watch import LinkWatch, WatchedEnd
from labctl.probe.ring import Ring
from labctl.probe.spec import flow_packet

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.netns, pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]

ENDS = (WatchedEnd("a", "eth1"), WatchedEnd("b", "eth1"))
SECOND = 1_000_000_000
DROP_ALL = b"""table netdev t {
  chain c {
    type filter hook ingress device left priority 0
    drop
  }
}
"""


@pytest.fixture
def routed() -> Iterator[Bed]:
    with bed(routed=True) as made:
        yield made


def test_flows_that_cross_are_told_and_others_are_not(routed: Bed) -> None:
    streams = [
        routed.stream("in", "a", "b", flows=8),
        routed.stream("six", "b", "a", family=6, rate_pps=500.0, flows=8),
        routed.stream("ping", "a", "b", proto="icmp", rate_pps=100.0, flows=3),
    ]
    idle = routed.stream("idle", "a", "b", flows=5)
    with (
        start_traffic(routed.netns, streams) as traffic,
        LinkWatch([*streams, idle], traffic.session, routed.netns) as watch,
    ):
        watch.start(ENDS)
        time.sleep(0.5)
        watch.hold(0, ENDS)
        told = now_ns()
        watch.record_until(0, told_ns=told, closed_ns=told + 1, span_ns=SECOND)
        crossing = watch.recorded(0).crossing
    assert crossing.flows == {
        "in": frozenset(range(8)),
        "six": frozenset(range(8)),
        "ping": frozenset(range(3)),
        "idle": frozenset(),
    }
    assert crossing.dropped == 0


@pytest.mark.parametrize("family", [4, 6])
def test_every_packet_lost_on_a_dead_link_was_seen_leaving_or_was_never_sent_there(
    routed: Bed, family: int
) -> None:
    stream = routed.stream("in", "a", "b", family=family, rate_pps=5000.0)
    with (
        start_traffic(routed.netns, [stream]) as traffic,
        LinkWatch([stream], traffic.session, routed.netns) as watch,
    ):
        watch.start(ENDS[:1])
        time.sleep(1.2)
        watch.hold(7, ENDS[:1])
        told = now_ns()
        # The middle drops all that comes, in silence: every lost packet was seen leaving a.
        subprocess.run(
            ["ip", "netns", "exec", f"{routed.prefix}-m", "nft", "-f", "-"],
            input=DROP_ALL,
            check=True,
        )
        time.sleep(0.2)
        routed_back = ["ip", "netns", "exec", f"{routed.prefix}-m", "nft", "delete", "table", "netdev", "t"]
        subprocess.run(routed_back, check=True)
        closed = now_ns() + 10_000_000
        watch.record_until(7, told_ns=told, closed_ns=closed, span_ns=SECOND)
        time.sleep(0.3)
        (tally,) = traffic.stop()
        evidence = watch.recorded(7).evidence(traffic.lost())
    assert tally.lost > 500
    assert len(evidence.lost["in"]) == tally.lost
    assert all(told <= row[4] <= closed and row[5] == 0 for row in evidence.lost["in"])
    assert [one["overrun"] for one in evidence.ends] == [0]


def test_a_packet_inside_vxlan_is_recorded(routed: Bed) -> None:
    from scapy.layers.inet import IP, UDP  # noqa: PLC0415
    from scapy.layers.l2 import Ether  # noqa: PLC0415
    from scapy.layers.vxlan import VXLAN  # noqa: PLC0415

    stream = routed.stream("in", "a", "b")
    frames = [
        Ether(dst="ff:ff:ff:ff:ff:ff")
        / IP(dst="10.77.1.1")
        / UDP(dport=4789)
        / VXLAN(vni=1)
        / Ether()
        / inner
        for inner in (flow_packet(stream, 1, flow, 2, 3) for flow in (5, 9))
    ]
    ring = Ring(routed.netns("m"), "left", 4096)
    try:
        send_frames(routed.netns("a"), "eth1", frames)
        time.sleep(0.05)
        seen = ring.read()
    finally:
        ring.close()
    assert list(seen.flow) == [5, 9]
    assert not seen.outgoing.any()


def test_a_full_ring_counts_what_it_could_not_keep(routed: Bed) -> None:
    stream = routed.stream("in", "a", "b", rate_pps=20_000.0)
    ring = Ring(routed.netns("a"), "eth1", 256)
    try:
        with start_traffic(routed.netns, [stream]) as traffic:
            time.sleep(0.3)
            traffic.stop()
        kept = len(ring.read())
        assert kept == ring.slots == 256
        missed = ring.overrun()
        assert missed > 1000
        ring.give_back(now_ns(), at_most=0)
        with start_traffic(routed.netns, [stream]) as traffic:
            time.sleep(0.1)
            traffic.stop()
        assert len(ring.read()) == 256
        assert ring.overrun() > missed
    finally:
        ring.close()


def test_a_slot_is_given_back_and_filled_again_without_a_gap(routed: Bed) -> None:
    stream = routed.stream("in", "a", "b", rate_pps=10_000.0, flows=1)
    ring = Ring(routed.netns("a"), "eth1", 8192)
    sequences: list[int] = []
    try:
        with start_traffic(routed.netns, [stream]) as traffic:
            until = time.monotonic() + 2.5
            while time.monotonic() < until:
                sequences += [int(number) for number in ring.read().sequence]
                ring.give_back(now_ns(), at_most=0)
                time.sleep(0.01)
            traffic.stop()
        sequences += [int(number) for number in ring.read().sequence]
        assert ring.overrun() == 0
    finally:
        ring.close()
    assert sequences == list(range(len(sequences)))
    assert len(sequences) > 2 * 8192, "every slot was used more than once"


def test_a_ring_whose_interface_is_gone_hears_no_more(routed: Bed) -> None:
    ring = Ring(routed.netns("a"), "eth1", 256)
    try:
        assert ring.attached
        routed.ip("a", "link", "delete", "eth1")
        assert not ring.attached
    finally:
        ring.close()


def test_an_interface_that_is_not_there_counts_as_unwatched(routed: Bed) -> None:
    stream = routed.stream("in", "a", "b")
    ends = (WatchedEnd("a", "eth9"),)
    with LinkWatch([stream], 1, routed.netns) as watch:
        watch.start(ends)
        watch.hold(0, ends)
        watch.record_until(0, told_ns=now_ns(), closed_ns=now_ns(), span_ns=SECOND)
        record = watch.recorded(0)
    assert record.crossing.dropped == 1
    assert (record.ends[0].open_ns, record.ends[0].closed_ns) == (0, 0)


def test_a_fault_that_takes_long_fills_no_ring_and_forgets_no_flow(routed: Bed) -> None:
    stream = routed.stream("in", "a", "b", rate_pps=2000.0, flows=8)
    with (
        start_traffic(routed.netns, [stream]) as traffic,
        LinkWatch([stream], traffic.session, routed.netns) as watch,
    ):
        watch.start(ENDS)
        time.sleep(0.3)
        watch.hold(0, ENDS)
        time.sleep(4.5)  # a ring has room for 3 s of all traffic, both ways
        told = now_ns()
        watch.record_until(0, told_ns=told, closed_ns=told + 10_000_000, span_ns=SECOND)
        time.sleep(0.8)
        record = watch.recorded(0)
        traffic.stop()
    assert [end.overrun for end in record.ends] == [0, 0]
    assert record.crossing.flows["in"] == frozenset(range(8))
    assert all(end.open_ns <= told - SECOND for end in record.ends)


def test_flows_that_a_slow_fault_moved_away_before_it_took_hold_did_cross(routed: Bed) -> None:
    """A graceful shutdown: the traffic takes another way while the stop program runs."""
    stream = routed.stream("in", "a", "b", rate_pps=1000.0, flows=8)
    with (
        start_traffic(routed.netns, [stream]) as traffic,
        LinkWatch([stream], traffic.session, routed.netns) as watch,
    ):
        watch.start(ENDS[1:])
        time.sleep(0.5)
        watch.hold(0, ENDS[1:])
        routed.ip("m", "route", "del", "10.77.2.0/24")
        time.sleep(1.8)
        told = now_ns()
        watch.record_until(0, told_ns=told, closed_ns=told + 10_000_000, span_ns=SECOND)
        time.sleep(0.1)
        record = watch.recorded(0)
        traffic.stop()
    assert record.crossing.flows["in"] == frozenset(range(8))
