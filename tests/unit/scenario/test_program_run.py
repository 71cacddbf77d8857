"""A run whose steps a program gives one at a time is judged as a run of a scenario is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from labctl.errors import ActionError, InputError
from labctl.events import silent
from labctl.scenario.load import scenario_of_words
from labctl.scenario.program_run import ProgramRun
from labctl.testing.backend import FakeBackend
from labctl.testing.series import fake_loaded
from labctl.verdict import Result, Verdict, judge

if TYPE_CHECKING:
    from labctl.scenario.kinds.action import Action

NODES = ("h1", "h2", "gw1", "gw2")
STREAMS = [
    {"name": "there", "from": "h1", "to": "h2", "rate": 1000, "flows": 8},
    {"name": "back", "from": "h2", "to": "h1", "rate": 1000, "flows": 8},
]
STEADY = {"loss": "all", "packets": 0, "for": "1s", "within": "5s"}


def trial(backend: FakeBackend, *expect: dict[str, Any]) -> ProgramRun:
    words = {"name": "trial", "traffic": STREAMS, "expect": list(expect)}
    return ProgramRun(backend, fake_loaded(NODES), words, {"runtime": "fake"}, silent)


def action(**words: Any) -> Action[Any]:
    said = {key.replace("_", "-"): one for key, one in words.items()}
    loaded = fake_loaded(NODES)
    (step,) = scenario_of_words({"timeline": [{"at": 0, **said}]}, loaded.lab, "test").timeline
    return step.action


def power_cycle(one: ProgramRun, backend: FakeBackend) -> None:
    fault = action(power_off="gw1")
    for what in (fault, fault.undone()):
        planned = one.before(what, {what.name: "gw1"})
        one.after(planned, backend.act(what, silent))
        backend.sleep_until(backend.now + 2_000_000_000)


def judged(backend: FakeBackend, *expect: dict[str, Any], cut: bool = True) -> Result:
    one = trial(backend, *expect)
    one.start()
    assert one.steady(STEADY).met
    if cut:
        power_cycle(one, backend)
    one.stop()
    return judge(one.journal())


def lossy(backend: FakeBackend) -> None:
    """Flow 3 of one stream has no way for 40 ms from the cut on."""

    def lost(stream: Any, flow: int, moment: int) -> bool:
        began = next((when for what, when in backend.done if what.startswith("power-off")), None)
        return began is not None and flow == 3 and stream.name == "there" and 0 < moment - began < 40_000_000

    backend.lost = lost


def test_a_cut_without_loss_passes() -> None:
    result = judged(FakeBackend(NODES), {"convergence-loss": "all", "packets": 0})
    assert result.verdict is Verdict.PASS, result.reasons
    (run,) = result.runs
    cut, back = run.faults
    assert (cut.action, cut.label, cut.crossed, cut.null) == ("power-off", "gw1", 16, False)
    assert (back.action, back.breaks) == ("power-on", False)


def test_a_cut_with_loss_fails_with_its_figures() -> None:
    backend = FakeBackend(NODES)
    lossy(backend)
    result = judged(backend, {"convergence-loss": "all", "packets": 0})
    assert result.verdict is Verdict.FAIL
    assert result.runs[0].faults[0].convergence_loss == 5
    assert result.outages.hit == 1


def test_nothing_expected_proves_nothing() -> None:
    result = judged(FakeBackend(NODES))
    assert result.verdict is Verdict.INCONCLUSIVE
    assert "expects nothing" in result.reasons[0]


def test_a_null_trial_is_no_pass() -> None:
    backend = FakeBackend(NODES, crossing={"gw1": {}})
    result = judged(backend, {"convergence-loss": "all", "packets": 0})
    assert result.verdict is Verdict.INCONCLUSIVE
    assert result.runs[0].faults[0].null


def test_an_action_that_fails_makes_an_error() -> None:
    backend = FakeBackend(NODES, failing=frozenset({"power-off"}))
    one = trial(backend, {"loss": "all", "packets": 0})
    one.start()
    fault = action(power_off="gw1")
    planned = one.before(fault, {"power-off": "gw1"})
    with pytest.raises(ActionError) as raised:
        backend.act(fault, silent)
    one.failed(planned, raised.value)
    one.stop()
    result = judge(one.journal())
    assert result.verdict is Verdict.ERROR
    assert "power-off gw1 failed" in result.reasons[0]


def test_an_interrupted_one_says_so() -> None:
    one = trial(FakeBackend(NODES), {"loss": "all", "packets": 0})
    one.start()
    one.stop(interrupted=True)
    assert judge(one.journal()).verdict is Verdict.INTERRUPTED


def test_without_a_steady_state_the_timeline_begins_with_the_traffic() -> None:
    backend = FakeBackend(NODES)
    backend.lost = lambda _stream, flow, _moment: flow == 0
    one = trial(backend, {"loss": "all", "packets": 0})
    one.start()
    backend.sleep_until(backend.now + 1_000_000_000)
    one.stop()
    result = judge(one.journal())
    assert result.verdict is Verdict.FAIL
    assert all(stream.before == 0 for stream in result.runs[0].streams)


def test_the_journal_holds_what_was_done_as_a_scenario() -> None:
    result = judged(FakeBackend(NODES), {"loss": "all", "packets": 0})
    text = result.about["scenario"]["text"]
    assert "power-off: gw1" in text
    assert "power-on: gw1" in text


def test_a_wrong_word_is_refused_with_the_nearest_right_one() -> None:
    with pytest.raises(InputError, match=r"test: power-off: unknown node 'gw11'.*gw1"):
        action(power_off="gw11")
    with pytest.raises(InputError, match="loss"):
        trial(FakeBackend(NODES), {"los": "all"})
