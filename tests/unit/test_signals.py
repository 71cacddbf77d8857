"""Signals at named moments of a command: what the process ends with, and what it does before."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import termios
import time
from typing import TYPE_CHECKING

import pytest

from labctl import signals
from labctl.errors import LabInterrupted, NodeError
from labctl.events import Event, silent
from labctl.lab import lifecycle
from labctl.lab.loaded import load_lab_file
from labctl.lab.state import LabDir
from labctl.testing.runtime import FakeRuntime

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ALL = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])

# A command of which the test gives the body; `send` sends this process the signal once more.
COMMAND = """
import atexit, os, signal, sys, time
import labctl.cli
number = int(sys.argv[1])
def send(): os.kill(os.getpid(), number)
{before}
def work():
    from labctl import signals
    {work}
    return 0
def run():
    from labctl.cli import errors
    return errors.guard(work)
import labctl.cli.errors
labctl.cli.errors.run = run
sys.exit(labctl.cli.main())
"""


def _program(number: int, work: str, before: str = "") -> subprocess.CompletedProcess[str]:
    code = COMMAND.format(work=work.replace("\n", "\n    "), before=before)
    line = [sys.executable, "-c", code, str(int(number))]
    return subprocess.run(line, capture_output=True, text=True, check=False, timeout=20)


def _module(folder: Path, number: int, work: str, before: str = "") -> subprocess.CompletedProcess[str]:
    """As `python -m`, which ends otherwise than a script does."""
    (folder / "program.py").write_text(COMMAND.format(work=work.replace("\n", "\n    "), before=before))
    line = [sys.executable, "-m", "program", str(int(number))]
    path = os.pathsep.join([str(folder), *sys.path])
    environment = {**os.environ, "PYTHONPATH": path}
    return subprocess.run(line, capture_output=True, text=True, check=False, timeout=20, env=environment)


@ALL
def test_a_signal_in_code_made_from_a_string_ends_with_130(tmp_path: Path, number: int) -> None:
    # Every dataclass is such code. Of a plain KeyboardInterrupt Python would remember that it left it,
    # and end `python -m labctl` by SIGINT after labctl had dealt with it.
    done = _module(tmp_path, number, "exec('send(); time.sleep(9)', globals())")
    assert (done.returncode, done.stderr) == (130, "labctl: interrupted\n")


@ALL
def test_a_signal_while_the_error_boundary_is_imported_ends_with_130(number: int) -> None:
    code = f"""
import os, sys
class Send:
    def find_spec(self, name, path, target=None):
        if name == "labctl.cli.errors" and self in sys.meta_path:
            sys.meta_path.remove(self)
            os.kill(os.getpid(), {int(number)})
sys.meta_path.insert(0, Send())
sys.argv = ["labctl", "ls"]
from labctl.cli import main
sys.exit(main())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (130, "labctl: interrupted\n")


def test_nothing_of_labctl_but_three_small_files_is_imported_before_signals_are_handled() -> None:
    code = """
import signal, sys
names = {}
class Note:
    def find_spec(self, name, path, target=None):
        if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
            names[name] = 1  # once: coverage asks a second time for packages that it measures
sys.meta_path.insert(0, Note())
sys.argv = ["labctl", "--version"]
from labctl.cli import main
main()
print(*names)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1].split() == ["labctl", "labctl.cli", "labctl.signals"]


@ALL
def test_a_signal_after_the_work_is_ignored_while_python_ends(number: int) -> None:
    done = _program(number, "pass", before="atexit.register(send); atexit.register(send)")
    assert (done.returncode, done.stderr) == (0, "")


def test_a_signal_after_an_interruption_is_ignored_while_python_ends() -> None:
    done = _program(signal.SIGTERM, "send(); time.sleep(9)", before="[atexit.register(send) for _ in 'abc']")
    assert (done.returncode, done.stderr) == (130, "labctl: interrupted\n")


@ALL
def test_a_signal_between_the_command_and_the_end_is_no_traceback(number: int) -> None:
    # Raised by the last line that runs before the exit code is handed over.
    before = """
