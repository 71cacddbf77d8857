"""Runs and series on a fake lab: order, healing, what the journal says."""

from __future__ import annotations

import contextlib
import gc
import weakref
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from acts import act

from labctl.errors import ActionError, HostError, LabInterrupted
from labctl.events import silent
from labctl.journal.file import read_journal
from labctl.model.codec import lab_to_dict
from labctl.scenario.kinds.conditions.ecmp_paths import EcmpPaths
from labctl.scenario.kinds.conditions.loss import Loss
from labctl.scenario.kinds.conditions.ready import Ready
from labctl.scenario.kinds.conditions.wait import Wait
from labctl.scenario.load import load_scenario
from labctl.scenario.model import Scenario, Step, TrafficSpec
from labctl.scenario.session import Series, run_series
from labctl.testing.backend import FakeBackend, FakeTraffic
from labctl.testing.series import FakeSource, fake_loaded, play

if TYPE_CHECKING:
    from collections.abc import Sequence

    from labctl.events import Event
    from labctl.probe.types import Stream
    from labctl.scenario.kinds.action import Action
    from labctl.scenario.kinds.condition import Condition

SECOND = 1_000_000_000

CYCLE = (
    Step(0, act("power-off", ("gw1",), "cut"), at_ns=2 * SECOND),
    Step(1, act("power-on", ("gw1",)), at_ns=4 * SECOND),
    Step(2, act("link-cut", ("a", "gw2")), after=Ready(("gw1",), 9 * SECOND), plus_ns=SECOND),
)


def backend(**options: Any) -> FakeBackend:
    return FakeBackend(nodes=("a", "b", "gw1", "gw2"), **options)


def scenario(timeline: tuple[Step, ...] = CYCLE, steady: tuple[Condition, ...] = ()) -> Scenario:
    traffic = (TrafficSpec("there", "a", "b", rate_pps=100, flows=4),)
    return Scenario("s", Path("s.yml"), "", Path("t.yml"), traffic, steady, timeline)


def of_kind(events: tuple[Event, ...], *kinds: str) -> list[Event]:
    return [event for event in events if event.kind in kinds]


def test_steps_are_done_at_their_moments_and_the_rest_is_healed(tmp_path: Path) -> None:
    made = backend()
    events = play(scenario(), made, tmp_path)
    assert [what for what, _ in made.done] == [
        "power-off gw1",
        "power-on gw1",
        "link-cut a-gw2",
        "link-restore a-gw2",
    ]
    zero = of_kind(events, "timeline.started")[0].t_ns
    off, on = made.done[0][1] - zero, made.done[1][1] - zero
    assert abs(off - 2 * SECOND) < 1_000_000
    assert abs(on - 4 * SECOND) < 1_000_000
    # Ready two seconds after power-on, one second later the cut, five seconds later the heal.
    cut, heal = made.done[2][1] - made.done[1][1], made.done[3][1] - made.done[2][1]
    assert 3 * SECOND <= cut < 3.3 * SECOND
    assert 5 * SECOND <= heal < 5.1 * SECOND
    assert events[-1].kind == "lab.down"
    assert [event.kind for event in events if event.kind.startswith("run.")] == [
        "run.header",
        "run.lab",
        "run.done",
    ]


def test_events_stand_in_the_order_of_time(tmp_path: Path) -> None:
    inside = [
        event
        for event in play(scenario(), backend(), tmp_path)
        if not event.kind.startswith(("run.", "lab."))
    ]
    assert [event.t_ns for event in inside] == sorted(event.t_ns for event in inside)


def test_of_every_fault_it_is_told_which_flows_crossed_its_victim(tmp_path: Path) -> None:
    events = play(scenario(), backend(crossing={"gw1": {"there": {1, 3}}}), tmp_path)
    told = [(event.data["step"], event.data["flows"]["there"]) for event in of_kind(events, "witness")]
    assert told == [(0, [1, 3]), (2, [0, 1, 2, 3])]
    done = {event.data["step"]: event.data for event in of_kind(events, "action.done")}
    for event in of_kind(events, "witness"):
        assert event.data["by"] == "interfaces"
        assert event.data["until_ns"] == done[event.data["step"]]["requested_ns"]
        assert event.data["until_ns"] - event.data["since_ns"] >= SECOND


