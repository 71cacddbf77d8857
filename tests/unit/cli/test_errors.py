"""The shield: every way a command can end, as its exit code and what stands on stderr."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, NoReturn

import pytest
import typer

from labctl.cli.console import say
from labctl.cli.errors import guard, run
from labctl.errors import HostError, InputError, LabInterrupted, Problem

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def _raiser(error: BaseException) -> Callable[[], object]:
    def call() -> NoReturn:
        raise error

    return call


def test_a_command_that_returns_nothing_succeeds() -> None:
    assert guard(lambda: None) == 0


@pytest.mark.parametrize("code", [0, 1, 2, 3])
def test_what_a_command_returns_is_the_exit_code(code: int) -> None:
    assert guard(lambda: code) == code


def test_an_input_error_prints_each_problem_with_its_place_first(capsys: pytest.CaptureFixture[str]) -> None:
    problems = [
        Problem("a.yml", 3, 5, "no such key", "did you mean 'role'?"),
        Problem("a.yml", 1, 1, "no name"),
    ]
    assert guard(_raiser(InputError(problems))) == 2
    assert capsys.readouterr().err.splitlines() == [
        "a.yml:1:1: no name",
        "a.yml:3:5: no such key (did you mean 'role'?)",
    ]


def test_any_other_error_of_ours_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert guard(_raiser(HostError("no ip program"))) == 2
    assert capsys.readouterr().err == "labctl: no ip program\n"


@pytest.mark.parametrize("error", [KeyboardInterrupt(), LabInterrupted("interrupted"), typer.Abort()])
def test_an_interruption_is_130(error: BaseException, capsys: pytest.CaptureFixture[str]) -> None:
    assert guard(_raiser(error)) == 130
    assert capsys.readouterr().err == "labctl: interrupted\n"


def test_what_nobody_foresaw_names_a_crash_file_and_shows_no_traceback(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.delenv("LABCTL_DEBUG", raising=False)
    assert guard(_raiser(KeyError("gw1"))) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("labctl: internal error: KeyError: 'gw1' (")
    (crash,) = tmp_path.iterdir()
    assert str(crash) in line
    assert "Traceback" in crash.read_text()


def test_debug_lets_the_traceback_through(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABCTL_DEBUG", "1")
    with pytest.raises(KeyError):
        guard(_raiser(KeyError("gw1")))


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["stauts"], "did you mean 'status'"),
        (["ls", "--jsno"], "--json"),
        (["power", "of"], "off"),
        (["up", "x.yml", "--runtime", "docker"], "auto, netns, containerlab"),
        (["up"], "TOPOLOGY"),
        (["power", "off", "lab", "node", "--mode", "kill"], "graceful"),
    ],
)
def test_a_usage_error_is_one_line_that_names_the_nearest(
    words: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert expected in line
    assert "--help" in line


def test_a_broken_pipe_of_stdout_is_quiet() -> None:
    code = "import sys; from labctl.cli.errors import guard; sys.exit(guard(lambda: print('x\\n' * 100_000)))"
    command = f'{sys.executable} -c "$0" | head -1; exit ${{PIPESTATUS[0]}}'
    done = subprocess.run(["bash", "-c", command, code], capture_output=True, text=True, check=False)
    assert done.stdout == "x\n"
    assert done.stderr == ""
    assert done.returncode == 141


def test_a_broken_pipe_of_something_else_is_not_hidden(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    assert guard(_raiser(BrokenPipeError(32, "Broken pipe"))) == 2
    assert "BrokenPipeError" in capsys.readouterr().err


SLOW = """
import signal, sys, time
from labctl.cli import errors, main
def work() -> None:
    try:
        print("ready", flush=True)
        time.sleep(30)
    finally:
        print("healing", flush=True)
        end = time.monotonic() + 0.5
        while time.monotonic() < end:
            time.sleep(0.05)
        print("healed", flush=True)
errors.run = lambda: errors.guard(work)
sys.exit(main())
"""


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_interrupt_and_a_second_one_does_not_stop_the_healing(number: signal.Signals) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", SLOW], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert child.stdout
    assert child.stdout.readline() == "ready\n"
    child.send_signal(number)
    assert child.stdout.readline() == "healing\n"
    child.send_signal(number)
    out, err = child.communicate(timeout=10)
    assert out == "healed\n"
    assert child.returncode == 130
    assert "another signal aborts" in err
    assert "Traceback" not in err


@pytest.mark.slow
def test_the_third_signal_gives_up() -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", SLOW], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert child.stdout
    assert child.stdout.readline() == "ready\n"
    child.send_signal(signal.SIGTERM)
    assert child.stdout.readline() == "healing\n"
    for _ in range(2):
        time.sleep(0.1)
        child.send_signal(signal.SIGTERM)
    out, _ = child.communicate(timeout=10)
    assert out == ""
    assert child.returncode == 130


def test_a_user_without_root_is_told_so_before_anything_is_done(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert run(["up", "does-not-exist.yml"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "needs root" in line
    assert "sudo" in line


def test_a_terminal_that_was_closed_does_not_stop_what_is_being_undone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Gone:
        def write(self, _: str) -> int:
            raise OSError(5, "Input/output error")

    monkeypatch.setattr(sys, "stderr", Gone())
    say("stopping a lab")
