"""The tally against a naive oracle that walks packet by packet, and against cases worked by hand."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from effort import examples
from hypothesis import given
from hypothesis import strategies as st

from labctl.probe.schedule import Schedule
from labctl.probe.tally import TMAX_NS, Samples, lost_packets, outstanding, tally
from labctl.probe.types import Stream

MS = 1_000_000
START = 10**12


def stream(flows: int) -> Stream:
    return Stream("s", "a", "b", "10.0.0.1", "10.0.0.2", rate_pps=1000.0, flows=flows)


def samples(schedule: Schedule, departures: list[int], arrivals: list[tuple[int, int]]) -> Samples:
    return Samples(
        schedule=schedule,
        departures=np.array(departures, dtype=np.int64),
        arrivals=np.array(arrivals, dtype=np.int64).reshape(-1, 2),
        source_ports=range(20000, 20000 + schedule.flows),
        destination_port=50000,
    )


@dataclass
class Fate:
    """What hypothesis decided for one packet."""

    tried: bool
    refused: bool
    late_ns: int
    delays_ns: list[int]  # one an arriving copy


fates = st.builds(
    Fate,
    tried=st.integers(0, 9).map(lambda roll: roll > 0),
    refused=st.integers(0, 9).map(lambda roll: roll == 0),
    late_ns=st.one_of(st.integers(0, 500_000), st.integers(0, 9 * MS)),
    delays_ns=st.lists(st.integers(1000, 5 * MS), max_size=3),
)


def course(schedule: Schedule, plan: list[Fate]) -> tuple[list[int], list[tuple[int, int]]]:
    """Departures and arrivals of a plan; a sender never sends out of order."""
    departures, arrivals, last = [], [], 0
    for k, fate in enumerate(plan):
        if not fate.tried:
            departures.append(0)
            continue
        last = max(last + 1, schedule.due_ns(k) + fate.late_ns)
        departures.append(-last if fate.refused else last)
        if not fate.refused:
            arrivals += [(k, last + delay) for delay in fate.delays_ns]
    arrivals.sort(key=lambda pair: pair[1])
    return departures, arrivals


def oracle(
    flows: int, departures: list[int], arrivals: list[tuple[int, int]], start: int, end: int
) -> list[Any]:
    """Of each flow: sent, received, lost, duplicated, reordered, runs of lost sequence numbers."""
    told: list[Any] = []
    for flow in range(flows):
        sent = [k for k, t in enumerate(departures) if k % flows == flow and t and start <= abs(t) < end]
        copies = dict.fromkeys(sent, 0)
        highest, reordered, known = -1, 0, set()
        for k, _t in arrivals:
            if k % flows != flow:
                continue
            if k in copies:
                copies[k] += 1
            if k not in known:
                known.add(k)
                if k < highest and k in copies:
                    reordered += 1
                highest = max(highest, k)
        runs: list[list[int]] = []
        previous_lost = False
        for k in sent:
            if not copies[k]:
                if previous_lost:
                    runs[-1].append(k // flows)
                else:
                    runs.append([k // flows])
            previous_lost = not copies[k]
        received = sum(1 for count in copies.values() if count)
        duplicated = sum(count - 1 for count in copies.values() if count)
        told.append((len(sent), received, len(sent) - received, duplicated, reordered, runs))
    return told


@examples(150)
@given(
    flows=st.integers(1, 5),
    plan=st.lists(fates, min_size=1, max_size=60),
    window=st.tuples(st.integers(-2, 70), st.integers(0, 70)),
)
def test_every_count_is_the_oracle_s(flows: int, plan: list[Fate], window: tuple[int, int]) -> None:
    schedule = Schedule(START, 1e6, flows)
    departures, arrivals = course(schedule, plan)
    start, end = START + window[0] * MS, START + (window[0] + window[1]) * MS
    told = tally(stream(flows), samples(schedule, departures, arrivals), start, end)
    expected = oracle(flows, departures, arrivals, start, end)
    for flow, want in zip(told.flows, expected, strict=True):
        sent, received, lost, duplicated, reordered, runs = want
        assert (flow.sent, flow.received, flow.lost) == (sent, received, lost)
        assert (flow.duplicated, flow.reordered) == (duplicated, reordered)
        assert [(loss.first_seq, loss.count) for loss in flow.losses] == [(r[0], len(r)) for r in runs]
    assert told.sent == sum(want[0] for want in expected)
    assert told.received == sum(want[1] for want in expected)
    assert told.lost == told.sent - told.received
    assert told.duplicated == sum(want[3] for want in expected)
    assert told.reordered == sum(want[4] for want in expected)


@examples(100)
@given(
    flows=st.integers(1, 4),
    delay=st.integers(1000, 20 * MS),
    begin=st.integers(3 * MS, 40 * MS),
    length=st.integers(1, 40 * MS),
    late=st.lists(st.integers(0, 4 * MS), min_size=120, max_size=120),
)
def test_the_true_outage_lies_within_the_error_bar(
    flows: int, delay: int, begin: int, length: int, late: list[int]
) -> None:
    """A path that is broken for a known time, a sender that is late at will, a constant delay."""
    schedule = Schedule(START, 1e6, flows)
    plan = [Fate(tried=True, refused=False, late_ns=late_ns, delays_ns=[delay]) for late_ns in late]
    departures, _ = course(schedule, plan)
    broken = range(START + begin, START + begin + length)
    arrivals = [(k, t + delay) for k, t in enumerate(departures) if t not in broken]
    told = tally(stream(flows), samples(schedule, departures, arrivals), START, START + 200 * MS)
    losses = [loss for flow in told.flows for loss in flow.losses]
    for loss in losses:
        if loss.first_seq > 0 and not loss.open:
            assert loss.outage_ns - loss.error_ns <= length <= loss.outage_ns + loss.error_ns


def test_nothing_sent_is_visible_and_divides_by_nothing() -> None:
    told = tally(stream(3), samples(Schedule(START, 1e6, 3), [], []), START, START + MS)
    assert (told.sent, told.received, told.lost, told.delay_max_ns) == (0, 0, 0, 0)
    assert [flow.sent for flow in told.flows] == [0, 0, 0]


def test_a_refused_packet_is_sent_and_lost_and_a_skipped_one_neither() -> None:
    schedule = Schedule(START, 1e6, 1)
    departures = [START, -(START + MS), 0, START + 3 * MS]
    told = tally(
        stream(1),
        samples(schedule, departures, [(0, START + 9), (3, START + 3 * MS + 9)]),
        START,
        START + 4 * MS,
    )
    assert (told.sent, told.received, told.lost) == (3, 2, 1)
    assert (told.generator.due, told.generator.refused, told.generator.skipped) == (4, 1, 1)
    (loss,) = told.flows[0].losses
    assert (loss.first_seq, loss.count, loss.sent_ns) == (1, 1, (START + MS,))


def test_an_outage_of_ten_packets_is_ten_spacings_plus_or_minus_one() -> None:
    schedule = Schedule(START, 1e6, 1)
    departures = [START + k * MS for k in range(30)]
    arrivals = [(k, departures[k] + 50_000) for k in range(30) if not 10 <= k < 20]
    told = tally(stream(1), samples(schedule, departures, arrivals), START, START + 30 * MS)
    (loss,) = told.flows[0].losses
    assert (loss.count, loss.outage_ns, loss.error_ns, loss.open) == (10, 10 * MS, MS, False)
    assert (loss.start_ns, loss.end_ns) == (START + 10 * MS, START + 19 * MS)


def test_a_loss_that_does_not_end_reaches_to_the_end_and_says_so() -> None:
    schedule = Schedule(START, 1e6, 1)
    departures = [START + k * MS for k in range(20)]
    arrivals = [(k, departures[k] + 1000) for k in range(10)]
    told = tally(stream(1), samples(schedule, departures, arrivals), START, START + 20 * MS)
    (loss,) = told.flows[0].losses
    assert loss.open
    assert loss.outage_ns == 10 * MS - 1000


def test_where_the_sender_was_stalled_the_error_bar_grows() -> None:
    schedule = Schedule(START, 1e6, 1)
    departures = [START + k * MS for k in range(5)] + [START + 45 * MS + k for k in range(40)]
    arrivals = [(k, t + 1000) for k, t in enumerate(departures) if k != 5]
    told = tally(stream(1), samples(schedule, departures, arrivals), START, START + 60 * MS)
    (loss,) = told.flows[0].losses
    assert loss.error_ns >= 40 * MS
    ((start, length),) = told.generator.pauses
    assert start == START + 5 * MS
    assert length == pytest.approx(40 * MS, abs=100)


def test_a_permanently_late_sender_is_one_long_pause() -> None:
    schedule = Schedule(START, 1e6, 1)
    departures = [START + k * MS + 6 * MS for k in range(20)]
    told = tally(stream(1), samples(schedule, departures, []), START, START + 100 * MS)
    ((start, length),) = told.generator.pauses
    assert (start, length) == (START, 25 * MS)


def test_duplicates_do_not_count_as_reordered() -> None:
    schedule = Schedule(START, 1e6, 1)
    departures = [START + k * MS for k in range(4)]
    order = [0, 1, 2, 1, 0, 3]
    arrivals = [(k, START + 10 * MS + position) for position, k in enumerate(order)]
    told = tally(stream(1), samples(schedule, departures, arrivals), START, START + 4 * MS)
    assert (told.duplicated, told.reordered, told.lost) == (2, 0, 0)


def test_delay_is_that_of_the_first_copy() -> None:
    schedule = Schedule(START, 1e6, 1)
    told = tally(
        stream(1), samples(schedule, [START], [(0, START + 700), (0, START + 9000)]), START, START + MS
    )
    assert (told.delay_p50_ns, told.delay_p99_ns, told.delay_max_ns) == (700, 700, 700)


def test_very_many_loss_periods_are_cut_to_the_longest_while_counts_stay_exact() -> None:
    schedule = Schedule(START, 1e6, 1)
    count = 24_000
    departures = [START + k * MS for k in range(count)]
    lost = {k for k in range(count) if k % 2} | {11_000, 11_002}
    arrivals = [(k, departures[k] + 9) for k in range(count) if k not in lost]
    told = tally(stream(1), samples(schedule, departures, arrivals), START, START + count * MS)
    assert told.lost == len(lost)
    losses = told.flows[0].losses
    assert len(losses) == 10_000
    assert max(loss.count for loss in losses) == 5
    assert [loss.first_seq for loss in losses] == sorted(loss.first_seq for loss in losses)


def test_a_packet_later_than_tmax_is_lost_in_the_middle_too() -> None:
    schedule = Schedule(0, MS, 1)
    late = [k * MS for k in range(3000)]
    counted = tally(
        stream(1), samples(schedule, late, [(k, t + 1) for k, t in enumerate(late)]), 0, 3000 * MS
    )
    assert (counted.late, counted.lost) == (0, 0)
    arrivals = sorted(
        [(k, t + (TMAX_NS + 1 if 100 <= k < 110 else 1)) for k, t in enumerate(late)], key=lambda row: row[1]
    )
    counted = tally(stream(1), samples(schedule, late, arrivals), 0, 3000 * MS)
    assert (counted.late, counted.lost, counted.delay_max_ns) == (10, 10, 1)
    assert [period.count for period in counted.flows[0].losses] == [10]


def test_a_freeze_is_a_gap_of_arrivals_and_a_stall_of_the_sender_is_none() -> None:
    schedule = Schedule(0, MS, 1)
    departures = [k * MS for k in range(2000)]
    frozen = [(k, max(t + 1, 900 * MS) if t >= 300 * MS else t + 1) for k, t in enumerate(departures)]
    (flow,) = tally(stream(1), samples(schedule, departures, frozen), 0, 2000 * MS).flows
    assert flow.gaps == ((299 * MS + 1, 900 * MS),)
    assert (flow.lost, flow.open_gap) == (0, False)
    stalled = [t if t < 300 * MS else t + 600 * MS for t in departures]
    (flow,) = tally(
        stream(1), samples(schedule, stalled, [(k, t + 1) for k, t in enumerate(stalled)]), 0, 2600 * MS
    ).flows
    assert flow.gaps == ()


def test_what_does_not_come_back_is_an_open_gap() -> None:
    schedule = Schedule(0, MS, 1)
    departures = [k * MS for k in range(1000)]
    arrivals = [(k, t + 1) for k, t in enumerate(departures) if k < 400]
    (flow,) = tally(stream(1), samples(schedule, departures, arrivals), 0, 1000 * MS).flows
    assert flow.gaps == ((399 * MS + 1, 1000 * MS),)
    assert flow.open_gap


def test_the_digest_of_departures_tells_streams_apart() -> None:
    schedule = Schedule(0, MS, 1)
    one, moved = [7, MS + 3, 2 * MS], [8, MS + 4, 2 * MS + 1]
    digests = {tally(stream(1), samples(schedule, each, []), 0, 10 * MS).departures for each in (one, moved)}
    assert len(digests) == 1, "the same departures, later"
    assert tally(stream(1), samples(schedule, [7, MS + 2, 2 * MS], []), 0, 10 * MS).departures not in digests


def test_lost_packets_are_named_and_those_that_came_too_late_are_among_them() -> None:
    schedule = Schedule(START, 1e6, 2)
    departures = [START + k * MS for k in range(2000)]
    arrivals = [(k, t + (TMAX_NS + 1 if k == 7 else 200_000)) for k, t in enumerate(departures) if k != 12]
    arrivals.sort(key=lambda pair: pair[1])
    taken = samples(schedule, departures, arrivals)
    lost = lost_packets(taken, START, START + 2000 * MS)
    assert sorted(zip(lost.flow.tolist(), lost.sequence.tolist(), strict=True)) == [(0, 6), (1, 3)]
    assert outstanding(taken, START, START + 2000 * MS) == 1, "what came late is awaited no longer"