def test_the_evidence_of_every_fault_stands_before_the_tallies(tmp_path: Path) -> None:
    kinds = [event.kind for event in play(scenario(), backend(), tmp_path)]
    assert kinds.count("evidence") == 2
    assert max(at for at, kind in enumerate(kinds) if kind == "evidence") < kinds.index("tally")


def test_links_that_cannot_be_watched_are_told_of_and_delay_nothing(tmp_path: Path) -> None:
    watched, not_watched = tmp_path / "a", tmp_path / "b"
    moments = [
        [event.t_ns for event in of_kind(play(scenario(), made, out), "action.started")]
        for made, out in ((backend(), watched), (backend(watchable=False), not_watched))
    ]
    assert moments[0] == moments[1]
    failed = of_kind(read_journal(not_watched / "journal.jsonl"), "witness.failed")
    assert [(event.data["step"], event.data["error"]) for event in failed] == [
        (0, "nobody can watch here"),
        (2, "nobody can watch here"),
    ]


def test_a_silent_fault_has_no_evidence_of_its_links(tmp_path: Path) -> None:
    frozen = (Step(0, act("power-off", ("gw1",), "freeze"), at_ns=2 * SECOND),)
    events = play(scenario(frozen), backend(), tmp_path)
    assert of_kind(events, "witness")
    assert not of_kind(events, "evidence")


def test_two_faults_at_once_are_healed_in_the_reverse_order(tmp_path: Path) -> None:
    both = (
        Step(0, act("power-off", ("gw1",), "cut"), at_ns=2 * SECOND),
        Step(1, act("power-off", ("gw2",), "cut"), at_ns=2 * SECOND),
    )
    events = play(scenario(both), backend(), tmp_path)
    assert [event.data["step"] for event in of_kind(events, "evidence")] == [0, 1]
    heals = [event.data["target"] for event in of_kind(events, "heal.done")]
    assert heals == ["gw2", "gw1"]


@pytest.mark.parametrize("failing", ["power-on", "link-cut"])
def test_a_failing_action_is_told_and_what_was_done_is_taken_back(tmp_path: Path, failing: str) -> None:
    made = backend(failing=frozenset({failing}))
    events = play(scenario(), made, tmp_path)
    assert of_kind(events, "action.failed")[0].data["action"] == failing
    assert failing in of_kind(events, "run.error")[0].data["error"]
    assert not of_kind(events, "run.done")
    assert not made.off
    assert of_kind(events, "tally"), "what was measured until then is written down"
    assert of_kind(events, "logs.saved")


def test_a_condition_that_is_missed_is_an_error_with_its_reason(tmp_path: Path) -> None:
    made = backend(boot_ns=60 * SECOND)
    events = play(scenario(), made, tmp_path)
    error = of_kind(events, "run.error")[0].data["error"]
    assert "step 3" in error
    assert "gw1: still booting" in error


@pytest.mark.parametrize("moment", ["power-off", "power-on", "link-cut", "link-restore"])
def test_an_interruption_at_any_action_leaves_nothing_broken(tmp_path: Path, moment: str) -> None:
    told: list[str] = []

    def interrupt(_: FakeBackend, action: Action[Any]) -> None:
        if action.name == moment and not told:
            told.append(action.name)
            raise KeyboardInterrupt

    made = backend(before=interrupt)
    with pytest.raises(LabInterrupted):
        play(scenario(), made, tmp_path)
    events = read_journal(tmp_path / "journal.jsonl")
    assert not made.off
    kinds = [event.kind for event in events]
    assert kinds.index("run.interrupted") < kinds.index("lab.down")
    undone = [what for what, _ in made.done if what.startswith(("power-on", "link-restore"))]
    broken = [what for what, _ in made.done if what.startswith(("power-off", "link-cut"))]
    assert len(undone) >= len(broken)