from labctl import signals
ignore = signals.Handler.ignore
def late(self):
    signals.Handler.ignore = ignore
    send()
    ignore(self)
signals.Handler.ignore = late
"""
    done = _program(number, "pass", before=before)
    assert (done.returncode, done.stderr) == (0, "")


def test_an_import_is_finished_before_the_interruption(tmp_path: Path) -> None:
    (tmp_path / "half.py").write_text(
        "import os, signal, time\n"
        "os.kill(os.getpid(), signal.SIGTERM)\n"
        "time.sleep(0.05)\n"
        "print('whole', flush=True)\n"
    )
    work = f"sys.path.insert(0, {str(tmp_path)!r})\nimport half\ntime.sleep(9)\nprint('not interrupted')"
    done = _program(signal.SIGTERM, work)
    assert (done.returncode, done.stdout, done.stderr) == (130, "whole\n", "labctl: interrupted\n")


def test_an_interruption_that_hits_a_finaliser_is_not_lost() -> None:
    before = "class Dies:\n    def __del__(self):\n        send()\n        time.sleep(0)"
    done = _program(signal.SIGTERM, "Dies()\ntime.sleep(9)\nprint('not interrupted')", before=before)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "labctl: interrupted\n")


def test_a_signal_waits_where_it_is_held_and_raises_at_the_end_of_the_outermost_block() -> None:
    work = """with signals.held():
    with signals.held():
        send()
        print("inner")
    print("outer")
