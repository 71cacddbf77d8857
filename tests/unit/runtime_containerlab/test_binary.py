"""containerlab's silences, played by a script in its place."""

from __future__ import annotations

import os
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from labctl.errors import HostError
from labctl.runtime.containerlab.binary import OWNER_VARIABLE, Program, find_program, stop_running

if TYPE_CHECKING:
    from pathlib import Path


def script(folder: Path, body: str) -> Path:
    path = folder / "containerlab"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


def test_errors_are_read_from_the_log_although_the_exit_code_is_zero(tmp_path: Path) -> None:
    program = script(
        tmp_path,
        r"""printf '\033[31;1m19:03:36\033[0m INFO Creating lab\n' >&2
printf '19:03:37 \033[31mERRO\033[0m Failed to execute command command="ip route" node=r1 rc=2\n' >&2
printf '  stderr=\n  | RTNETLINK answers: File exists\n' >&2
printf '19:03:38 INFO done\n' >&2""",
    )
    outcome = Program(program).run(["deploy"], tmp_path, 10)
    assert outcome.code == 0
    assert outcome.errors == (
        'Failed to execute command command="ip route" node=r1 rc=2 stderr= | RTNETLINK answers: File exists',
    )
    assert outcome.exec_failures == outcome.errors
    assert "RTNETLINK" in outcome.summary()


def test_an_error_without_a_marked_line_still_says_something(tmp_path: Path) -> None:
    outcome = Program(script(tmp_path, "echo 'no such lab' >&2; exit 1")).run([], tmp_path, 10)
    assert (outcome.code, outcome.errors, outcome.summary()) == (1, (), "no such lab")
    silent = Program(script(tmp_path, "exit 1")).run([], tmp_path, 10)
    assert silent.summary() == "exit code 1 without any output"


def test_the_final_error_line_is_found(tmp_path: Path) -> None:
    outcome = Program(script(tmp_path, "echo 'Error: image x not found' >&2; exit 1")).run([], tmp_path, 10)
    assert outcome.errors == ("image x not found",)


def test_it_is_told_the_engine_the_owner_and_not_to_look_for_new_versions(tmp_path: Path) -> None:
    path = script(tmp_path, f'echo "$DOCKER_HOST $CLAB_VERSION_CHECK ${OWNER_VARIABLE} $*" >&2')
    outcome = Program(path, "unix:///e").run(["destroy", "--name", "x"], tmp_path, 10)
    assert outcome.log.strip() == f"unix:///e disable {tmp_path} destroy --name x"


@pytest.mark.slow
def test_one_that_hangs_is_killed_with_all_that_it_started(tmp_path: Path) -> None:
    path = script(tmp_path, f"sleep 60 & echo $! > {tmp_path}/child; wait")
    started = time.monotonic()
    outcome = Program(path).run([], tmp_path, 0.5)
    assert time.monotonic() - started < 10
    assert outcome.code < 0
    assert "killed after" in outcome.summary()
    assert _gone(int((tmp_path / "child").read_text()))


def test_one_that_a_killed_labctl_left_running_is_found_and_killed(tmp_path: Path) -> None:
    owner, other = tmp_path / "lab", tmp_path / "lab2"
    left = subprocess.Popen(["sleep", "60"], env=os.environ | {OWNER_VARIABLE: str(owner)})
    spared = subprocess.Popen(["sleep", "60"], env=os.environ | {OWNER_VARIABLE: str(other)})
    try:
        assert stop_running(owner, wait_s=0.2) == 1
        assert left.wait(5) == -9
        assert spared.poll() is None
        assert stop_running(owner) == 0
    finally:
        spared.kill()
        spared.wait()


def test_a_program_that_cannot_start_is_an_error_of_this_machine(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="does not run"):
        Program(tmp_path / "none").run([], tmp_path, 1)


def test_the_chosen_program_wins_over_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = script(tmp_path, "exit 0")
    monkeypatch.setenv("LABCTL_CONTAINERLAB", str(path))
    assert find_program() == path
    monkeypatch.setenv("LABCTL_CONTAINERLAB", str(tmp_path / "none"))
    assert find_program() is None


def _gone(pid: int) -> bool:
    for _ in range(200):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.01)
    return False
