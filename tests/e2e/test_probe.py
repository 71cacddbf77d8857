"""The probe over a real routed path: what it counts, what it refuses, what it leaves behind."""

from __future__ import annotations

import os
import socket
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from probebed import Bed, bed, children_of

from labctl.errors import ProbeError
from labctl.linux import netns
from labctl.probe import capture, compile_packet, send_frames, start_traffic
from labctl.probe.spec import flow_packet

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.netns, pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]


@pytest.fixture(scope="module")
def routed() -> Iterator[Bed]:
    with bed(routed=True) as made:
        yield made


@pytest.mark.parametrize("family", [4, 6])
def test_64_flows_each_way_at_5000_pps_lose_nothing(routed: Bed, family: int) -> None:
    streams = routed.both_ways(family=family, rate_pps=5000.0)
    with start_traffic(routed.netns, streams) as traffic:
        time.sleep(2.0)
        told = traffic.stop()
    for each in told:
        assert each.lost == each.duplicated == each.reordered == 0
        assert each.generator.due == each.sent + each.generator.skipped
        assert each.generator.due > 9000
        assert 0 < each.delay_p50_ns <= each.delay_p99_ns <= each.delay_max_ns
        assert len({flow.source_port for flow in each.flows}) == 64
        assert min(flow.sent for flow in each.flows) > 0


@pytest.mark.parametrize("family", [4, 6])
def test_a_router_itself_answers_an_echo_stream(routed: Bed, family: int) -> None:
    stream = routed.stream("ping", "a", "b", family=family, proto="icmp", rate_pps=200.0, flows=2)
    gateway = stream.source_address[:-1] + "1"
    with start_traffic(routed.netns, [replace(stream, destination_address=gateway)]) as traffic:
        time.sleep(0.5)
        (told,) = traffic.stop()
    assert told.sent > 80
    assert told.lost == 0


def test_a_window_is_told_while_traffic_goes_on_and_after_it_stopped(routed: Bed) -> None:
    with start_traffic(routed.netns, routed.both_ways(rate_pps=1000.0)) as traffic:
        start = traffic.started_ns + 100_000_000
        told = traffic.window(start, start + 300_000_000)
        assert [(each.sent, each.lost) for each in told] == [(300, 0), (300, 0)] or any(
            each.generator.late_max_ns > 1_000_000 for each in told
        )
        final = traffic.stop()
        assert traffic.stop() is final
        assert traffic.window(start, start + 300_000_000) == tuple(
            replace(each, receiver=final[i].receiver) for i, each in enumerate(told)
        )


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("kind", ["unreachable", "prohibit"])
def test_icmp_errors_from_a_router_swallow_no_packet(routed: Bed, family: int, kind: str) -> None:
    """A pending socket error would answer the next send() instead of sending it."""
    stream = routed.stream("in", "a", "b", family=family)
    length = 32 if family == 4 else 128
    route = ["-6"] if family == 6 else []
    target = f"{stream.destination_address}/{length}"
    with (
        capture(routed.netns("m"), "left", outgoing=False) as seen,
        start_traffic(routed.netns, [stream]) as traffic,
    ):
        time.sleep(0.3)
        routed.ip("m", *route, "route", "add", kind, target)
        time.sleep(0.4)
        routed.ip("m", *route, "route", "del", kind, target)
        time.sleep(0.3)
        (told,) = traffic.stop()
        entered = [frame for frame in seen.read() if b"LCP1" in frame.data]
    assert len(entered) == told.sent == told.generator.due - told.generator.skipped
    assert told.lost > 500
    assert told.generator.refused == 0


