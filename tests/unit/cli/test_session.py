"""A command on labctl's own streams: its exit code and the signals that reach it."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys

import pytest

RUN = "import sys; from labctl.cli.session import run_session; sys.exit(run_session(sys.argv[1:]))"


def _start(*argv: str) -> subprocess.Popen[str]:
    line = [sys.executable, "-c", RUN, *argv]
    return subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize(("script", "code"), [("exit 0", 0), ("exit 7", 7), ("kill -9 $$", 137)])
def test_the_exit_code_is_that_of_the_command_or_128_and_its_signal(script: str, code: int) -> None:
    with _start("sh", "-c", script) as child:
        assert child.wait(20) == code


def test_the_streams_are_those_of_the_caller() -> None:
    with _start("cat") as child:
        assert child.communicate("as it is\n", 20)[0] == "as it is\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT])
def test_a_signal_that_somebody_sends_is_passed_on(number: signal.Signals) -> None:
    script = f"trap 'echo heard; exit 5' {number.name[3:]}; echo ready; while :; do sleep 0.01; done"
    with _start("sh", "-c", script) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        child.send_signal(number)
        assert child.communicate(timeout=20)[0] == "heard\n"
        assert child.returncode == 5


def test_the_command_does_not_outlive_labctl() -> None:
    with _start("sh", "-c", "echo ready; exec sleep 1000") as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        child.kill()
        assert child.stdout.read() == ""  # the command held the other end of this pipe


def test_what_the_terminal_sends_reaches_the_command_once() -> None:
    script = "trap 'echo heard' INT; echo ready; read line; echo $line; exit 6"
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(sys.executable, [sys.executable, "-c", RUN, "bash", "-c", script])  # noqa: S606
    assert b"ready" in os.read(terminal, 100)
    os.write(terminal, b"\x03")
    said = b""
    while b"heard" not in said:
        said += os.read(terminal, 100)
    os.write(terminal, b"on\n")
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 6
    assert (said + os.read(terminal, 1000)).count(b"heard") == 1
    os.close(terminal)
