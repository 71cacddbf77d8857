"""Losses made on purpose in a real path, by a relay that says what it did, are reported exactly."""

from __future__ import annotations

import itertools
import os
import time
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from probebed import Action, Bed, Ledger, Packet, Plan, bed, relay

from labctl.probe import Stream, StreamTally, payload, start_traffic

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

pytestmark = [pytest.mark.netns, pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]

PASS = Action()


@pytest.fixture(scope="module")
def between() -> Iterator[Bed]:
    with bed(routed=False) as made:
        yield made


def measure(
    made: Bed, plan: Plan, streams: Sequence[Stream], seconds: float = 1.2
) -> tuple[Ledger, tuple[StreamTally, ...]]:
    with relay(made, plan) as ledger, start_traffic(made.netns, streams) as traffic:
        time.sleep(seconds)
        told = traffic.stop()
    assert ledger.overflowed == 0, "the relay itself lost frames: this trial says nothing"
    assert ledger.seen == sum(each.sent for each in told)
    for each in told:
        assert each.sent > 0.8 * seconds * each.stream.rate_pps
        assert (each.generator.refused, each.receiver.overflowed, each.receiver.foreign) == (0, 0, 0)
    return ledger, told


def names(told: Sequence[StreamTally]) -> set[Packet]:
    """Every packet that the tally reports lost, by name."""
    return {
        Packet(payload.stream_id(each.stream.name), flow.flow, sequence)
        for each in told
        for flow in each.flows
        for loss in flow.losses
        for sequence in range(loss.first_seq, loss.first_seq + loss.count)
    }


def test_nothing_done_is_nothing_found(between: Bed) -> None:
    _ledger, told = measure(between, lambda _packet, _departed_ns: PASS, between.both_ways())
    assert [(each.lost, each.duplicated, each.reordered) for each in told] == [(0, 0, 0)] * 2


@pytest.mark.parametrize("family", [4, 6])
def test_every_hundredth_packet(between: Bed, family: int) -> None:
    numbers = itertools.count(1)

    def plan(_packet: Packet, _departed_ns: int) -> Action:
        return Action(copies=0) if next(numbers) % 100 == 0 else PASS

    ledger, told = measure(between, plan, between.both_ways(family=family))
    assert len(ledger.lost) == ledger.seen // 100
    assert names(told) == ledger.lost
    assert sum(each.lost for each in told) == len(ledger.lost)
    assert sum(each.received for each in told) == ledger.seen - len(ledger.lost)


def test_a_window_of_50_ms(between: Bed) -> None:
    """By departure time, so that a relay that a busy machine holds up loses the same packets."""
    begin = time.monotonic_ns() + 1_200_000_000
    window = range(begin, begin + 50_000_000)
    departures: list[int] = []

    def plan(_packet: Packet, departed_ns: int) -> Action:
        if departed_ns in window:
            departures.append(departed_ns)
            return Action(copies=0)
        return PASS

    ledger, told = measure(between, plan, between.both_ways(), 1.8)
    assert names(told) == ledger.lost
    losses = [(each, loss) for each in told for flow in each.flows for loss in flow.losses]
    assert sorted(t_ns for _each, loss in losses for t_ns in loss.sent_ns) == sorted(departures)
    for each in told:
        # 50 ms at 2,000 pps is 100 packets, if the sender was not late around the edges.
        if each.generator.late_max_ns < 500_000:
            assert each.lost == pytest.approx(100, abs=2)
    for each, loss in losses:
        assert not loss.open
        assert loss.error_ns >= 32_000_000
        # The relay holds packets up, one more than the other: the outage is known no better than that.
        assert loss.outage_ns - loss.error_ns <= 50_000_000 + each.delay_max_ns
        assert loss.outage_ns + loss.error_ns >= 50_000_000 - each.delay_max_ns


def test_one_flow_of_64(between: Bed) -> None:
    _in, out = (payload.stream_id(name) for name in ("in", "out"))

    def plan(packet: Packet, _departed_ns: int) -> Action:
        return Action(copies=0) if packet[:2] == (out, 17) else PASS

    ledger, (inward, outward) = measure(between, plan, between.both_ways())
    assert inward.lost == 0
    assert outward.lost == len(ledger.lost) == outward.flows[17].sent > 0
    assert [flow.flow for flow in outward.flows if flow.lost] == [17]
    (loss,) = outward.flows[17].losses
    assert loss.open
    assert loss.count == outward.flows[17].sent


def test_duplicates(between: Bed) -> None:
    def plan(packet: Packet, _departed_ns: int) -> Action:
        return Action(copies=3) if packet.sequence % 7 == 0 else PASS

    ledger, told = measure(between, plan, between.both_ways())
    extra = Counter[tuple[int, int]]()
    for packet, copies in ledger.copied.items():
        extra[packet[:2]] += copies - 1
    assert sum(extra.values()) > 0
    for each in told:
        number = payload.stream_id(each.stream.name)
        assert (each.lost, each.reordered) == (0, 0)
        assert [flow.duplicated for flow in each.flows] == [extra[number, flow.flow] for flow in each.flows]


def test_reordering(between: Bed) -> None:
    def plan(packet: Packet, _departed_ns: int) -> Action:
        return Action(hold=packet.sequence % 9 == 4)

    ledger, told = measure(between, plan, between.both_ways(), 1.5)
    assert ledger.held
    for each in told:
        number = payload.stream_id(each.stream.name)
        last = {flow.flow: flow.sent - 1 for flow in each.flows}
        # A packet held when the traffic ended was never let go: it is lost, not reordered.
        let_go = [
            packet
            for packet in ledger.held
            if packet.stream == number and packet.sequence < last[packet.flow]
        ]
        kept = [
            packet
            for packet in ledger.held
            if packet.stream == number and packet.sequence == last[packet.flow]
        ]
        assert each.reordered == len(let_go)
        assert each.lost == len(kept)
        assert each.duplicated == 0


def test_all_at_once_by_echo_requests(between: Bed) -> None:
    """Ping: a lost answer counts as much as a lost question."""
    stream = between.stream("ping", "a", "b", proto="icmp", rate_pps=400.0, flows=4)
    passes = Counter[Packet]()

    def plan(packet: Packet, _departed_ns: int) -> Action:
        passes[packet] += 1
        if packet.sequence % 10 == 3 and passes[packet] == 1:
            return Action(copies=0)
        return Action(copies=0) if packet.sequence % 10 == 7 and passes[packet] == 2 else PASS

    with relay(between, plan) as ledger, start_traffic(between.netns, [stream]) as traffic:
        time.sleep(1.5)
        told = traffic.stop()
    assert ledger.overflowed == 0
    assert names(told) == ledger.lost
    assert {packet.sequence % 10 for packet in ledger.lost} == {3, 7}
    assert told[0].lost == len(ledger.lost)
