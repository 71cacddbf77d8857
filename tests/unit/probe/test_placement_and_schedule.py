"""The schedule's arithmetic, what streams are refused, who sends together, how long it may last."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.errors import ProbeError
from labctl.probe import backlog, placement
from labctl.probe.schedule import Schedule
from labctl.probe.types import Stream

ONE = Stream("one", "a", "b", "10.0.0.1", "10.0.0.2", rate_pps=5000.0, flows=64)


@given(rate=st.floats(0.1, 2e6), k=st.integers(0, 10**9), shift=st.integers(-3, 3))
def test_first_at_finds_exactly_the_first_packet_that_is_due(rate: float, k: int, shift: int) -> None:
    schedule = Schedule(10**12, 1e9 / rate, 8)
    t_ns = schedule.due_ns(k) + shift
    found = schedule.first_at(t_ns)
    assert schedule.due_ns(found) >= t_ns
    assert found == 0 or schedule.due_ns(found - 1) < t_ns


def test_a_flow_is_a_periodic_stream() -> None:
    assert Schedule(0, 200_000.0, 64).spacing_ns == 12_800_000


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rate_pps": 0.0}, "rate is 0 pps"),
        ({"rate_pps": float("nan")}, "rate is nan pps"),
        ({"rate_pps": float("inf")}, "rate is inf pps"),
        ({"flows": 0}, "flows is 0"),
        ({"flows": 100_000}, "flows is 100000"),
        ({"proto": "tcp"}, "must be 'udp' or 'icmp'"),
        ({"source_address": "here"}, "does not appear to be"),
        ({"destination_address": "fd00::1"}, "different families"),
        ({"size": 10}, "must be 60 to"),
    ],
)
def test_a_stream_that_makes_no_sense_is_named_in_one_line(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ProbeError, match=message) as caught:
        placement.check([replace(ONE, **change)])
    assert "'one'" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_streams_of_one_name_and_no_stream_at_all_are_refused() -> None:
    with pytest.raises(ProbeError, match="have the same packets: rename one"):
        placement.check([ONE, ONE])
    with pytest.raises(ProbeError, match="no stream"):
        placement.check([])


def test_memory_bounds_the_duration() -> None:
    assert placement.duration_s([ONE], None, 2 << 30) == 3600.0
    assert placement.duration_s([ONE], None, 40 * 5000 * 60) == pytest.approx(60.0)
    with pytest.raises(ProbeError, match="at most 60 s"):
        placement.duration_s([ONE], 61.0, 40 * 5000 * 60)


def test_streams_leave_together_at_low_rates_and_by_node_at_high_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    low = [replace(ONE, name=f"s{i}", source=f"n{i % 3}", rate_pps=1000.0) for i in range(10)]
    assert placement.sender_groups(low) == [low]
    high = [replace(each, rate_pps=50_000.0) for each in low]
    made = placement.sender_groups(high)
    assert len(made) == 2
    assert sorted(each.name for group in made for each in group) == sorted(each.name for each in high)
    where = {each.source: index for index, group in enumerate(made) for each in group}
    assert all(where[each.source] == index for index, group in enumerate(made) for each in group)


def test_drops_between_interfaces_are_the_second_column_of_every_processor() -> None:
    text = "0001 00000002 0 0\n0003 0000000a 0 0\n"
    assert backlog.parse(text) == 12
