"""The launcher as a process: what it answers, and what is told when it cannot."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from labctl.errors import NodeError
from labctl.runtime.embedded import launcher_client

if TYPE_CHECKING:
    from labctl.runtime.embedded.launcher import BootRequest

NOTHING: BootRequest = {"nodes": [], "veths": []}


def _program(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(launcher_client, "_PROGRAM", text)


def test_the_plan_goes_in_and_the_answer_comes_out(monkeypatch: pytest.MonkeyPatch) -> None:
    _program(monkeypatch, "import json, sys; print(json.dumps({'got': json.load(sys.stdin)}))")
    answer: Any = launcher_client.run_helper(NOTHING)
    assert answer == {"got": NOTHING}


def test_it_runs_without_the_users_environment_and_knows_its_parent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/nowhere")
    _program(
        monkeypatch,
        "import json, os, sys; print(json.dumps(["
        "sys.flags.isolated, sys.flags.no_site,"
        "int(sys.argv[2]) == os.getppid(), os.getsid(0) == os.getpid()]))",
    )
    answer: Any = launcher_client.run_helper(NOTHING)
    assert answer == [1, 1, True, True]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("import sys; sys.exit('one\\ntwo')", "nodes could not be started: two"),
        ("raise SystemExit(7)", "nodes could not be started: 7"),
        ("print('half of {')", "nodes could not be started: 0"),
    ],
)
def test_a_launcher_that_fails_is_told_by_its_last_words(
    monkeypatch: pytest.MonkeyPatch, text: str, told: str
) -> None:
    _program(monkeypatch, text)
    with pytest.raises(NodeError, match=f"^{told}$"):
        launcher_client.run_helper(NOTHING)


def test_a_launcher_is_killed_when_its_caller_is_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    _program(monkeypatch, "import time; time.sleep(600)")
    made: list[subprocess.Popen[bytes]] = []

    class Interrupted(subprocess.Popen[bytes]):
        def communicate(self, *_: Any, **__: Any) -> tuple[bytes, bytes]:
            made.append(self)
            raise KeyboardInterrupt

    monkeypatch.setattr(subprocess, "Popen", Interrupted)
    with pytest.raises(KeyboardInterrupt):
        launcher_client.run_helper(NOTHING)
    assert made[0].returncode == -9
