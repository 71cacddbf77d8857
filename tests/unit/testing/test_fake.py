"""The fake runtime: it records, answers and fails as a test says."""

from __future__ import annotations

from pathlib import Path

import pytest

from labctl.clab.definition import Definition, NodeDefinition
from labctl.errors import ActionError, NodeError
from labctl.events import silent
from labctl.lab.runtime import ExecResult, NodeStatus, Runtime
from labctl.lab.state import LabDir
from labctl.model.lab import Endpoint, LinkPlan
from labctl.testing.runtime import Call, FakeRuntime

DEFINITION = Definition(
    "x",
    Path("/x.clab.yml"),
    (NodeDefinition("a"), NodeDefinition("b")),
    (LinkPlan(0, Endpoint("a", "eth1"), Endpoint("b", "eth1")),),
)


@pytest.fixture
def lab(tmp_path: Path) -> LabDir:
    return LabDir("x", tmp_path)


def test_it_is_a_runtime() -> None:
    runtime: Runtime = FakeRuntime()
    assert runtime.name == "fake"


def test_calls_are_recorded(lab: LabDir) -> None:
    runtime = FakeRuntime()
    runtime.up(lab, DEFINITION, silent)
    runtime.kill(lab, "a")
    assert runtime.calls == [Call("up", "x"), Call("kill", "x", "a")]


def test_a_failure_comes_once_where_it_was_scripted(lab: LabDir) -> None:
    runtime = FakeRuntime(failures={"boot a": NodeError("no fuel")})
    runtime.up(lab, DEFINITION, silent)
    runtime.kill(lab, "a")
    with pytest.raises(NodeError, match="no fuel"):
        runtime.boot(lab, "a")
    runtime.boot(lab, "a")
    assert runtime.states(lab)["a"].status is NodeStatus.RUNNING


def test_an_up_that_fails_leaves_the_rest_missing(lab: LabDir) -> None:
    runtime = FakeRuntime(failures={"up b": NodeError("b: no fuel")})
    with pytest.raises(NodeError):
        runtime.up(lab, DEFINITION, silent)
    assert [state.status for state in runtime.states(lab).values()] == [
        NodeStatus.RUNNING,
        NodeStatus.MISSING,
    ]


def test_commands_answer_by_node_first(lab: LabDir) -> None:
    runtime = FakeRuntime(
        answers={
            ("x",): ExecResult(1, b"", b""),
            ("b", "x"): ExecResult(2, b"", b""),
            ("y",): ActionError("late"),
        }
    )
    runtime.up(lab, DEFINITION, silent)
    assert runtime.exec(lab, "a", ["x"]).code == 1
    assert runtime.exec(lab, "b", ["x"]).code == 2
    with pytest.raises(ActionError, match="late"):
        runtime.exec(lab, "a", ["y"])


def test_carrier_needs_both_nodes_and_the_link(lab: LabDir) -> None:
    runtime = FakeRuntime()
    runtime.up(lab, DEFINITION, silent)
    assert runtime.carrier(lab, "a", "eth1")
    runtime.kill(lab, "b")
    assert not runtime.carrier(lab, "a", "eth1")
    runtime.boot(lab, "b")
    runtime.set_cut(lab, 0, cut=True)
    assert not runtime.carrier(lab, "b", "eth1")
