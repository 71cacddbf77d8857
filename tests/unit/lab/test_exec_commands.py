"""Commands under `exec`."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from labctl.clab.definition import Definition, NodeDefinition
from labctl.errors import ActionError, NodeError
from labctl.events import silent
from labctl.lab.exec_commands import run_exec_commands
from labctl.lab.runtime import ExecResult
from labctl.lab.state import LabDir
from labctl.testing.runtime import FakeRuntime

if TYPE_CHECKING:
    from pathlib import Path

OK = ExecResult(0, b"", b"")


def _lab(folder: Path, *nodes: NodeDefinition) -> tuple[FakeRuntime, LabDir]:
    lab, runtime = LabDir("x", folder), FakeRuntime()
    runtime.up(lab, Definition("x", folder / "x.clab.yml", nodes, ()), silent)
    return runtime, lab


def test_each_command_that_fails_is_told_and_the_next_one_runs(tmp_path: Path) -> None:
    nodes = (
        NodeDefinition("a", exec=("true", "sh -c 'exit 3'", "last")),
        NodeDefinition("b", exec=("slow",)),
        NodeDefinition("c", exec=("true",)),
    )
    runtime, lab = _lab(tmp_path, *nodes)
    runtime.answers = {
        ("true",): OK,
        ("last",): OK,
        ("sh", "-c", "exit 3"): ExecResult(3, b"out", b"one\ntwo\n"),
        ("slow",): ActionError("b: slow did not end within 60 s"),
    }
    with pytest.raises(NodeError) as caught:
        run_exec_commands(runtime, lab, nodes)
    assert str(caught.value).splitlines() == [
        "a: \"sh -c 'exit 3'\" of its `exec` ended with 3: one | two",
        "b: 'slow' of its `exec`: b: slow did not end within 60 s",
    ]
    assert ("last",) in [call.argv for call in runtime.calls]


def test_nodes_run_their_commands_side_by_side(tmp_path: Path) -> None:
    nodes = tuple(NodeDefinition(name, exec=("meet",)) for name in "abc")
    runtime, lab = _lab(tmp_path, *nodes)
    together = threading.Barrier(len(nodes), timeout=10)

    def meet(_: bytes | None) -> ExecResult:
        together.wait()
        return OK

    runtime.answers = {("meet",): meet}
    run_exec_commands(runtime, lab, nodes)
    assert not together.broken
