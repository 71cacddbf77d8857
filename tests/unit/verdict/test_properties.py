"""What must hold of every verdict: pure, conserving, and never the better for more loss."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from labctl.events import Event
from labctl.probe.types import GeneratorHealth, ReceiverHealth, Stream
from labctl.testing.backend import count
from labctl.verdict import Result, Verdict, judge
from labctl.verdict.schema import json_schema

if TYPE_CHECKING:
    from make_believe import Bench

MS = 1_000_000
ZERO = 1_000_000 * MS
FLOWS, SPACING = 4, 2 * MS
PACKETS = [(number % FLOWS, ZERO + number * SPACING) for number in range(100)]
STREAM = Stream("s", "a", "b", "10.0.0.1", "10.0.0.2", rate_pps=1e9 / SPACING, flows=FLOWS)
RANK = [Verdict.PASS, Verdict.INCONCLUSIVE, Verdict.FAIL, Verdict.ERROR]


def journal(
    lost: set[int],
    faults: list[tuple[int, int, str]],
    wishes: list[dict[str, Any]],
    crossed: list[int],
    health: tuple[int, int, int],
) -> list[Event]:
    """A journal of one stream over 200 ms, written by hand: no runner in between."""
    overflowed, backlog, late = health
    wanted = {PACKETS[number] for number in lost}
    end = ZERO + len(PACKETS) * SPACING
    tally = count(STREAM, PACKETS, lambda flow, moment: (flow, moment) in wanted, ZERO, end)
    tally = replace(
        tally,
        generator=GeneratorHealth(len(PACKETS), 0, 0, 0, late, late),
        receiver=ReceiverHealth(overflowed=overflowed, backlog_dropped=backlog),
    )
    header = {
        "format": 1, "scenario": {"name": "s", "path": "", "text": ""}, "topology": {}, "lab": {},
        "traffic": [asdict(STREAM)], "steps": [], "expect": wishes, "machine": {}, "versions": {},
        "seed": 1, "run": 0, "runs": 1, "clock": {"monotonic_ns": ZERO, "realtime_ns": 0},
    }  # fmt: skip
    events = [Event("run.header", ZERO, header), Event("timeline.started", ZERO, {})]
    moment = ZERO
    for step, (wait, window, action) in enumerate(faults):
        moment += wait * MS
        about = {"step": step, "action": action, "target": "gw", "mode": "", "due_ns": moment, "phase_ns": 0}
        if action == "power-off":
            flows = {"s": crossed}
            seen = {"step": step, "node": "gw", "watched_ns": MS, "flows": flows, "delay_p99_ns": {"s": MS}}
            events.append(Event("witness", moment, seen))
        carriers = [{"node": "r", "interface": "eth1", "t_ns": moment + window * MS}]
        effect = {
            "action": action, "target": "gw", "requested_ns": moment, "first_ns": moment,
            "carriers": carriers,
            "last_ns": moment + window * MS, "done_ns": moment + window * MS, "detail": {},
        }  # fmt: skip
        events += [
            Event("action.started", moment, about),
            Event("action.done", moment, {"step": step, **effect}),
        ]
    return [*events, Event("tally", end, json.loads(json.dumps(asdict(tally)))), Event("run.done", end, {})]


def wish(kind: str, **limits: Any) -> dict[str, Any]:
    """An expectation of the stream as it stands in a header."""
    limits = {"packets": 0, "longest_ns": 0, "quantile": 0.5, "bound": 0.0, **limits}
    return {"kind": kind, "streams": ["s"], "text": "it", **limits}


LOST = st.sets(st.integers(0, 99), max_size=40)
FAULTS = st.lists(
    st.tuples(st.integers(0, 150), st.integers(0, 20), st.sampled_from(["power-off", "power-on"])), max_size=3
)
WISH = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(["loss", "convergence-loss", "outage"]),
        "streams": st.just(["s"]),
        "packets": st.integers(0, 20),
        "longest_ns": st.integers(0, 60 * MS),
        "quantile": st.sampled_from([0.5, 0.9, 1.0]),
        "bound": st.sampled_from([0.0, 0.0, 0.3, 0.8]),
        "text": st.just("it"),
    }
)
JOURNALS = st.tuples(
    FAULTS,
    st.lists(WISH, min_size=1, max_size=2),
    st.lists(st.integers(0, FLOWS - 1), unique=True),
    st.tuples(st.integers(0, 3), st.integers(0, 2), st.integers(0, 3 * MS)),
)

# One flow loses a packet just before a power cut and goes on losing: the period began before the
# action, and its later packets are excused by it.
BEGUN_BEFORE: tuple[Any, ...] = (
    [(2, 5, "power-off")],
    [wish("loss", bound=0.0)],
    [],
    (0, 0, 0),
)


@given(LOST, JOURNALS)
def test_the_same_journal_gives_the_same_result(lost: set[int], rest: Any) -> None:
    events = journal(lost, *rest)
    assert judge(events) == judge([Event(event.kind, event.t_ns, dict(event.data)) for event in events])


@given(LOST, JOURNALS)
@example({0, 1, 2, 3, 4}, BEGUN_BEFORE)
@example({0, 4}, BEGUN_BEFORE)
@example({0, 4}, ([(2, 5, "power-off"), (0, 5, "power-off")], [wish("loss")], [], (0, 0, 0)))
def test_every_lost_packet_is_told_once(lost: set[int], rest: Any) -> None:
    run = judge(journal(lost, *rest)).runs[0]
    (stream,) = run.streams
    assert stream.sent == stream.received + stream.lost
    assert stream.lost == stream.in_flight + stream.repair == len(lost)
    assert stream.unexplained <= stream.repair
    spans = [span for flow in stream.flows for span in flow.losses]
    assert sum(span.count for span in spans) == len(lost)
    assert sum(span.in_flight for span in spans) == stream.in_flight
    assert all(span.count == span.in_flight + span.repair for span in spans)
    put_down = sum(fault.in_flight + fault.repair for fault in run.faults)
    assert put_down + stream.unexplained == stream.lost
    for flow in stream.flows:
        assert flow.lost == flow.in_flight + flow.repair == sum(span.count for span in flow.losses)


def test_a_packet_excused_in_a_period_that_began_before_the_cut_is_the_fail_overs() -> None:
    # One packet is lost before the cut and one in flight at it, in a single loss period.
    expected = wish("loss", packets=0, bound=0.8)
    result = judge(journal({0, 4}, [(2, 5, "power-off")], [expected], [0, 1, 2, 3], (0, 0, 0)))
    (fault,) = result.runs[0].faults
    (stream,) = result.runs[0].streams
    assert (fault.in_flight, fault.repair, stream.unexplained) == (1, 0, 1)
    assert result.failovers.lossy == 1
    assert result.verdict == Verdict.FAIL


@given(LOST, LOST, JOURNALS)
def test_more_loss_is_never_better(lost: set[int], more: set[int], rest: Any) -> None:
    fewer, worse = judge(journal(lost, *rest)), judge(journal(lost | more, *rest))
    assert RANK.index(worse.verdict) >= RANK.index(fewer.verdict), (fewer.reasons, worse.reasons)
    for one, other in zip(fewer.expectations, worse.expectations, strict=True):
        assert RANK.index(other.verdict) >= RANK.index(one.verdict), (one, other)


@given(LOST, JOURNALS)
def test_only_what_left_while_a_cut_took_effect_is_in_flight(lost: set[int], rest: Any) -> None:
    events = journal(lost, *rest)
    (stream,) = judge(events).runs[0].streams
    cuts = [
        event.data for event in events if event.kind == "action.done" and event.data["action"] == "power-off"
    ]
    excused = sum(
        any(cut["requested_ns"] - MS <= PACKETS[number][1] <= cut["last_ns"] + MS for cut in cuts)
        for number in lost
    )
    assert stream.in_flight == excused


@given(LOST, JOURNALS)
def test_a_pass_means_that_something_was_measured(lost: set[int], rest: Any) -> None:
    faults, wishes, crossed, _ = rest
    result = judge(journal(lost, *rest))
    if result.verdict == Verdict.PASS:
        assert crossed or not any(action == "power-off" for _, _, action in faults)
        for wish, one in zip(wishes, result.expectations, strict=True):
            assert one.high <= one.limit
            if wish["kind"] == "loss" and not wish["bound"]:
                assert len(lost) <= wish["packets"]


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
