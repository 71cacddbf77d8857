"""Ways in which a verdict was once fooled, each with the answer that is right. None may ever PASS."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from acts import act
from by_hand import PACKETS, SPACING, STREAM, ZERO
from by_hand import expected as by_hand_expected
from by_hand import journal as by_hand
from make_believe import MS, SECOND
from sightings import changed, with_evidence

from labctl.journal.file import read_journal
from labctl.lab.reservation import ForcedChange
from labctl.probe.types import GeneratorHealth, ReceiverHealth
from labctl.scenario.model import Expectation, Step
from labctl.testing.series import FakeSource
from labctl.verdict import Verdict, judge

if TYPE_CHECKING:
    from collections.abc import Sequence

    from make_believe import Bench

    from labctl.events import Event
    from labctl.probe.types import Stream
    from labctl.verdict import Result

FORMAT_1 = Path(__file__).parents[2] / "data" / "journals" / "format1"
NO_LOSS = (Expectation("convergence-loss", packets=0, text="convergence-loss: 0"),)


def outage(ms: int, **limits: Any) -> tuple[Expectation, ...]:
    return (Expectation("outage", longest_ns=ms * MS, text=f"outage: {ms}ms", **limits),)


def cycle(*nodes: str, dark_s: float = 3.0, apart_s: float = 6.0) -> tuple[Step, ...]:
    """Power off and on again, node after node."""
    steps = []
    for place, node in enumerate(nodes):
        at = (2 + place * apart_s) * SECOND
        steps.append(Step(2 * place, act("power-off", (node,), "cut"), at_ns=int(at)))
        steps.append(Step(2 * place + 1, act("power-on", (node,)), at_ns=int(at + dark_s * SECOND)))
    return tuple(steps)


@pytest.mark.parametrize(
    ("name", "verdict", "told"),
    [
        ("wan-delay", Verdict.FAIL, "232 packets lost to convergence"),
        ("run-wan-d50", Verdict.INCONCLUSIVE, "0 to 78 are possible"),
        ("two-cuts", Verdict.FAIL, "129 packets lost to convergence"),
        ("not-crossing", Verdict.FAIL, "72 packets lost to convergence"),
        ("bounded-null-loss", Verdict.INCONCLUSIVE, "2 of 4 measured fail-overs missed"),
        ("run-wan-bound", Verdict.INCONCLUSIVE, "3 of 6 measured fail-overs missed"),
        ("run-par-cut2", Verdict.INCONCLUSIVE, "parallel links"),
        ("vacuous", Verdict.INCONCLUSIVE, "no flow crossed the victim"),
        ("double-count", Verdict.PASS, "1 of 20 flows beyond 50 ms"),
    ],
)
def test_journals_of_format_1_are_judged_without_evidence(name: str, verdict: Verdict, told: str) -> None:
    result = judge(read_journal(FORMAT_1 / f"{name}.jsonl"))
    assert result.verdict == verdict, result.reasons
    assert told in "; ".join(result.reasons)


# Row 1, 3 and 8: whoever saw nothing cross, a fault that hit a flow is not null.
@pytest.mark.slow
@pytest.mark.parametrize("kind", ["loss", "convergence-loss", "outage"])
@pytest.mark.parametrize("witness", ["saw none", "failed", "was short"])
def test_losses_at_a_fault_that_nobody_saw_a_flow_cross_are_counted(
    bench: Bench, kind: str, witness: str
) -> None:
    bench.expect = (Expectation(kind, packets=0, longest_ns=50 * MS, bound=0.6, text="bound"),)
    bench.timeline = cycle("gw1", "ctl1")
    bench.backend.nodes = ("ext1", "srv1", "gw1", "ctl1")
    bench.backend.crossing = {"ctl1": {"in": set(), "out": set()}}
    events = bench.lose(5, 2000, step="power-off ctl1").seen(runs=4)
    if witness == "failed":
        events = [event for event in events if event.kind != "witness" or event.data["step"] != 2]
    if witness == "was short":
        events = changed(events, "witness", lambda data: data.update(watched_ns=3 * MS))
    result = judge(events)
    faults = [fault for run in result.runs for fault in run.faults if fault.label == "ctl1" and fault.breaks]
    assert not any(fault.null for fault in faults)
    assert result.failovers.lossy_convergence == 4
    assert result.verdict == Verdict.INCONCLUSIVE, "4 of 8 missed: more than 60 % is credible, and less"
    assert result.expectations[0].measured.startswith("4 of ")
    bench.expect = (Expectation(kind, packets=0, longest_ns=50 * MS, text="no bound"),)
    assert bench.judge(runs=1).verdict == Verdict.FAIL


# Row 2, with evidence: a long way before the victim excuses nothing.
def test_a_long_way_before_the_victim_excuses_only_what_was_sent_to_it(bench: Bench) -> None:
    bench.expect, bench.rate = NO_LOSS, 6400.0
    bench.lose(-49, 41)
    events = changed(
        changed(bench.events(), "tally", lambda data: _delay(data, 50 * MS)),
        "witness",
        lambda data: data.update(delay_p99_ns={"in": 50 * MS, "out": 50 * MS}),
    )
    # The neighbour is 48 ms away: only what left 47 to 48 ms before the cut reached it before.
    result = judge(with_evidence(events, delay_ns=48 * MS, until_ms=0))
    stream = result.runs[0].streams[0]
    assert stream.in_flight == stream.classes.in_node == 6
    assert stream.convergence_loss == stream.lost - 6 == 570
    assert result.verdict == Verdict.FAIL


def _delay(data: dict[str, Any], delay: int) -> None:
    data.update(delay_p50_ns=delay, delay_p99_ns=delay, delay_max_ns=max(delay, data["delay_max_ns"]))


# Row 4
def test_a_sender_that_stalls_at_the_fault_leaves_an_outage_open(bench: Bench) -> None:
    bench.expect = outage(50)
    events = bench.events()
    cut = next(event.data for event in events if event.kind == "action.done")
    pause = [[cut["requested_ns"] - 5 * MS, 2500 * MS]]

    def stall(data: dict[str, Any]) -> None:
        data["generator"].update(pauses=pause, skipped=1600)

    result = judge(changed(events, "tally", stall))
    assert result.verdict == Verdict.INCONCLUSIVE
    assert "the sender stalled for 2.5 s" in result.reasons[0]
    assert result.expectations[0].advice
    assert result.runs[0].faults[0].streams[0].longest_pause_ns == 2500 * MS


# Row 5
@pytest.mark.slow
def test_an_outage_that_is_open_at_the_end_is_told_as_open(bench: Bench) -> None:
    bench.expect = outage(10_000)
    bench.timeline = cycle("gw1")[:1]
    result = bench.lose(0, 1e9).lose(0, 1e9, stream="out").judge()
    assert result.verdict == Verdict.INCONCLUSIVE
    assert "still open" in result.reasons[0]
    assert "settle" in result.expectations[0].advice
    assert result.runs[0].streams[0].open == 8
    assert result.outages.open == 16
    bench.expect = outage(1_000)
    assert bench.judge().verdict == Verdict.FAIL, "it was longer than that already"


# Row 6
def test_flows_that_did_not_cross_the_victim_were_not_in_flight_at_it(bench: Bench) -> None:
    bench.expect, bench.rate = NO_LOSS, 6400.0
    bench.backend.crossing = {"gw1": {"in": {0}, "out": set()}}
    bench.lose(0, 1).lose(0, 1, stream="out")
    without = judge(bench.events()).runs[0]
    assert {cell.flow for cell in without.facts if cell.doubtful} <= {0}
    assert without.streams[1].convergence_loss == without.streams[1].lost > 0
    assert judge(bench.events()).verdict == Verdict.FAIL


# Row 9
def test_a_stream_that_crosses_no_victim_proves_nothing(bench: Bench) -> None:
    bench.backend.crossing = {"gw1": {"in": {0}, "out": set()}}
    for kind in ("loss", "convergence-loss", "outage"):
        bench.expect = (Expectation(kind, ("out",), longest_ns=50 * MS, text="out"),)
        result = bench.judge()
        assert result.verdict == Verdict.INCONCLUSIVE, kind
        assert "no flow crossed the victim" in result.reasons[0]
    bench.expect = (Expectation("convergence-loss", ("in",), text="in"),)
    assert bench.judge().verdict == Verdict.PASS


def test_traffic_so_thin_that_no_packet_left_while_it_was_dark_proves_nothing(bench: Bench) -> None:
    bench.rate, bench.flows = 0.4, 1
    bench.timeline = cycle("gw1", dark_s=0.9)
    bench.expect = NO_LOSS
    result = bench.judge()
    assert result.verdict == Verdict.INCONCLUSIVE
    assert "between the fault and the return" in result.reasons[0]


# Row 10
@pytest.mark.slow
def test_every_second_packet_lost_for_three_seconds_is_an_outage(bench: Bench) -> None:
    bench.expect = outage(50)
    bench.timeline = cycle("gw1", dark_s=4)
    before = bench.backend.lost

    def flap(stream: Stream, flow: int, t_ns: int) -> bool:
        off = [moment for done, moment in bench.backend.done if done == "power-off gw1"]
        inside = bool(off) and off[0] + 2 * MS < t_ns < off[0] + 3 * SECOND
        return before(stream, flow, t_ns) or (inside and (t_ns - off[0]) // 12_500_000 % 2 == 0)

    bench.backend.lost = flap
    result = bench.judge()
    row = max(result.runs[0].outages, key=lambda row: row.outage_ns)
    assert row.gap_ns < 20 * MS
    assert row.loss_derived_ns == pytest.approx(1.5 * SECOND, rel=0.03)
    assert result.verdict == Verdict.FAIL
    assert "loss-derived" in result.reasons[0]


# Row 11
def test_packets_that_all_arrive_after_a_freeze_leave_a_gap_of_arrivals(bench: Bench) -> None:
    bench.expect = outage(50)
    events = bench.events()
    cut = next(event.data for event in events if event.kind == "action.done")["requested_ns"]

    def freeze(data: dict[str, Any]) -> None:
        data["delay_max_ns"] = 900 * MS
        for flow in data["flows"]:
            flow["gaps"] = [[cut - 2 * MS, cut + 900 * MS]] if flow["flow"] == 3 else []

    result = judge(changed(events, "tally", freeze))
    assert result.verdict == Verdict.FAIL
    assert "longest 889 ms" in result.reasons[0] or "longest 890 ms" in result.reasons[0]


def test_without_gaps_a_late_packet_leaves_an_outage_in_doubt(bench: Bench) -> None:
    bench.expect = outage(50)
    late = changed(bench.events(), "tally", lambda data: data.update(delay_max_ns=900 * MS))
    result = judge(late)
    assert result.verdict == Verdict.INCONCLUSIVE
    assert "gaps of arrivals were not looked at" in result.reasons[0]


def test_a_packet_later_than_tmax_is_lost_in_the_middle_of_a_run_too(bench: Bench) -> None:
    late = changed(bench.events(), "tally", lambda data: data.update(delay_max_ns=1500 * MS))
    result = judge(late)
    assert result.verdict == Verdict.INCONCLUSIVE, "they may have left before the zero"
    assert "later than Tmax (1 s) were not counted" in result.reasons[0]
    counted = changed(late, "tally", lambda data: data.update(late=0))
    assert judge(counted).verdict == Verdict.PASS, "whoever counted them has counted them as lost"


# Row 12
def test_an_outage_that_lasts_until_the_return_counts_once(bench: Bench) -> None:
    bench.expect = outage(50, quantile=0.9)
    result = bench.lose(0, 2100, flows={3}).judge()
    (expectation,) = result.expectations
    assert (expectation.low, expectation.limit) == (1, 1)
    assert result.verdict == Verdict.PASS
    rows = [row for row in result.runs[0].outages if row.flow == 3 and row.stream == "in"]
    assert len(rows) == 1
    assert rows[0].outage_ns > 2 * SECOND, "it is told whole, not cut at the return"


# Row 13
def test_a_graceful_shutdown_excuses_no_more_than_one_path_delay(bench: Bench) -> None:
    bench.expect, bench.rate = NO_LOSS, 6400.0
    bench.timeline = (
        Step(0, act("power-off", ("gw1",), "graceful"), at_ns=2 * SECOND),
        Step(1, act("power-on", ("gw1",)), at_ns=4 * SECOND),
    )
    events = changed(bench.lose(-29, 0).events(), "tally", lambda data: data.update(delay_max_ns=80 * MS))
    events = changed(events, "witness", lambda data: data.update(delay_p99_ns={"in": 3 * MS, "out": 3 * MS}))
    result = judge(events)
    stream = result.runs[0].streams[0]
    assert result.verdict == Verdict.FAIL
    assert stream.convergence_loss > 0.7 * stream.lost


# Row 14
def test_a_second_cut_does_not_excuse_what_the_first_one_lost(bench: Bench) -> None:
    bench.expect, bench.rate = NO_LOSS, 6400.0
    bench.backend.nodes = ("ext1", "srv1", "gw1", "gw2")
    bench.timeline = (
        Step(0, act("power-off", ("gw1",), "cut"), at_ns=2 * SECOND),
        Step(1, act("power-off", ("gw2",), "cut"), at_ns=2 * SECOND + 24 * MS),
        Step(2, act("power-on", ("gw1",)), at_ns=5 * SECOND),
        Step(3, act("power-on", ("gw2",)), at_ns=5 * SECOND),
    )
    events = changed(bench.lose(0, 24).events(), "tally", lambda data: data.update(delay_max_ns=40 * MS))
    result = judge(events)
    assert result.verdict == Verdict.FAIL
    assert result.expectations[0].low > 90, "of 153: what was lost between 6 and 21 ms for sure"


# Row 15
def test_fail_overs_that_were_not_measured_are_no_successes(bench: Bench) -> None:
    bench.expect = (Expectation("convergence-loss", packets=0, bound=0.6, text="bound"),)
    bench.backend.crossing = {"gw1": {"in": set(), "out": set()}}
    result = bench.judge(runs=8)
    assert result.verdict == Verdict.INCONCLUSIVE
    assert result.failovers.trials == 0
    assert "no flow crossed" in result.expectations[0].reason


def test_a_run_that_was_copied_is_refused(bench: Bench) -> None:
    bench.expect = (Expectation("convergence-loss", packets=0, bound=0.6, text="bound"),)
    events = bench.events(runs=1)
    copies: list[Event] = []
    for number in range(8):

        def renumber(data: dict[str, Any], number: int = number) -> None:
            data.update(run=number, runs=8)

        copies += changed(events, "run.header", renumber)
    result = judge(copies)
    assert result.verdict == Verdict.ERROR
    assert "one run, copied" in "; ".join(result.reasons)
    # Moved in time, with the probe's own digest of departures.
    moved = [_moved(copy, index // len(events)) for index, copy in enumerate(copies)]
    digest = changed(moved, "tally", lambda data: data.update(departures="0badc0de"))
    assert "one run, copied" in "; ".join(judge(digest).reasons)


_MOMENTS = {"start_ns", "end_ns", "requested_ns", "first_ns", "last_ns", "done_ns", "t_ns", "sent_ns"}


def _moved(event: Event, number: int) -> Event:
    offset = number * 100 * SECOND

    def shift(value: Any, key: str = "") -> Any:
        if isinstance(value, dict):
            return {name: shift(one, name) for name, one in value.items()}
        if isinstance(value, list | tuple):
            return [shift(one, key) for one in value]
        return value + offset if key in _MOMENTS and isinstance(value, int) and value else value

    return type(event)(event.kind, event.t_ns + offset, shift(dict(event.data)))


@pytest.mark.slow
def test_one_dead_fail_over_does_not_vanish_among_many_good_ones(bench: Bench) -> None:
    bench.expect = outage(50, quantile=0.9)
    died: list[int] = []
    before = bench.backend.lost

    def once(stream: Stream, flow: int, t_ns: int) -> bool:
        cuts = [moment for done, moment in bench.backend.done if done == "power-off gw1"]
        if len(cuts) == 3:
            died.append(cuts[2])
        return before(stream, flow, t_ns) or any(moment < t_ns < moment + SECOND for moment in died[:1])

    bench.backend.lost = once
    result = bench.judge(runs=12)
    (expectation,) = result.expectations
    assert expectation.low <= expectation.limit, "16 of 192 pooled are allowed"
    assert result.verdict == Verdict.FAIL
    assert "run 2 by itself: 16 of 16 flows beyond 50 ms; pooled: " in expectation.reason


# Row 16
def test_what_somebody_else_does_to_the_lab_makes_an_error(bench: Bench) -> None:
    events = list(bench.events())
    place = next(index for index, event in enumerate(events) if event.kind == "tally")
    data = {"by": "labctl power off (pid 4711)", "action": "power-off", "target": "r2"}
    events.insert(place, type(events[0])("lab.changed", events[place].t_ns, data))
    result = judge(events)
    assert result.verdict == Verdict.ERROR
    assert "power-off r2" in result.reasons[0]


def test_a_change_that_was_forced_during_a_run_is_in_its_journal(bench: Bench) -> None:
    forced = ForcedChange(1, "labctl (process 4711)", "link-cut", "r1 gw2")
    result = bench.judge(runs=2, source=FakeSource(bench.backend, forced=[forced]))
    assert [run.verdict for run in result.runs] == [Verdict.ERROR, Verdict.PASS]
    assert (
        "another program changed the lab during the run: labctl (process 4711): link-cut r1 gw2"
        in (result.reasons[0])
    )


# Row 18
def test_losses_before_the_timeline_are_a_class_of_their_own() -> None:
    # 30 ms before the zero, and a period that reaches beyond it.
    lost = {number for number, (flow, moment) in enumerate(PACKETS) if flow == 0 and moment < ZERO + 50 * MS}
    result = judge(by_hand(lost, [], [by_hand_expected("loss", packets=3)], [], (0, 0, 0), 30))
    (stream,) = result.runs[0].streams
    early = sum(number * SPACING < 30 * MS for number in lost)
    assert (stream.before, stream.unexplained) == (early, len(lost) - early)
    assert stream.longest_outage_ns < 30 * MS, "before the zero it is nobody's outage"
    assert result.verdict == Verdict.PASS, result.reasons
    assert result.runs[0].streams[0].classes.before == early
    assert STREAM.name == stream.name


# Row 19
def test_every_view_counts_the_same_flows(bench: Bench) -> None:
    from labctl.report.compare_data import design_of  # noqa: PLC0415 - of another room
    from labctl.report.format import series_lines  # noqa: PLC0415

    bench.backend.crossing = {"gw1": {"in": {0, 1, 2}, "out": set(range(8))}}
    result = bench.lose(3, 40, flows={0, 5}).judge()
    population = result.outages.flows
    assert population == 12, "11 crossed, and one more was hit"
    assert design_of(result).flows == population
    assert any(f"outages of {population} flows" in line for line in series_lines(result))
    assert sum(stream.population for stream in result.runs[0].faults[0].streams) == population
    rows = [row for row in result.runs[0].outages if row.fault == 0]
    assert len(rows) == population
    stream = result.runs[0].streams[0]
    longest = max(rows, key=lambda row: row.outage_ns)
    assert result.outages.max_ns == longest.outage_ns == stream.longest_outage_ns
    assert result.outages.error_ns == longest.error_ns == stream.error_ns


# Row 21
def test_off_path_selects_the_flows_that_did_not_cross(bench: Bench) -> None:
    bench.expect = (Expectation("convergence-loss", packets=0, text="off-path", off_path=True),)
    bench.backend.crossing = {"gw1": {"in": {0, 1}, "out": {0}}}
    crossing = bench.lose(3, 500, flows={0, 1})
    assert crossing.judge().verdict == Verdict.PASS, "only crossing flows lost packets"
    result = bench.lose(3, 500, flows={2}).judge()
    assert result.verdict == Verdict.FAIL
    bench.backend.crossing = {}
    result = bench.judge()
    assert result.verdict == Verdict.INCONCLUSIVE
    assert "every flow crossed" in result.reasons[0]


@pytest.mark.slow
def test_what_must_be_lost_is_expected_with_at_least(bench: Bench) -> None:
    def isolated(data: dict[str, Any]) -> None:
        data["expect"] = [{**data["expect"][0], "kind": "loss", "at_least": 7686, "streams": ["in", "out"]}]

    bench.backend.lost = lambda _stream, _flow, _t_ns: True
    zero = changed(bench.events(), "run.header", isolated)
    result = judge(zero)
    (expectation,) = result.expectations
    assert expectation.high <= 7686
    assert result.verdict in (Verdict.PASS, Verdict.FAIL)
    bench.backend.lost = lambda _stream, flow, _t_ns: flow != 3
    assert judge(changed(bench.events(), "run.header", isolated)).verdict == Verdict.FAIL


def kinds_of(*kinds: str, **limits: Any) -> Any:
    def change(data: dict[str, Any]) -> None:
        data["expect"] = [{"kind": kind, "streams": ["in"], "text": kind, **limits} for kind in kinds]

    return change


def test_duplicates_reordering_and_delay_can_be_expected(bench: Bench) -> None:
    def counted(data: dict[str, Any]) -> None:
        data["flows"][0].update(duplicated=2, reordered=1)
        data.update(duplicated=2, reordered=1, delay_p50_ns=MS, delay_p99_ns=2 * MS, delay_max_ns=9 * MS)

    events = changed(bench.events(), "tally", counted)
    kinds = ("duplicated", "reordered", "delay")
    limits: Sequence[tuple[dict[str, Any], list[Verdict]]] = [
        ({"packets": 2, "longest_ns": 9 * MS}, [Verdict.PASS] * 3),
        ({"packets": 1, "longest_ns": 8 * MS}, [Verdict.FAIL, Verdict.PASS, Verdict.FAIL]),
        (
            {"packets": 2, "longest_ns": 5 * MS, "quantile": 0.999},
            [Verdict.PASS, Verdict.PASS, Verdict.INCONCLUSIVE],
        ),
        ({"packets": 2, "longest_ns": 2 * MS, "quantile": 0.99}, [Verdict.PASS] * 3),
    ]
    for limit, verdicts in limits:
        result = judge(changed(events, "run.header", kinds_of(*kinds, **limit)))
        assert [one.verdict for one in result.expectations] == verdicts, limit


def test_a_lost_packet_has_an_infinite_delay(bench: Bench) -> None:
    events = bench.lose(0, 1900).events()
    limit = kinds_of("delay", longest_ns=900 * MS, quantile=0.99)
    assert judge(changed(events, "run.header", limit)).verdict == Verdict.FAIL


def test_drops_of_the_receiver_and_the_kernel_widen_the_interval(bench: Bench) -> None:
    bench.backend.generator = GeneratorHealth(1, 0, 0, 0, 0, 0)
    bench.backend.receiver = ReceiverHealth(backlog_dropped=10**6)
    bench.expect = NO_LOSS
    result: Result = bench.lose(0, 40).judge()
    assert result.verdict == Verdict.INCONCLUSIVE
    assert result.expectations[0].low == 0
