"""Every verdict from a run on a fake lab, and the reason that is given for it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from acts import act
from make_believe import MS, SECOND
from sightings import changed

from labctl.probe.types import GeneratorHealth, ReceiverHealth
from labctl.report.format import outage_line
from labctl.scenario.model import Expectation, Step
from labctl.testing.series import FakeSource
from labctl.verdict import Verdict, judge
from labctl.verdict.attribution import fault_windows
from labctl.verdict.record import read_runs

if TYPE_CHECKING:
    from make_believe import Bench

    from labctl.events import Listener
    from labctl.fault.types import Effect
    from labctl.scenario.kinds.action import Action
    from labctl.verdict import Result

HEALTHY = GeneratorHealth(1, 0, 0, 0, 0, 0)


def test_nothing_lost_passes(bench: Bench) -> None:
    result = bench.judge()
    assert result.verdict == Verdict.PASS, result.reasons
    assert result.exit_code == 0
    assert [fault.action for fault in result.runs[0].faults] == ["power-off", "power-on"]
    assert result.failovers.trials == 1
    assert result.failovers.bound_convergence == pytest.approx(0.95)


def test_what_a_neighbour_still_sent_onto_the_link_is_in_flight_and_excused(bench: Bench) -> None:
    bench.onto_link_ms = 2
    result = bench.lose(0, 1.9).judge()
    stream = result.runs[0].streams[0]
    assert stream.lost == stream.in_flight > 0
    assert stream.convergence_loss == 0
    assert {cell.rule for cell in result.runs[0].facts} == {"evidence"}
    assert result.runs[0].faults[0].evidence == "complete"
    assert result.verdict == Verdict.PASS


@pytest.mark.parametrize("flaw", ["overrun", "opened late", "closed early", "an end not watched", "no end"])
def test_evidence_that_is_not_whole_is_no_evidence_of_absence(bench: Bench, flaw: str) -> None:
    bench.backend.window_ns = 5 * MS
    bench.onto_link_ms = 0

    def spoil(data: dict[str, Any]) -> None:
        end = data["ends"][0]
        if flaw == "overrun":
            end["overrun"] = 1
        elif flaw == "opened late":
            end["open_ns"] += 1000 * MS
        elif flaw == "closed early":
            end["closed_ns"] -= 100 * MS
        else:
            data["ends"] = data["ends"][1:] if flaw == "an end not watched" else []

    whole = bench.lose(0, 4).seen()
    assert judge(whole).verdict == Verdict.FAIL, "nobody sent them to the victim"
    result = judge(changed(whole, "evidence", spoil))
    assert result.verdict == Verdict.INCONCLUSIVE
    assert result.runs[0].faults[0].evidence == "partial"


def test_without_evidence_it_may_be_either_and_never_passes(bench: Bench) -> None:
    bench.backend.window_ns = 5 * MS
    result = judge(bench.lose(0, 4).events())
    cells = result.runs[0].facts
    assert all((cell.rule, cell.doubtful) == ("time", cell.packets) for cell in cells)
    (expectation,) = result.expectations
    assert (expectation.low, expectation.high) == (0, result.runs[0].streams[0].lost)
    assert "they were not observed on the victim's links" in expectation.reason
    assert "evidence" in expectation.advice
    assert result.verdict == Verdict.INCONCLUSIVE
    bench.expect = (Expectation("loss", packets=30, text="loss"),)
    assert bench.judge().verdict == Verdict.PASS, "for all losses together it does not matter which is which"


@pytest.mark.parametrize(("longest_ms", "possible_ms"), [(0.2, 0.2), (0.5, 0.5), (100, 2)])
def test_without_evidence_the_span_before_the_cut_is_as_long_as_any_packet_took(
    bench: Bench, longest_ms: float, possible_ms: float
) -> None:
    # One packet in a hundred takes longer than the path delay of 0.2 ms, which is a 99th percentile.
    (record,) = read_runs(bench.events())
    tally = replace(record.tallies["in"], delay_max_ns=int(longest_ms * MS))
    cut = record.actions[0]
    window = fault_windows(record, tally)[0]
    assert cut.told_ns - window.from_ns == possible_ms * MS
    assert window.to_ns - cut.last_ns == 0.2 * MS, "after the cut no more than the path delay"
    assert window.most_ns == 0.2 * MS + (cut.last_ns - cut.told_ns) + 2 * MS


def test_loss_after_the_cut_is_convergence_loss_and_fails(bench: Bench) -> None:
    result = bench.lose(0, 40).judge()
    stream = result.runs[0].streams[0]
    assert stream.convergence_loss > 0
    assert stream.lost == stream.in_flight + stream.convergence_loss
    assert stream.unexplained == 0
    assert result.verdict == Verdict.FAIL
    assert "lost to convergence" in result.reasons[0]
    assert result.failovers.lossy_convergence == 1


def test_loss_at_the_return_is_reversion_loss(bench: Bench) -> None:
    result = bench.lose(0, 10, step="power-on gw1").judge()
    assert result.runs[0].streams[0].convergence_loss > 0
    assert result.runs[0].streams[0].classes.reversion == result.runs[0].streams[0].lost
    assert result.failovers.lossy == 0
    assert result.returns.lossy_convergence == 1
    assert result.verdict == Verdict.FAIL


def test_loss_before_any_fault_is_unexplained_and_counts(bench: Bench) -> None:
    bench.lose(-1000, -990)
    result = bench.judge()
    stream = result.runs[0].streams[0]
    assert stream.unexplained == stream.convergence_loss == stream.lost > 0
    assert result.verdict == Verdict.FAIL


def test_traffic_that_never_crosses_the_victim_is_inconclusive(bench: Bench) -> None:
    bench.backend.crossing = {"gw1": {"in": set(), "out": set()}}
    result = bench.judge()
    assert result.verdict == Verdict.INCONCLUSIVE
    assert result.exit_code == 3
    assert "no flow crossed the victim" in result.reasons[0]
    assert result.runs[0].faults[0].null
    assert result.failovers.trials == 0
    assert result.failovers.null == 1


def test_a_scenario_without_expectations_never_passes(bench: Bench) -> None:
    bench.expect = ()
    result = bench.judge()
    assert result.verdict == Verdict.INCONCLUSIVE
    assert "expects nothing" in result.reasons[0]


def test_a_node_that_never_gets_ready_is_an_error(bench: Bench) -> None:
    bench.backend.never_ready = frozenset({"gw1"})
    result = bench.judge()
    assert result.verdict == Verdict.ERROR
    assert result.exit_code == 2
    assert "gw1" in result.reasons[0]


def test_a_lab_that_does_not_come_up_is_an_error(bench: Bench) -> None:
    result = bench.judge(source=FakeSource(bench.backend, fails=1))
    assert result.verdict == Verdict.ERROR
    assert "no session to r1" in result.reasons[0]


def test_an_action_that_fails_is_an_error(bench: Bench) -> None:
    bench.backend.failing = frozenset({"power-off"})
    result = bench.judge()
    assert result.verdict == Verdict.ERROR
    assert "power-off" in result.reasons[0]


def test_a_fault_without_effect_is_an_error(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    done = bench.backend.act

    def weak(action: Action[Any], listen: Listener) -> Effect:
        effect = done(action, listen)
        return replace(effect, carriers=tuple(replace(one, t_ns=0) for one in effect.carriers))

    monkeypatch.setattr(bench.backend, "act", weak)
    result = bench.judge()
    assert result.verdict == Verdict.ERROR
    assert "no effect" in result.reasons[0]


def test_a_journal_that_stops_short_is_an_error(bench: Bench) -> None:
    events = [event for event in bench.events() if event.kind not in ("run.done", "tally")]
    result = judge(events)
    assert result.verdict == Verdict.ERROR
    assert "killed" in result.reasons[0]


def test_a_sender_that_skips_packets_leaves_zero_loss_open(bench: Bench) -> None:
    bench.backend.generator = replace(HEALTHY, skipped=3)
    result = bench.judge()
    assert result.verdict == Verdict.INCONCLUSIVE
    assert "held back" in result.reasons[0]


def test_a_stall_at_the_fault_leaves_zero_loss_open_and_one_elsewhere_does_not(bench: Bench) -> None:
    events = bench.events()
    fault = next(event for event in events if event.kind == "action.done")
    for offset, verdict in ((0, Verdict.INCONCLUSIVE), (-SECOND, Verdict.PASS)):
        stall = (fault.data["requested_ns"] + offset, 20 * MS)
        stalled = [
            replace(event, data={**event.data, "generator": {**event.data["generator"], "pauses": [stall]}})
            if event.kind == "tally"
            else event
            for event in events
        ]
        assert judge(stalled).verdict == verdict


def test_packets_that_the_receiver_dropped_itself_prove_no_loss(bench: Bench) -> None:
    bench.lose(20, 22)
    lost = bench.judge().runs[0].streams[0].lost
    bench.backend.generator = HEALTHY
    bench.backend.receiver = ReceiverHealth(overflowed=lost)
    assert bench.judge().verdict == Verdict.INCONCLUSIVE
    bench.backend.receiver = ReceiverHealth(overflowed=lost - 1)
    assert bench.judge().verdict == Verdict.FAIL


@pytest.mark.parametrize(
    ("outage_ms", "longest_ms", "verdict"),
    [
        (0, 50, Verdict.PASS),
        (100, 50, Verdict.FAIL),
        (100, 400, Verdict.PASS),
        (40, 50, Verdict.INCONCLUSIVE),
    ],
)
def test_an_outage_is_judged_with_its_error_bar(
    bench: Bench, outage_ms: int, longest_ms: int, verdict: Verdict
) -> None:
    # 640 packets a second over 8 flows: 12.5 ms between two packets of a flow.
    bench.expect = (Expectation("outage", longest_ns=longest_ms * MS, text="outage"),)
    if outage_ms:
        bench.lose(0, outage_ms)
    assert bench.judge().verdict == verdict


def test_packets_too_far_apart_for_the_bound_are_inconclusive(bench: Bench) -> None:
    bench.expect = (Expectation("outage", longest_ns=5 * MS, text="outage"),)
    result = bench.judge()
    assert result.verdict == Verdict.INCONCLUSIVE
    assert "spacing" in result.reasons[0]


def test_a_quantile_forgives_so_many_flows_and_no_more(bench: Bench) -> None:
    # 8 flows each way cross the victim: 16 in all; 0.9 forgives one.
    bench.expect = (Expectation("outage", longest_ns=50 * MS, quantile=0.9, text="outage"),)
    assert bench.lose(0, 200, flows={3}).judge().verdict == Verdict.PASS
    assert bench.lose(0, 200, flows={4}).judge().verdict == Verdict.FAIL


def test_too_few_runs_for_the_bound_asked(bench: Bench) -> None:
    bench.expect = (Expectation("convergence-loss", packets=0, bound=0.6, text="convergence-loss"),)
    few, enough = bench.judge(runs=2), bench.judge(runs=4)
    assert few.verdict == Verdict.INCONCLUSIVE
    assert "too few" in few.reasons[0]
    assert enough.verdict == Verdict.PASS, enough.reasons
    assert enough.failovers.trials == 4
    assert enough.failovers.bound_convergence == pytest.approx(1 - 0.05**0.25)


def test_what_was_put_onto_the_link_while_the_kernel_took_it_down_may_be_either(bench: Bench) -> None:
    bench.onto_link_ms = 40
    bench.lose(0, 40)
    slow = changed(bench.seen(), "action.done", lambda data: data["detail"].update(pull_ns=50 * MS))
    result = judge(slow)
    stream = result.runs[0].streams[0]
    assert 0 < stream.classes.doubtful < stream.lost == stream.in_flight, "2 ms of it are in flight for sure"
    assert result.verdict == Verdict.INCONCLUSIVE
    prompt = bench.judge()
    assert prompt.runs[0].streams[0].convergence_loss == stream.classes.doubtful
    assert prompt.verdict == Verdict.FAIL


def test_interrupted_is_its_own_verdict(bench: Bench) -> None:
    events = bench.events()
    cut = next(index for index, event in enumerate(events) if event.kind == "action.started")
    interrupted = [*events[:cut], replace(events[cut], kind="run.interrupted", data={})]
    assert judge(interrupted).exit_code == 130


def fenced(bench: Bench, **detail: bool) -> Result:
    """The power cut, and a second later a node that asks for what has no power any more to be fenced."""
    bench.timeline = (
        Step(0, act("power-off", ("gw1",), "cut"), at_ns=2 * SECOND),
        Step(1, act("fence", ("gw1",), "gw2"), at_ns=3 * SECOND),
        Step(2, act("power-on", ("gw1",)), at_ns=5 * SECOND),
    )
    events = bench.lose(0, 2500).events()
    return judge(
        [
            replace(event, data={**event.data, "detail": {**event.data["detail"], **detail}, "carriers": []})
            if event.kind == "action.done" and event.data["action"] == "fence"
            else event
            for event in events
        ]
    )


def test_fencing_what_is_dark_already_is_no_fault_of_its_own(bench: Bench) -> None:
    result = fenced(bench, already=True)
    faults = result.runs[0].faults
    assert [fault.action for fault in faults] == ["power-off", "power-on"]
    assert (result.failovers.trials, result.failovers.null) == (1, 0)
    assert result.verdict is Verdict.FAIL
    assert faults[0].convergence_loss == result.runs[0].streams[0].lost - faults[0].in_flight


def test_fencing_what_still_has_power_is_a_fault(bench: Bench) -> None:
    actions = [fault.action for fault in fenced(bench).runs[0].faults]
    assert actions == ["power-off", "fence", "power-on"]


def test_overlapping_faults_share_their_excuses_and_conserve_losses(bench: Bench) -> None:
    bench.timeline = (
        Step(0, act("power-off", ("gw1",), "cut"), at_ns=2 * SECOND),
        Step(1, act("power-off", ("srv1",), "cut"), at_ns=2 * SECOND),
    )
    result = bench.lose(0, 50).judge()
    stream = result.runs[0].streams[0]
    assert stream.lost == stream.in_flight + stream.convergence_loss
    assert sum(fault.convergence_loss + fault.in_flight for fault in result.runs[0].faults) == stream.lost


def test_a_stream_that_nothing_is_expected_of_is_shown_beside_and_counts_in_no_sum(bench: Bench) -> None:
    bench.expect = (
        Expectation("convergence-loss", streams=("out",), packets=0, text="convergence-loss: out"),
    )
    result = bench.lose(0, 300, stream="in").judge()
    ping, judged = result.runs[0].streams
    assert (ping.name, ping.unjudged, judged.unjudged) == ("in", True, False)
    assert ping.convergence_loss > 0, "it is told all the same"
    assert result.verdict == Verdict.PASS
    cut = result.runs[0].faults[0]
    assert (cut.in_flight, cut.convergence_loss) == (0, 0)
    lossy = [(stream.stream, stream.convergence_loss > 0) for stream in cut.streams]
    assert lossy == [("in", True), ("out", False)]
    assert cut.crossed == bench.flows
    assert (result.failovers.trials, result.failovers.lossy, result.outages.flows) == (1, 0, bench.flows)
    line = outage_line(result)
    assert line.startswith(f"{judged.sent:,} packets over 1 fail-over: 0 lost in flight, 0 to convergence;")
    assert f"not judged: in ({ping.lost} of {ping.sent:,} lost)" in line