def test_a_heal_that_fails_is_told_and_the_others_are_still_healed(tmp_path: Path) -> None:
    both = (
        Step(0, act("link-cut", ("a", "gw1")), at_ns=SECOND),
        Step(1, act("power-off", ("gw2",), "cut"), at_ns=3 * SECOND),
    )
    made = backend(failing=frozenset({"power-on"}))
    events = play(scenario(both), made, tmp_path)
    assert of_kind(events, "heal.failed")
    assert [event.data["action"] for event in of_kind(events, "heal.done")] == ["link-restore"]
    assert "could not be healed" in of_kind(events, "run.error")[0].data["error"]


def test_a_loss_condition_that_is_tried_again_says_so_and_hides_nothing(tmp_path: Path) -> None:
    made = backend()
    begun = made.now
    made.lost = lambda _stream, _flow, t_ns: t_ns - begun < SECOND
    steady = (Loss((), 0, SECOND, within_ns=10 * SECOND),)
    events = play(scenario((), steady), made, tmp_path)
    assert [event.data["lost"] for event in of_kind(events, "loss.retried")] == [99]
    # The first packet had left before the first window began: the tally has it, too.
    assert of_kind(events, "tally")[0].data["lost"] == 100


def test_a_lab_that_loses_packets_by_itself_is_never_broken_further(tmp_path: Path) -> None:
    made = backend(lost=lambda _stream, _flow, _t_ns: True)
    events = play(scenario(CYCLE, (Loss((), 0, SECOND),)), made, tmp_path)
    assert not made.done
    assert "not steady before the first fault" in of_kind(events, "run.error")[0].data["error"]


def test_width_waits_for_next_hops(tmp_path: Path) -> None:
    timeline = (Step(0, act("power-off", ("gw1",), "cut"), after=EcmpPaths("a", "b", 2, SECOND)),)
    assert (
        of_kind(play(scenario(timeline), backend(), tmp_path), "condition.met")[0].data["measured"]["paths"]
        == 2
    )
    narrow = (Step(0, act("power-off", ("gw1",), "cut"), after=EcmpPaths("a", "b", 3, SECOND)),)
    events = play(scenario(narrow), backend(), tmp_path)
    assert of_kind(events, "condition.missed")
    assert "2 paths" in of_kind(events, "run.error")[0].data["error"]


def test_an_action_that_begins_late_says_so(tmp_path: Path) -> None:
    late = (
        Step(0, act("power-off", ("gw1",), "cut"), at_ns=SECOND),
        Step(1, act("power-on", ("gw1",)), after=Wait(5 * SECOND)),
        Step(2, act("power-off", ("gw2",), "cut"), at_ns=3 * SECOND),
    )
    started = of_kind(play(scenario(late), backend(), tmp_path), "action.started")[2]
    assert started.t_ns - started.data["due_ns"] > 2 * SECOND


def test_the_lab_stays_up_between_runs_while_it_is_steady(tmp_path: Path) -> None:
    source = FakeSource(backend())
    events = play(scenario(), source.backend, tmp_path, runs=3, source=source)
    assert (source.opened, source.closed) == (1, 1)
    assert [event.data["run"] for event in of_kind(events, "run.header")] == [0, 1, 2]
    phases = [
        tuple(step["phase_ns"] for step in event.data["steps"]) for event in of_kind(events, "run.header")
    ]
    assert len(set(phases)) == 3


def test_a_lab_that_is_not_steady_again_is_replaced(tmp_path: Path) -> None:
    source = FakeSource(backend())
    broken: list[int] = []

    def after_the_cut(made: FakeBackend, action: Action[Any]) -> None:
        if action.name == "link-restore" and not broken:
            broken.append(made.now)
            made.lost = lambda _stream, _flow, t_ns: broken[0] < t_ns < broken[0] + 2 * SECOND

    source.backend.before = after_the_cut
    steady = (Loss((), 0, SECOND),)
    events = play(scenario(CYCLE, steady), source.backend, tmp_path, runs=2, source=source)
    assert of_kind(events, "steady.missed")[0].data["when"] == "after"
    assert (source.opened, source.closed) == (2, 2)


