"""Whoever looks at a node, or is in it, never disturbs its power: neither the cut nor the return."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from typing import TYPE_CHECKING

import pytest

from labctl.errors import LabctlError
from labctl.fault.types import PowerMode
from labctl.lab.readiness import not_ready_reason
from labctl.lab.runtime import NodeStatus
from labctl.linux import processes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from labctl.fault.types import Effect
    from tests.contract.conftest import Subject

CUTS = 16
SLOWEST_CUT_S = 5.0  # far more than a cut takes on a busy machine, half of what a failed one took
SESSION_ENDS_S = 5.0
KILLED = 128 + signal.SIGKILL

# Its child opens a FIFO that nobody writes to, before it becomes /bin/true: so the child never
# becomes it, and the parent waits in vfork() where no signal stops it (state D).
VFORK_THAT_LASTS = """
import os
os.mkfifo("/run/never")
never = (os.POSIX_SPAWN_OPEN, 0, "/run/never", os.O_RDONLY, 0)
os.posix_spawn("/bin/true", ["true"], {}, file_actions=[never])
"""
VFORKS_WITHOUT_END = """
import os
while True:
    os.waitpid(os.posix_spawn("/bin/true", ["true"], {}), 0)
"""


@pytest.fixture
def real(subject: Subject) -> Subject:
    """A lab whose nodes have processes."""
    if subject.runtime.name == "fake":
        pytest.skip("the fake has no processes")
    return subject


@contextlib.contextmanager
def _looping(*looks: Callable[[], object]) -> Iterator[None]:
    """Every look again and again, in a thread each; that a node is off is an answer like any other."""
    stop = threading.Event()

    def loop(look: Callable[[], object]) -> None:
        while not stop.is_set():
            with contextlib.suppress(LabctlError):
                look()

    threads = [threading.Thread(target=loop, args=(look,)) for look in looks]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _looks(subject: Subject) -> list[Callable[[], object]]:
    """What `labctl status`, `labctl exec` and `labctl logs` do to a node."""
    runtime, lab = subject.runtime, subject.lab
    return [
        lambda: runtime.states(lab),
        lambda: not_ready_reason(runtime, lab, "a"),
        lambda: runtime.exec(lab, "a", ["sh", "-c", "ip -br address; sleep 0.02"]),
        lambda: runtime.exec(lab, "a", ["ping", "-c3", "-i0.01", "-W1", "10.77.0.1"]),
        lambda: runtime.logs(lab, "a"),
    ]


def _session(subject: Subject, *argv: str) -> subprocess.Popen[bytes]:
    """A command in node a, as `labctl exec` runs it, that has said that it runs."""
    line = subject.runtime.shell_argv(subject.lab, "a", ["sh", "-c", f"echo in; exec {' '.join(argv)}"])
    child = subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, start_new_session=True)
    assert child.stdout is not None
    assert child.stdout.readline() == b"in\n"
    return child


def _ended(child: subprocess.Popen[bytes]) -> int:
    """Its exit code as a shell tells it."""
    with child:
        code = child.wait(SESSION_ENDS_S)
    return 128 - code if code < 0 else code


def _within(call: Callable[[], Effect]) -> Effect:
    begin = time.monotonic()
    effect = call()
    assert time.monotonic() - begin < SLOWEST_CUT_S
    assert "unseen" not in effect.detail
    return effect


def test_cuts_of_a_node_that_is_watched_all_succeed_and_end_what_runs_in_it(real: Subject) -> None:
    with _looping(*_looks(real)):
        for _ in range(CUTS):
            sessions = [_session(real, "sleep", "98764"), _session(real, "ping", "-i0.01", "10.77.0.1")]
            space = processes.namespace_of(real.runtime.states(real.lab)["a"].init_pid, "pid")
            assert space is not None
            _within(lambda: real.power_off("a"))
            assert [_ended(session) for session in sessions] == [KILLED, KILLED]
            assert [pid for pid in processes.members("pid", {space}) if not processes.halted(pid)] == []
            _within(lambda: real.power_on("a"))


@pytest.mark.parametrize("program", [VFORK_THAT_LASTS, VFORKS_WITHOUT_END], ids=["lasts", "many"])
def test_a_vfork_does_not_delay_the_cut(real: Subject, program: str) -> None:
    for _ in range(4):
        detached = 'for loop in 1 2 3; do setsid python3 -c "$0" >/dev/null 2>&1 </dev/null & done'
        assert real.exec("a", "sh", "-c", detached, program).ok
        time.sleep(0.2)
        effect = _within(lambda: real.power_off("a"))
        assert int(effect.detail["freeze_ns"]) < 1e9
        _within(lambda: real.power_on("a"))


def test_a_session_in_a_frozen_node_stops_and_goes_on(real: Subject) -> None:
    session = _session(real, "sh", "-c", "'while :; do echo .; sleep 0.01; done'")
    assert session.stdout is not None
    os.set_blocking(session.stdout.fileno(), False)
    for _ in range(3):
        real.power_off("a", PowerMode.FREEZE)
        assert real.runtime.states(real.lab)["a"].status is NodeStatus.FROZEN
        session.stdout.read()
        time.sleep(0.2)
        assert not session.stdout.read()
        real.power_on("a")
        assert real.runtime.states(real.lab)["a"].status is NodeStatus.RUNNING
        time.sleep(0.2)
        assert session.stdout.read()
    real.power_off("a")
    assert _ended(session) == KILLED
