"""A lab in a program's hands: whatever comes, its end takes everything back; figures are the verdict's."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from fakehost import NODES, fake_running

import labctl
from labctl.document.document import read_document
from labctl.errors import ActionError, InputError
from labctl.lab.reservation import ForcedChange
from labctl.scenario.load import scenario_of_words
from labctl.testing.backend import FakeBackend
from labctl.testing.series import fake_lab, play
from labctl.verdict import judge

if TYPE_CHECKING:
    from pathlib import Path

TRAFFIC: dict[str, Any] = {"rate": 1000, "flows": 8, "both": True, "name": "there"}


def lossy(backend: FakeBackend, flow: int = 3, length_ns: int = 40_000_000) -> FakeBackend:
    """A flow of one direction has no way for so long from each cut on."""

    def lost(stream: Any, number: int, moment: int) -> bool:
        cuts = [when for what, when in backend.done if what.startswith("power-off")]
        return (
            number == flow and stream.name == "there" and any(0 < moment - when < length_ns for when in cuts)
        )

    backend.lost = lost
    return backend


def test_the_end_of_a_with_takes_the_lab_down() -> None:
    lab, host = fake_running(FakeBackend(NODES))
    with lab:
        lab.power_off("gw1")
    assert host.told == ["change: power-off gw1", "down"]
    assert lab.faults == ()


def test_an_error_in_a_with_takes_the_lab_down_and_comes_through() -> None:
    lab, host = fake_running(FakeBackend(NODES))
    traffic = lab.traffic("h1", "h2")

    def program() -> None:
        with lab, traffic:
            traffic.steady()
            lab.power_off("gw1")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        program()
    assert host.told == ["hold: traffic h1-h2 of a program", "release", "down"]
    assert traffic.trial.ended


def test_an_interrupted_traffic_is_no_measurement() -> None:
    lab, host = fake_running(FakeBackend(NODES))
    traffic = lab.traffic("h1", "h2")
    traffic.expect("loss", packets=0)

    def program() -> None:
        with lab, traffic:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        program()
    assert traffic.result().verdict is labctl.Verdict.INTERRUPTED
    assert host.told[-1] == "down"


@pytest.mark.parametrize("ours", [True, False])
def test_a_lab_that_stays_up_is_healed_the_latest_fault_first(*, ours: bool) -> None:
    backend = FakeBackend(NODES)
    lab, host = fake_running(backend, ours=ours, keep=True)
    with lab:
        lab.power_off("gw1")
        lab.power_off("gw2")
    assert [what for what, _ in backend.done][2:] == ["power-on gw2", "power-on gw1"]
    assert "down" not in host.told


def test_half_a_fault_is_taken_back_too() -> None:
    backend = FakeBackend(NODES, failing=frozenset({"power-off"}))
    lab, _ = fake_running(backend, ours=False)
    with lab:
        with pytest.raises(ActionError):
            lab.power_off("gw1")
        assert len(lab.faults) == 1
    assert [what for what, _ in backend.done] == ["power-on gw1"]


def test_one_fault_that_cannot_be_healed_keeps_no_other_from_it() -> None:
    backend = FakeBackend(NODES)
    lab, _ = fake_running(backend)

    def refuse(_backend: FakeBackend, action: Any) -> None:
        if (action.name, action.label) == ("power-on", "gw2"):
            raise ActionError("it is on fire")

    lab.power_off("gw1")
    lab.power_off("gw2")
    backend.before = refuse
    with pytest.raises(ActionError, match=r"gw2.*on fire"):
        lab.heal()
    assert backend.done[-1][0] == "power-on gw1"


def test_a_fault_says_what_it_cost() -> None:
    lab, _ = fake_running(lossy(FakeBackend(NODES)))
    with lab.traffic("h1", "h2", **TRAFFIC) as traffic:
        traffic.steady()
        with lab.power_off("gw1") as cut:
            with pytest.raises(ActionError, match="still flows"):
                _ = cut.crossed
            lab.sleep("2s")
        lab.sleep(1)
    assert (cut.action, cut.target, cut.crossed, cut.null) == ("power-off", "gw1", 16, False)
    assert cut.window == timedelta(microseconds=300)
    assert cut.convergence_loss == traffic.loss(during=cut).convergence_loss == 5
    assert traffic.loss().flows_hit == 1
    assert traffic.outage(during=cut).hit == 1
    assert traffic.outage().max >= timedelta(milliseconds=40)
    traffic.require_measured()


def test_figures_are_those_of_a_scenario_of_the_same(tmp_path: Path) -> None:
    """The same fake lab with the same losses, once by a scenario and once by a program."""
    expect: list[dict[str, Any]] = [
        {"convergence-loss": "all", "packets": 0},
        {"outage": "all", "longest": "30ms"},
    ]
    streams: list[dict[str, Any]] = [
        {"name": "there", "from": "h1", "to": "h2", "rate": 1000, "flows": 8},
        {"name": "there-back", "from": "h2", "to": "h1", "rate": 1000, "flows": 8},
    ]
    words = {
        "name": "there",
        "traffic": streams,
        "steady": [{"loss": "all", "packets": 0, "for": "2s", "within": "20s"}],
        "timeline": [
            {"at": "1500ms", "power-off": "gw1"},
            {"after": {"wait": "2s"}, "power-on": "gw1"},
        ],
        "settle": "1s",
        "expect": expect,
    }
    scenario = scenario_of_words(words, fake_lab(NODES), "test")
    written = judge(play(scenario, lossy(FakeBackend(NODES)), tmp_path))
    lab, _ = fake_running(lossy(FakeBackend(NODES)))
    with lab.traffic("h1", "h2", **TRAFFIC) as traffic:
        traffic.steady()
        with lab.power_off("gw1") as cut:
            lab.sleep("2s")
        lab.sleep("1s")
    for one in expect:
        kind, *keys = one
        traffic.expect(kind, **{key: one[key] for key in keys})
    told, fault = traffic.result(), written.runs[0].faults[0]
    assert told.verdict is written.verdict is labctl.Verdict.FAIL
    assert (cut.crossed, cut.in_flight, cut.convergence_loss) == (
        fault.crossed,
        fault.in_flight,
        fault.convergence_loss,
    )
    assert told.outages == written.outages
    assert told.failovers == written.failovers
    assert [one.measured for one in told.expectations] == [one.measured for one in written.expectations]


def test_a_null_trial_and_a_stalled_sender_are_inconclusive() -> None:
    lab, _ = fake_running(FakeBackend(NODES, crossing={"gw1": {}}))
    with lab.traffic("h1", "h2") as traffic, lab.power_off("gw1"):
        lab.sleep(1)
    with pytest.raises(labctl.Inconclusive, match="no flow crossed"):
        traffic.require_measured()


def test_who_changes_the_lab_meanwhile_spoils_the_measurement() -> None:
    lab, host = fake_running(FakeBackend(NODES))
    with lab.traffic("h1", "h2") as traffic:
        traffic.expect("loss", packets=0)
        host.forced.append(ForcedChange(lab.backend.now_ns(), "labctl", "link-cut", "h1 gw1"))
    assert traffic.result().verdict is labctl.Verdict.ERROR


def test_two_traffics_share_the_lab() -> None:
    lab, host = fake_running(FakeBackend(NODES))
    with lab.traffic("h1", "h2") as one, lab.traffic("h2", "h1") as other, lab.power_off("gw1") as cut:
        lab.sleep(1)
    assert cut.crossed == 2
    assert one.loss(cut).sent > 0 < other.loss(cut).sent
    assert host.told == ["hold: traffic h1-h2 of a program", "release"]


def test_waits_say_what_they_saw() -> None:
    lab, _ = fake_running(FakeBackend(NODES, never_ready=frozenset({"gw2"})))
    assert lab.ready("gw1") < timedelta(seconds=1)
    with pytest.raises(labctl.NotMet, match="gw2: it never will be"):
        lab.ready(within="1s")
    polls = iter([0, 0, "there"])
    assert lab.until(lambda: next(polls), "1s") == "there"
    with pytest.raises(
        labctl.NotMet, match=r"a route did not hold within 1s; the last of 11 polls gave \[\]"
    ) as missed:
        lab.until(list, "1s", what="a route")
    assert (missed.value.last, missed.value.polls) == ([], 11)
    lab.hold(lambda: True, "1s")
    seen = iter([1, 1, 0])
    with pytest.raises(labctl.NotMet, match="poll 3"):
        lab.hold(lambda: next(seen), for_="1s")


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda lab: lab.power_off("gw11"), "unknown node 'gw11'.*gw1"),
        (lambda lab: lab.act("power-of", "gw1"), "power-off"),
        (lambda lab: lab.act("power-off", ["gw1", "gw2"]), "one target"),
        (lambda lab: lab.traffic("h1", "h3"), "unknown node 'h3'"),
        (lambda lab: lab.traffic("h1", "h2", rate=-1), "rate"),
        (lambda lab: lab.node("r1"), "unknown node 'r1'"),
        (lambda lab: lab.sleep("3"), "duration"),
        (lambda lab: lab.wait({"loss": "all", "for": "1s"}), "steady"),
    ],
)
def test_a_wrong_word_is_refused_before_anything_is_done(call: Any, words: str) -> None:
    backend = FakeBackend(NODES)
    lab, _ = fake_running(backend)
    with pytest.raises(InputError, match=words):
        call(lab)
    assert backend.done == []


def test_a_result_is_written_read_again_and_explained(tmp_path: Path) -> None:
    lab, _ = fake_running(lossy(FakeBackend(NODES)))
    with lab.traffic("h1", "h2", **TRAFFIC) as traffic:
        traffic.expect("convergence-loss", packets=0)
        with lab.power_off("gw1"):
            lab.sleep("2s")
    result = traffic.result()
    result.write(tmp_path / "out")
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"journal.jsonl", "result.json", "report.html", "junit.xml", "summary.md"} <= names
    again = labctl.load_result(tmp_path / "out")
    assert (again.verdict, again.data) == (result.verdict, result.data)
    assert "power-off gw1" in again.explain()
    (tmp_path / "told.yml").write_text(result.data.about["scenario"]["text"])
    assert read_document(tmp_path / "told.yml").data["timeline"][0]["power-off"] == "gw1"