@pytest.mark.parametrize("family", [4, 6])
def test_what_the_own_kernel_refuses_is_counted_apart(routed: Bed, family: int) -> None:
    stream = routed.stream("in", "a", "b", family=family)
    route = ["-6"] if family == 6 else []
    gateway = stream.source_address[:-1] + "1"
    with start_traffic(routed.netns, [stream]) as traffic:
        time.sleep(0.3)
        routed.ip("a", *route, "route", "del", "default")
        time.sleep(0.3)
        routed.ip("a", *route, "route", "add", "default", "via", gateway)
        time.sleep(0.3)
        (told,) = traffic.stop()
    assert told.generator.refused > 300
    assert told.generator.refusals == (("ENETUNREACH", told.generator.refused),)
    assert told.lost == told.generator.refused
    assert told.sent == told.generator.due - told.generator.skipped


def test_foreign_packets_are_told_apart(routed: Bed) -> None:
    with start_traffic(routed.netns, [routed.stream("in", "a", "b")]) as traffic:
        time.sleep(0.2)
        target = (routed.address("b", 4), 50000)
        sock = netns.inside(routed.netns("a"), lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        with sock:
            for length in range(50):
                sock.sendto(b"LCP1" + b"x" * length, target)
        time.sleep(0.2)
        (told,) = traffic.stop()
    assert told.receiver.foreign == 50
    assert (told.lost, told.duplicated) == (0, 0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"source_address": "10.77.1.99"}, "a cannot send from 10.77.1.99: Cannot assign requested address"),
        ({"destination_address": "10.77.2.99"}, "b cannot receive at 10.77.2.99"),
        ({"destination": "nobody"}, "nobody: its network namespace .* cannot be opened"),
    ],
)
def test_a_stream_that_cannot_start_is_one_clear_line(
    routed: Bed, change: dict[str, Any], message: str
) -> None:
    good = routed.stream("good", "b", "a")
    with pytest.raises(ProbeError, match=message) as caught:
        start_traffic(routed.netns, [good, replace(routed.stream("in", "a", "b"), **change)])
    assert "\n" not in str(caught.value)
    assert not children_of(os.getpid(), "labctl-sender")
    assert not children_of(os.getpid(), "labctl-receive")


def test_traffic_that_ended_by_itself_is_an_error_not_a_shorter_measurement(routed: Bed) -> None:
    with start_traffic(routed.netns, [routed.stream("in", "a", "b")], max_s=0.3) as traffic:
        time.sleep(0.6)
        with pytest.raises(ProbeError, match=r"ended by itself, after 0\.3 s"):
            traffic.window(traffic.started_ns, traffic.started_ns + 500_000_000)
        with pytest.raises(ProbeError, match=r"ended by itself, after 0\.3 s"):
            traffic.stop()


def test_crafted_frames_leave_as_they_are_and_stamped_ones_count(routed: Bed) -> None:
    from scapy.layers.inet import IP, UDP  # noqa: PLC0415
    from scapy.layers.l2 import Ether  # noqa: PLC0415
    from scapy.packet import Raw  # noqa: PLC0415

    forged = (
        Ether(dst="ff:ff:ff:ff:ff:ff") / IP(src="192.0.2.1", dst="10.77.1.1") / UDP(dport=9) / Raw(b"forged")
    )
    ours = Ether(dst="ff:ff:ff:ff:ff:ff") / flow_packet(routed.stream("in", "a", "b"), 1, 0, 2, 3)
    with capture(routed.netns("m"), "left", outgoing=False) as heard:
        report = send_frames(routed.netns("a"), "eth1", [forged, ours], rounds=200, rate_pps=4000.0)
        frames = [f for f in heard.read(400, 1.0) if b"forged" in f.data or b"LCP1" in f.data]
        assert heard.dropped == 0
    assert (report.sent, report.refused) == (400, 0)
    assert [frame.data for frame in frames[::2]] == [bytes(forged)] * 200
    at = compile_packet(ours).fields_at
    assert [int.from_bytes(frame.data[at : at + 8]) for frame in frames[1::2]] == list(range(200))
    for frame in frames[1::2]:
        again = Ether(frame.data)
        del again[UDP].chksum
        assert bytes(again) == frame.data
    assert frames[-1].t_ns - frames[0].t_ns == pytest.approx(400 / 4000 * 1e9, rel=0.2)