def test_a_series_ends_when_labs_do_not_come_up(tmp_path: Path) -> None:
    source = FakeSource(backend(), fails=9)
    events = play(scenario(), source.backend, tmp_path, runs=20, source=source)
    assert len(of_kind(events, "run.error")) == 2
    assert source.opened == 0


def test_one_lab_that_does_not_come_up_does_not_end_a_series(tmp_path: Path) -> None:
    source = FakeSource(backend(), fails=1)
    events = play(scenario(), source.backend, tmp_path, runs=3, source=source)
    assert len(of_kind(events, "run.error")) == 1
    assert len(of_kind(events, "run.done")) == 2


def test_logs_are_kept_when_the_verdict_asks_for_them(tmp_path: Path) -> None:
    play(scenario(), backend(), tmp_path, suspect=lambda _events: True)
    assert {path.name for path in (tmp_path / "logs").iterdir()} == {"a.log", "b.log", "gw1.log", "gw2.log"}


def test_a_journal_that_was_cut_off_is_read_up_to_the_cut(tmp_path: Path) -> None:
    events = play(scenario(), backend(), tmp_path)
    path = tmp_path / "journal.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole[:-30])
    assert read_journal(path) == events[:-1]
    path.write_bytes(whole.replace(b'"run.lab"', b'"run.lab', 1))
    with pytest.raises(Exception, match="damaged"):
        read_journal(path)


def test_an_action_error_of_the_world_is_no_traceback(tmp_path: Path) -> None:
    made = backend()

    def broken(node: str, to: str) -> int:
        raise ActionError(f"{node} is off")

    made.paths = broken  # type: ignore[method-assign]
    timeline = (Step(0, act("power-off", ("gw1",), "cut"), after=EcmpPaths("a", "b", 1, SECOND)),)
    assert of_kind(play(scenario(timeline), made, tmp_path), "condition.missed")


def test_the_header_tells_what_it_takes_to_do_it_again(tmp_path: Path) -> None:
    header = of_kind(play(replace(scenario(), text="name: s\n"), backend(), tmp_path, seed=77), "run.header")[
        0
    ].data
    assert header["seed"] == 77
    assert header["scenario"]["text"] == "name: s\n"
    assert header["machine"]["cpus"] >= 1
    assert header["versions"]["python"]
    assert header["clock"]["monotonic_ns"] > 0
    assert [node["name"] for node in header["lab"]["nodes"]] == ["a", "b", "gw1", "gw2"]


def test_an_interruption_while_the_lab_comes_up_is_in_the_journal(tmp_path: Path) -> None:
    source = FakeSource(backend())

    def stopped(listen: object) -> FakeBackend:
        raise LabInterrupted("stopped on its way up")

    source.open = stopped  # type: ignore[method-assign]
    with pytest.raises(LabInterrupted):
        play(scenario(), source.backend, tmp_path, source=source)
    assert read_journal(tmp_path / "journal.jsonl")[-1].kind == "run.interrupted"


def test_a_journal_that_cannot_be_begun_is_told_before_anything_is_done(tmp_path: Path) -> None:
    made = backend()
    (tmp_path / "out").write_text("a file")
    with pytest.raises(HostError, match="no journal can be written"):
        run_series(Series(scenario(), fake_loaded(made.nodes), tmp_path / "out"), FakeSource(made), silent)
    assert not made.done


def test_a_journal_that_fails_in_the_middle_keeps_nothing_from_being_healed(
    tmp_path: Path,
) -> None:
    made = backend()
    source = FakeSource(made)
    (tmp_path / "journal.jsonl").symlink_to("/dev/full")
    with pytest.raises(HostError, match="No space left"):
        run_series(Series(scenario(), fake_loaded(made.nodes), tmp_path), source, silent)
    assert [what for what, _ in made.done][-1] == "link-restore a-gw2"
    assert source.closed == 1