print("not interrupted")"""
    done = _program(signal.SIGTERM, work)
    assert (done.returncode, done.stdout) == (130, "inner\nouter\n")


def test_a_signal_raises_where_it_is_released_within_blocks_that_hold() -> None:
    work = """with signals.held():
    try:
        with signals.released():
            send()
            print("not interrupted")
    except KeyboardInterrupt:
        print("undone")
        raise"""
    done = _program(signal.SIGTERM, work)
    assert (done.returncode, done.stdout) == (130, "undone\n")


@pytest.mark.slow
def test_once_the_work_is_done_a_signal_is_too_late_and_the_third_gives_up() -> None:
    done = _program(signal.SIGTERM, "signals.done()\nsend()\nsend()\nprint('shown')")
    assert (done.returncode, done.stdout, done.stderr) == (0, "shown\n", "")
    done = _program(signal.SIGTERM, "signals.done()\nsend()\nsend()\nsend()\nprint('not interrupted')")
    assert (done.returncode, done.stdout) == (130, "")


def test_an_error_that_follows_from_an_interruption_ends_with_130() -> None:
    # As Python 3.11 makes a RuntimeError of whatever is raised in __set_name__.
    work = "try:\n    send()\nexcept KeyboardInterrupt:\n    raise labctl.errors.NodeError('half') from None"
    done = _program(signal.SIGTERM, work, before="import labctl.errors")
    assert (done.returncode, done.stderr) == (130, "labctl: half\n")


def test_a_signal_that_is_ignored_stays_ignored() -> None:
    done = _program(signal.SIGHUP, "send()\nprint('goes on')", before="signal.signal(number, signal.SIG_IGN)")
    assert (done.returncode, done.stdout) == (0, "goes on\n")


def test_handlers_of_the_program_around_are_left_alone() -> None:
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    mine = signal.getsignal(signal.SIGTERM)
    try:
        with signals.handled():
            assert signal.getsignal(signal.SIGTERM) is mine
            assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGTERM, before)


@pytest.mark.slow
@ALL
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_a_signal_while_up_reads_its_file_ends_it_at_once(number: int) -> None:
    """The file is a pipe that stays open: reading all of it would take for ever."""
    reader, writer = os.pipe()
    os.write(writer, b"name: endless\n")
    line = [sys.executable, "-m", "labctl", "up", f"/dev/fd/{reader}", "--runtime", "netns"]
    with subprocess.Popen(line, pass_fds=[reader], stderr=subprocess.DEVNULL) as child:
        try:
            end = time.monotonic() + 30.0
            while _unread(reader) and time.monotonic() < end:
                time.sleep(0.02)
            child.send_signal(number)
            assert child.wait(30.0) == 130
        finally:
            child.kill()
            os.close(reader)
            os.close(writer)


def _unread(pipe: int) -> int:
    """How many bytes wait in a pipe."""
    return int.from_bytes(fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)), sys.byteorder)


@pytest.fixture
def up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., LabDir]:
    """Brings a lab of the fake runtime up, as a program does that handles no signals itself."""
    fake = FakeRuntime()
    monkeypatch.setattr(FakeRuntime, "name", "netns")
    monkeypatch.setattr(lifecycle, "_runtime", lambda _: fake)
    path = tmp_path / "a.clab.yml"
    path.write_text("name: a\ntopology: {nodes: {a: {cmd: sleep 1}}}\n")

    def call(listen: Callable[[Event], None] = silent) -> LabDir:
        loaded = load_lab_file(path)
        return lifecycle.bring_up(
            loaded, runtime="netns", timeout_s=1.0, listen=listen, root=tmp_path / "state"
        )

    return call


def _send_at(kind: str, number: int) -> Callable[[Event], None]:
    def listen(event: Event) -> None:
        if event.kind == kind:
            os.kill(os.getpid(), number)

    return listen


@ALL
@pytest.mark.parametrize("kind", ["lab.starting", "lab.up"])
def test_a_signal_on_the_way_up_leaves_nothing(
    up: Callable[..., LabDir], tmp_path: Path, kind: str, number: int
) -> None:
    with pytest.raises(LabInterrupted):
        up(_send_at(kind, number))
    assert not (tmp_path / "state").exists()
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


@ALL
def test_a_first_signal_does_not_cut_the_undoing_of_a_failure_short(
    up: Callable[..., LabDir], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def fail(*_: object) -> None:
        raise NodeError("a did not start")

    monkeypatch.setattr(FakeRuntime, "up", fail)
    with pytest.raises(signals.Interrupted):
        up(_send_at("lab.stopping", number))
    assert not (tmp_path / "state").exists()


@ALL
def test_a_signal_while_the_name_is_claimed_leaves_nothing(
    up: Callable[..., LabDir], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    opened = LabDir._open_lock

    def send(self: LabDir, *, make: bool) -> int:
        handle = opened(self, make=make)
        os.kill(os.getpid(), number)
        return handle

    monkeypatch.setattr(LabDir, "_open_lock", send)
    with pytest.raises(LabInterrupted):
        up()
    assert not (tmp_path / "state").exists()


def test_no_timer_outlives_the_command(tmp_path: Path) -> None:
    # A signal within an import is tried again by SIGALRM, which would end a process that has let go of
    # its handlers. Here the block's end is sooner.
    (tmp_path / "half.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGTERM)\n")
    before = """
import labctl.signals
labctl.signals._RETRY_S = 5
atexit.register(lambda: print(signal.getitimer(signal.ITIMER_REAL)))
"""
    work = f"sys.path.insert(0, {str(tmp_path)!r})\nwith signals.released():\n    import half"
    done = _program(signal.SIGTERM, work, before=before)
    assert (done.returncode, done.stdout, done.stderr) == (130, "(0.0, 0.0)\n", "labctl: interrupted\n")


@ALL
def test_a_signal_while_the_words_are_read_is_told(number: int) -> None:
    code = f"""
import os, sys
from labctl.cli import app, main
read = app.LazyGroup.make_context
def slow(self, *args, **options):
    os.kill(os.getpid(), {int(number)})
    return read(self, *args, **options)
app.LazyGroup.make_context = slow
sys.argv = ["labctl", "ls"]
sys.exit(main())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (130, "labctl: interrupted\n")
