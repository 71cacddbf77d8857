"""Steps that only look: what does not hold makes the run a FAIL, and the timeline goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from acts import act
from make_believe import Bench

from labctl.errors import InputError
from labctl.lab.runtime import ExecResult
from labctl.scenario.kinds.registry import ACTIONS
from labctl.scenario.load import load_scenario
from labctl.scenario.model import Step
from labctl.verdict.schema import Verdict

if TYPE_CHECKING:
    from pathlib import Path

    from labctl.scenario.kinds.action import Action

SECOND = 1_000_000_000


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def check(**wanted: Any) -> Action[Any]:
    kind = ACTIONS["check"]
    (action,) = kind.read(kind.entry.model_validate({"check": {"within": "1s", **wanted}}))
    return action


def bench_with(bench: Bench, code: int) -> Bench:
    """Power off and on, and a command that is looked at in between."""
    bench.backend.programs = lambda _node, _argv: ExecResult(code, b"", b"it is not so")
    bench.timeline = (
        Step(0, act("power-off", ("gw1",), "cut"), at_ns=2 * SECOND),
        Step(1, check(command={"node": "gw2", "run": "test -e /x"}), at_ns=4 * SECOND),
        Step(2, act("power-on", ("gw1",)), at_ns=6 * SECOND),
    )
    return bench


def test_what_holds_changes_no_verdict(bench: Bench) -> None:
    result = bench_with(bench, 0).judge()
    assert result.verdict is Verdict.PASS
    assert [done for done, _ in bench.backend.done if "power" in done] == ["power-off gw1", "power-on gw1"]


def test_what_does_not_hold_is_a_fail_with_its_reason_and_the_timeline_goes_on(bench: Bench) -> None:
    result = bench_with(bench, 1).judge()
    assert result.verdict is Verdict.FAIL
    wanted, why = "command: gw2: test -e /x within 1 s", "gw2: exit code 1, expected 0: it is not so"
    said = f"check of step 2 missed: {wanted}: {why}"
    assert any(said in reason for reason in result.reasons), result.reasons
    assert [done for done, _ in bench.backend.done if "power" in done] == ["power-off gw1", "power-on gw1"]


def test_a_check_is_no_fail_over(bench: Bench) -> None:
    (run,) = bench_with(bench, 0).judge().runs
    assert [fault.action for fault in run.faults if fault.breaks] == ["power-off"]


TOPOLOGY = "name: t\nnodes: {a: {role: host}, r: {role: router}, b: {role: host}}\nlinks: [[a, r], [r, b]]\n"


@pytest.mark.parametrize(
    ("entry", "wanted"),
    [
        ("{at: 1s, check: {route: {node: q, to: default}, within: 1s}}", "unknown node 'q'"),
        ("{at: 1s, check: {loss: x, packets: 0, for: 1s}}", "loss is no condition of a check"),
        ("{at: 1s, check: {rout: {node: r, to: default}, within: 1s}}", "did you mean 'route'?"),
        ("{at: 1s, check: {route: {node: r, to: default}, within: 1s}, for: 2s}", "nothing takes check back"),
    ],
)
def test_a_check_that_cannot_be_is_told(tmp_path: Path, entry: str, wanted: str) -> None:
    (tmp_path / "t.yml").write_text(TOPOLOGY)
    (tmp_path / "s.yml").write_text(
        f"name: s\ntopology: t.yml\ntraffic: [{{name: x, from: a, to: b}}]\ntimeline:\n  - {entry}\n"
    )
    with pytest.raises(InputError) as caught:
        load_scenario(tmp_path / "s.yml")
    assert any(wanted in str(one) and ":5:" in str(one) for one in caught.value.problems), str(caught.value)