def test_a_listener_that_fails_keeps_nothing_from_being_healed(tmp_path: Path) -> None:
    made = backend()

    def broken(event: Event) -> None:
        raise BrokenPipeError

    play(scenario(), made, tmp_path, listen=broken)
    assert [what for what, _ in made.done][-1] == "link-restore a-gw2"


def test_logs_of_earlier_results_do_not_stay(tmp_path: Path) -> None:
    play(scenario(), backend(), tmp_path, suspect=lambda _events: True)
    play(scenario(), backend(), tmp_path)
    assert not (tmp_path / "logs").exists()


def test_the_header_says_what_was_loaded_whatever_the_file_says_now(tmp_path: Path) -> None:
    made = backend()
    topology = tmp_path / "t.yml"
    topology.write_text("edited since")
    asked = replace(scenario(), topology=topology)
    loaded = replace(fake_loaded(made.nodes), source=topology, text="as loaded")
    journal = run_series(Series(asked, loaded, tmp_path / "out"), FakeSource(made), silent)
    header = next(event.data for event in read_journal(journal) if event.kind == "run.header")
    assert header["topology"]["text"] == "as loaded"
    assert header["lab"] == lab_to_dict(loaded.lab)


def test_a_run_that_is_over_keeps_nothing_of_its_traffic(tmp_path: Path) -> None:
    kept: list[weakref.ref[FakeTraffic]] = []

    class Noting(FakeBackend):
        def start_traffic(self, streams: Sequence[Stream]) -> FakeTraffic:
            traffic = super().start_traffic(streams)
            kept.append(weakref.ref(traffic))
            return traffic

    made = Noting(nodes=("a", "b", "gw1", "gw2"))
    gc.disable()  # what only the collector frees is kept for dozens of runs: memory files with it
    try:
        play(scenario(), made, tmp_path, runs=3)
        assert [one() for one in kept] == [None] * 3
    finally:
        gc.enable()


def test_a_name_of_two_families_means_both_in_a_loss_condition(tmp_path: Path) -> None:
    (tmp_path / "t.yml").write_text("name: t\nnodes: {a: {role: host}, b: {role: host}}\nlinks: [[a, b]]\n")
    (tmp_path / "s.yml").write_text(
        "name: s\ntopology: t.yml\ntraffic: [{name: x, from: a, to: b, family: both}]\n"
        "steady: [{loss: x, packets: 0, for: 1s}]\n"
        "timeline: [{after: {loss: x-v6, packets: 0, for: 1s}, link-cut: [a, b]}]\n"
    )
    found, _ = load_scenario(tmp_path / "s.yml")
    assert found.steady == (Loss(("x-v4", "x-v6"), 0, SECOND),)
    assert found.timeline[0].after == Loss(("x-v6",), 0, SECOND)


def test_a_loss_condition_over_no_stream_is_never_met(tmp_path: Path) -> None:
    # Nothing counted is not nothing lost.
    events = play(scenario((), (Loss(("nobody",), 0, SECOND),)), backend(), tmp_path)
    assert "not steady before the first fault" in of_kind(events, "run.error")[0].data["error"]


@pytest.mark.parametrize("error", [ActionError("no"), KeyboardInterrupt()])
def test_an_action_that_nothing_takes_back_and_that_ends_midway_is_undone_from_the_state_on_disk(
    tmp_path: Path, error: BaseException
) -> None:
    def fail(_: FakeBackend, action: Action[Any]) -> None:
        if action.name == "kill":
            raise error

    made = backend()
    made.before = fail
    steps = (
        Step(0, act("link-cut", ("a", "gw1")), at_ns=SECOND),
        Step(1, act("kill", ("gw1",), "bgpd"), at_ns=2 * SECOND),
    )
    with contextlib.suppress(LabInterrupted):
        play(scenario(steps), made, tmp_path)
    assert [done for done, _ in made.done] == ["link-cut a-gw1", "undo-all", "link-restore a-gw1"]
