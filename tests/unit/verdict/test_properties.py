"""What must hold of every verdict: pure, conserving, and never the better for more loss or less evidence."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import pytest
from by_hand import FLOWS, JOURNALS, LOST, MS, PACKETS, SPACING, expected, journal, journal_of
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from labctl.events import Event
from labctl.verdict import Result, Verdict, judge
from labctl.verdict.attribution import LossClass
from labctl.verdict.schema import json_schema

if TYPE_CHECKING:
    from make_believe import Bench

RANK = [Verdict.PASS, Verdict.INCONCLUSIVE, Verdict.FAIL, Verdict.ERROR]

# One flow loses a packet just before a power cut and goes on losing: the period began before the
# action, and its later packets may be excused by it.
CUT = (2, 5, "power-off", "none")
BEGUN_BEFORE: tuple[Any, ...] = ([CUT], [expected("loss")], [], (0, 0, 0), 0)
TWO_CUTS: tuple[Any, ...] = ([CUT, (0, 5, "power-off", "none")], [expected("loss")], [], (0, 0, 0), 0)


@given(LOST, JOURNALS)
def test_the_same_journal_gives_the_same_result(lost: set[int], rest: Any) -> None:
    events = journal_of(lost, rest)
    assert judge(events) == judge([Event(event.kind, event.t_ns, dict(event.data)) for event in events])


@given(LOST, JOURNALS)
@example({0, 1, 2, 3, 4}, BEGUN_BEFORE)
@example({0, 4}, BEGUN_BEFORE)
@example({0, 4}, TWO_CUTS)
def test_every_lost_packet_is_told_once(lost: set[int], rest: Any) -> None:
    run = judge(journal_of(lost, rest)).runs[0]
    (stream,) = run.streams
    assert stream.sent == stream.received + stream.lost
    assert stream.lost == stream.in_flight + stream.convergence_loss + stream.before == len(lost)
    by_flow = Counter(PACKETS[number][0] for number in lost)
    for flow in stream.flows:
        cells = [cell for cell in run.facts if cell.flow == flow.flow]
        assert flow.lost == by_flow[flow.flow] == sum(cell.packets for cell in cells)
        assert flow.lost == flow.in_flight + flow.convergence_loss + flow.before
        assert sum(span.count for span in flow.losses) == flow.lost
        assert sum(span.in_flight for span in flow.losses) == flow.in_flight
    keys = [(cell.stream, cell.flow, cell.fault, cell.loss_class, cell.rule) for cell in run.facts]
    assert len(set(keys)) == len(keys)
    put_down = sum(fault.in_flight + fault.convergence_loss for fault in run.faults)
    assert put_down + stream.unexplained + stream.before == stream.lost
    assert all(cell.doubtful <= cell.packets for cell in run.facts)


@given(LOST, LOST, JOURNALS)
def test_more_loss_is_never_better(lost: set[int], more: set[int], rest: Any) -> None:
    fewer, worse = judge(journal_of(lost, rest)), judge(journal_of(lost | more, rest))
    for one, other in zip(fewer.expectations, worse.expectations, strict=True):
        assert RANK.index(other.verdict) >= RANK.index(one.verdict), (one, other)
    assert RANK.index(worse.verdict) >= RANK.index(fewer.verdict), (fewer.reasons, worse.reasons)


@given(LOST, JOURNALS, st.sampled_from(["evidence", "witness"]), st.integers(0, 2))
def test_less_evidence_never_makes_a_pass(lost: set[int], rest: Any, kind: str, place: int) -> None:
    events = journal_of(lost, rest)
    places = [index for index, event in enumerate(events) if event.kind == kind]
    gone = places[place : place + 1]
    fewer = judge([event for index, event in enumerate(events) if index not in gone])
    whole = judge(events)
    for one, other in zip(whole.expectations, fewer.expectations, strict=True):
        assert other.verdict != Verdict.PASS or one.verdict == Verdict.PASS, (one, other)


@given(LOST, JOURNALS)
def test_no_share_is_above_one(lost: set[int], rest: Any) -> None:
    result = judge(journal_of(lost, rest))
    run = result.runs[0]
    for fault in run.faults:
        for stream in fault.streams:
            assert stream.hit <= stream.population <= FLOWS
    rows = [(row.stream, row.flow, row.fault) for row in run.outages]
    assert len(set(rows)) == len(rows), "a flow counts once at a fail-over"
    outages = result.outages
    assert outages.open <= outages.hit <= outages.flows == sum(fault >= 0 for _, _, fault in rows)
    for one in result.expectations:
        if one.unit == "flows":
            assert one.low <= max(len(rows), FLOWS)


@given(LOST, JOURNALS)
def test_in_flight_for_sure_is_only_what_was_seen_on_a_link_of_the_victim(lost: set[int], rest: Any) -> None:
    events = journal_of(lost, rest)
    run = judge(events).runs[0]
    seen = sum(
        len(rows) for event in events if event.kind == "evidence" for rows in event.data["lost"].values()
    )
    sure = sum(
        cell.packets - cell.doubtful
        for cell in run.facts
        if cell.loss_class in (LossClass.IN_NODE, LossClass.DEAD_LINK)
    )
    assert sure <= seen


@given(LOST, JOURNALS)
def test_a_pass_means_that_something_was_measured(lost: set[int], rest: Any) -> None:
    faults, expectations, crossed, _, before_ms = rest
    result = judge(journal_of(lost, rest))
    if result.verdict == Verdict.PASS:
        assert crossed or not any(action != "power-on" for _, _, action, _ in faults)
        counted = sum(number * SPACING >= before_ms * MS for number in lost)
        for one, told in zip(expectations, result.expectations, strict=True):
            assert told.high <= told.limit
            if one["kind"] == "loss" and not one["bound"]:
                assert counted <= one["packets"]


def test_a_packet_excused_in_a_period_that_began_before_the_cut_is_the_fail_overs() -> None:
    # One packet is lost before the cut and one in flight at it, in a single loss period.
    limit = expected("loss", packets=0, bound=0.8)
    result = judge(journal({0, 4}, [(6, 5, "power-off", "whole")], [limit], [0, 1, 2, 3], (0, 0, 0)))
    (fault,) = result.runs[0].faults
    (stream,) = result.runs[0].streams
    assert (fault.in_flight, fault.convergence_loss, stream.unexplained) == (0, 1, 1)
    result = judge(journal({0, 4}, [(8, 5, "power-off", "whole")], [limit], [0, 1, 2, 3], (0, 0, 0)))
    (fault,) = result.runs[0].faults
    assert (fault.in_flight, fault.convergence_loss) == (1, 0)
    assert result.failovers.lossy == 1
    assert result.verdict == Verdict.FAIL


def test_the_result_is_what_its_schema_says(bench: Bench) -> None:
    result = bench.lose(0, 30).judge(runs=2)
    data = json.loads(json.dumps(asdict(result)))
    validated = TypeAdapter(Result).validate_python(data)
    assert json.loads(json.dumps(asdict(validated))) == data
    schema = json_schema()
    assert set(schema["required"]) <= set(data)
    assert schema["$defs"]["Verdict"]["enum"] == [str(verdict) for verdict in Verdict]


@pytest.mark.parametrize("kind", ["run.header", "tally", "witness", "action.done"])
def test_events_that_are_unknown_to_it_change_nothing(bench: Bench, kind: str) -> None:
    events = bench.lose(0, 30).events()
    position = next(index for index, event in enumerate(events) if event.kind == kind) + 1
    strange = Event("overlay.something", 0, {"any": "thing"})
    assert judge([*events[:position], strange, *events[position:]]) == judge(events)


def test_the_journal_by_hand_is_whole() -> None:
    result = judge(journal(set(), [CUT], [expected("loss")], [0, 1], (0, 0, 0)))
    assert result.verdict == Verdict.PASS, result.reasons
    assert replace(result).runs[0].faults[0].measured
