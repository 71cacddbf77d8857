"""Waiting for readiness, against the fake runtime."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from labctl.clab.definition import READY_PROGRAM, Definition, NodeDefinition
from labctl.errors import ActionError, NodeError
from labctl.events import silent
from labctl.lab.readiness import not_ready_reason, wait_ready
from labctl.lab.runtime import ExecResult
from labctl.lab.state import LabDir
from labctl.testing.runtime import FakeRuntime

if TYPE_CHECKING:
    from collections.abc import Callable

    from labctl.events import Event

NAMES = tuple(f"n{number}" for number in range(12))


@pytest.fixture
def lab(tmp_path: Path) -> LabDir:
    return LabDir("x", tmp_path)


def _running(lab: LabDir, labels: dict[str, str]) -> FakeRuntime:
    runtime = FakeRuntime()
    nodes = tuple(NodeDefinition(name, labels=labels) for name in NAMES)
    runtime.up(lab, Definition("x", Path("/x.clab.yml"), nodes, ()), silent)
    return runtime


def _after(asks: int) -> Callable[[bytes | None], ExecResult]:
    left = [asks]

    def answer(_: bytes | None) -> ExecResult:
        left[0] -= 1
        return ExecResult(int(left[0] >= 0), b"not yet\n", b"")

    return answer


@pytest.mark.slow
def test_every_node_is_told_of_once_whenever_it_becomes_ready(lab: LabDir) -> None:
    runtime = _running(lab, {"labctl-ready": "1"})
    for number, name in enumerate(NAMES):
        runtime.answers[name, READY_PROGRAM] = _after(number % 3)
    events: list[Event] = []
    wait_ready(runtime, lab, NAMES, 10.0, events.append)
    assert sorted(event.data["node"] for event in events) == sorted(NAMES)
    assert {event.kind for event in events} == {"node.ready"}


def test_those_that_are_late_are_all_named_with_what_they_lack(lab: LabDir) -> None:
    runtime = _running(lab, {"labctl-ready": "1"})
    for name in NAMES[:7]:
        runtime.answers[name, READY_PROGRAM] = ExecResult(1, b"2 of 3 sessions\nmore\n", b"")
    with pytest.raises(NodeError) as caught:
        wait_ready(runtime, lab, NAMES, 0.2, silent)
    assert str(caught.value).splitlines() == [
        f"{name} is not ready after 0.2 s: 2 of 3 sessions" for name in NAMES[:7]
    ]


@pytest.mark.slow
def test_a_node_that_has_stopped_is_told_at_once_with_its_log(lab: LabDir) -> None:
    runtime = _running(lab, {"labctl-ready": "1"})
    runtime.answers[READY_PROGRAM,] = ExecResult(1, b"", b"never\n")
    runtime.kill(lab, "n9")
    with pytest.raises(NodeError, match=r"^n9 has stopped: n9 boots$"):
        wait_ready(runtime, lab, NAMES, 30.0, silent)


def test_a_node_without_a_readiness_program_is_ready_when_it_runs(lab: LabDir) -> None:
    runtime = _running(lab, {})
    wait_ready(runtime, lab, NAMES, 1.0, silent)
    assert not [call for call in runtime.calls if call.method == "exec"]


def test_a_program_that_says_nothing_is_quoted_by_its_code(lab: LabDir) -> None:
    runtime = _running(lab, {"labctl-ready": "1"})
    runtime.answers[READY_PROGRAM,] = ExecResult(3, b"", b"")
    assert not_ready_reason(runtime, lab, "n1") == f"{READY_PROGRAM} ended with 3 without any output"


def test_a_bridge_of_the_machine_is_not_waited_for(lab: LabDir) -> None:
    runtime = FakeRuntime()
    nodes = (NodeDefinition("n0"), NodeDefinition("br0", kind="host"))
    runtime.up(lab, Definition("x", Path("/x.clab.yml"), nodes, ()), silent)
    runtime.failures["netns br0"] = ActionError("there is no container")
    events: list[Event] = []
    wait_ready(runtime, lab, ["n0", "br0"], 0.2, events.append)
    assert [event.data["node"] for event in events] == ["n0"]
