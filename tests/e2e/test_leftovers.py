"""What stays behind when labctl is killed at any moment: nothing that `labctl down --all` leaves."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from machine import Machine, machine
from triangle import write_triangle

from labctl import fault
from labctl.errors import LabBusyError, LabError, LabExistsError, LabInterrupted, NodeError
from labctl.events import silent
from labctl.lab import cleanup, lifecycle
from labctl.lab.loaded import load_lab_file
from labctl.lab.runtime import NodeStatus
from labctl.lab.state import LabDir

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from labctl.events import Event

pytestmark = [
    pytest.mark.netns,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
]

READY_S = 30.0
KILLS = 24

BRING_UP = """
import sys
from pathlib import Path
from labctl.events import silent
from labctl.lab.lifecycle import bring_up
from labctl.lab.loaded import load_lab_file
bring_up(load_lab_file(Path(sys.argv[1])), runtime="netns", timeout_s=30, listen=silent,
         root=Path(sys.argv[2]))
"""

CYCLE = """
import sys
from pathlib import Path
from labctl import fault
from labctl.events import silent
from labctl.lab.lifecycle import open_lab
runtime, lab = open_lab(sys.argv[1], Path(sys.argv[2]))
print("begin", flush=True)
while True:
    fault.power_off(runtime, lab, "a", fault.PowerMode.CUT, silent)
    fault.power_on(runtime, lab, "a", silent)
    fault.cut_link(runtime, lab, "b", "c", silent)
    fault.restore_link(runtime, lab, "b", "c", silent)
"""


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    """A state root of the test's own; whatever is in it is taken away."""
    where = Path("/run") / f"labctl-{tmp_path.name}"
    yield where
    for entry in where.iterdir() if where.exists() else ():
        lifecycle.take_down(LabDir(entry.name, where), silent)


@pytest.mark.slow
def test_kill_9_of_up_at_any_moment_leaves_nothing_after_down_all(tmp_path: Path) -> None:
    path = write_triangle(tmp_path / "def", "killed")
    chance = random.Random(9)
    with machine(tmp_path) as host:
        before = host.census()
        span = _time_of_up(host, path)
        assert host.settled(before) == before
        half_made = 0
        for _ in range(KILLS):
            child = host.start("up", str(path), "--runtime", "netns")
            time.sleep(chance.uniform(0.0, 1.2 * span))
            host.kill(child)
            child.wait()
            half_made += host.census()["labs"] != []
            groups = host.run("sh", "-c", "cat /run/labctl/*/cgroup").stdout.split()[1:]
            done = host.labctl("down", "--all")
            assert done.returncode == 0, done.stderr
            assert not [group for group in groups if Path(group).exists()]
            assert host.settled(before) == before
        assert half_made > KILLS // 4, "the kills came too early to be a test of anything"


def _time_of_up(host: Machine, path: Path) -> float:
    begin = time.monotonic()
    done = host.labctl("up", str(path), "--runtime", "netns")
    assert done.returncode == 0, done.stderr
    span = time.monotonic() - begin
    assert host.labctl("down", "--all").returncode == 0
    return span


@pytest.mark.slow
def test_kill_9_in_the_middle_of_faults_is_healed_and_taken_down(tmp_path: Path, root: Path) -> None:
    """Whatever half-made fault a killed labctl leaves, undo_all makes whole; and down leaves nothing."""
    path = write_triangle(tmp_path / "def", "faulty")
    lab = lifecycle.bring_up(
        load_lab_file(path), runtime="netns", timeout_s=READY_S, listen=silent, root=root
    )
    runtime, _ = lifecycle.open_lab("faulty", root)
    chance = random.Random(7)
    for _ in range(12):
        child = subprocess.Popen([sys.executable, "-c", CYCLE, lab.name, str(root)], stdout=subprocess.PIPE)
        with child:
            assert child.stdout is not None
            assert child.stdout.readline() == b"begin\n"
            time.sleep(chance.uniform(0.0, 0.4))
            child.kill()
        fault.undo_all(runtime, lab, silent)
        assert fault.faults(lab) == ()
        lifecycle.wait_ready(runtime, lab, ["a", "b", "c"], READY_S, silent)
        assert {state.status for state in runtime.states(lab).values()} == {NodeStatus.RUNNING}
        for address in ("10.77.0.1", "10.77.0.4", "fd77:0::2", "fd77:2::1"):
            assert runtime.exec(lab, "a", ["ping", "-c1", "-W2", address]).ok
        assert runtime.exec(lab, "b", ["ping", "-c1", "-W2", "10.77.0.3"]).ok
    lifecycle.take_down(lab, silent)
    _assert_gone(root)


def test_a_helper_whose_labctl_was_killed_before_it_was_up_boots_nothing(tmp_path: Path) -> None:
    pidfile = tmp_path / "pid"
    plan = {"nodes": [{"name": "a", "netns": str(tmp_path / "netns"), "pidfile": str(pidfile)}], "veths": []}
    somebody_else = str(os.getppid())
    line = [sys.executable, "-c", "from labctl.runtime.embedded.launcher import main; main()", somebody_else]
    done = subprocess.run(line, input=json.dumps(plan), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert not pidfile.exists()


def test_a_killed_up_is_not_taken_for_a_running_lab(tmp_path: Path, root: Path) -> None:
    path = write_triangle(tmp_path / "def", "half", boot="#!/bin/sh\nexec sleep infinity\n")
    child = subprocess.Popen([sys.executable, "-c", BRING_UP, str(path), str(root)])
    _until((root / "half" / "state.json").exists)
    with pytest.raises(LabExistsError, match="being changed by another"):
        _up(path, root)
    child.kill()
    child.wait()
    # A program that it was about to start holds a copy of the lock until it has become that program.
    _until(lambda: _is_free(LabDir("half", root)))
    with pytest.raises(LabExistsError, match="labctl down half"):
        _up(path, root)
    lifecycle.take_down(LabDir("half", root), silent)
    _assert_gone(root)


def test_a_node_that_is_not_ready_takes_the_whole_lab_down_and_says_what_it_lacks(
    tmp_path: Path, root: Path
) -> None:
    path = write_triangle(tmp_path / "def", "slowly", boot="#!/bin/sh\nexec sleep infinity\n")
    with pytest.raises(NodeError, match=r"a is not ready after 0\.5 s: no addresses yet"):
        _up(path, root, timeout_s=0.5)
    _assert_gone(root)


def test_a_node_that_stops_is_told_with_its_last_words(tmp_path: Path, root: Path) -> None:
    path = write_triangle(tmp_path / "def", "dying", boot="#!/bin/sh\necho no fuel >&2\nexit 3\n")
    begin = time.monotonic()
    with pytest.raises(NodeError, match="a has stopped: no fuel"):
        _up(path, root)
    assert time.monotonic() - begin < READY_S / 2, "what has stopped is not waited for"
    _assert_gone(root)


def test_a_sysctl_that_the_kernel_lacks_names_the_node_and_the_file(tmp_path: Path, root: Path) -> None:
    path = write_triangle(tmp_path / "def", "odd")
    path.write_text(path.read_text().replace("net.ipv4.conf.all.ignore_routes_with_linkdown", "net.no.such"))
    with pytest.raises(NodeError, match="a: /proc/sys/net/no/such: No such file"):
        _up(path, root)
    _assert_gone(root)


def test_a_full_disk_is_an_error_and_no_mess(tmp_path: Path) -> None:
    path = write_triangle(tmp_path / "def", "full")
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32k", "none", str(small)], check=True)
    try:
        filler = small / "filler"
        filler.write_bytes(b"x" * (28 << 10))
        with pytest.raises((LabError, NodeError), match="No space left"):
            _up(path, small / "state")
        filler.unlink()
        _assert_gone(small / "state")
    finally:
        subprocess.run(["umount", str(small)], check=True)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_on_the_way_up_takes_everything_down(
    tmp_path: Path, root: Path, number: signal.Signals
) -> None:
    path = write_triangle(tmp_path / "def", "stopped")

    def stop(event: Event) -> None:
        if event.kind == "node.started":
            os.kill(os.getpid(), number)

    with pytest.raises(LabInterrupted):
        lifecycle.bring_up(load_lab_file(path), runtime="netns", timeout_s=READY_S, listen=stop, root=root)
    _assert_gone(root)


def test_down_ends_what_came_in_from_outside_and_what_was_left_in_a_node(tmp_path: Path, root: Path) -> None:
    lab = _up(write_triangle(tmp_path / "def", "guests"), root)
    runtime, _ = lifecycle.open_lab("guests", root)
    guest = subprocess.Popen(["nsenter", f"--net={runtime.netns(lab, 'a')}", "sleep", "98761"])
    assert runtime.exec(lab, "b", ["sh", "-c", "setsid sleep 98762 >/dev/null 2>&1 &"]).ok
    lifecycle.take_down(lab, silent)
    assert guest.wait(5) == -signal.SIGKILL
    assert not any(b"98762" in words for words in _of_every_process("cmdline"))
    _assert_gone(root)


def test_nothing_of_a_lab_is_seen_by_the_host_outside_of_its_folder(tmp_path: Path, root: Path) -> None:
    links = _links()
    lab = _up(write_triangle(tmp_path / "def", "hidden"), root)
    assert _links() == links
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    ours = [line.split()[4] for line in mounts if "hidden" in line]
    assert sorted(ours) == sorted(str(lab.netns / node) for node in "abc")


def test_a_node_changes_no_file_of_the_host(tmp_path: Path, root: Path) -> None:
    lab = _up(write_triangle(tmp_path / "def", "tidy"), root)
    runtime, _ = lifecycle.open_lab("tidy", root)
    mark = f"mark-{tmp_path.name}"
    folders = ("/etc", "/usr", "/var/lib", "/root", "/opt", "/tmp", "/run", "/var/log", "/dev/shm")  # noqa: S108
    for folder in folders:
        runtime.exec(lab, "a", ["sh", "-c", f"echo x >{folder}/{mark}"])
        assert not (Path(folder) / mark).exists()
    assert runtime.exec(lab, "a", ["sh", "-c", f"cat /etc/{mark}"]).stdout == b"x\n"
    assert not runtime.exec(lab, "a", ["sh", "-c", "echo x >/etc/labctl/mark"]).ok  # bound read-only
    hostname = Path("/proc/sys/kernel/hostname").read_text()
    assert not runtime.exec(lab, "a", ["sh", "-c", "echo x >/proc/sys/kernel/hostname"]).ok
    assert Path("/proc/sys/kernel/hostname").read_text() == hostname
    assert not runtime.exec(lab, "a", ["mknod", "/root/disk", "b", "254", "0"]).ok
    assert runtime.exec(lab, "a", ["ip", "route", "get", "1.1.1.1"]).code != 0


def _up(path: Path, root: Path, timeout_s: float = READY_S) -> LabDir:
    return lifecycle.bring_up(
        load_lab_file(path), runtime="netns", timeout_s=timeout_s, listen=silent, root=root
    )


def _assert_gone(root: Path) -> None:
    assert not root.exists(), list(root.rglob("*"))
    assert cleanup.mounts_under(root) == []
    for told in ("cmdline", "mountinfo"):
        assert not any(str(root).encode() in words for words in _of_every_process(told)), told


def _of_every_process(told: str) -> list[bytes]:
    """A file of /proc, of every process but this one. A node's root names the folder that it lies in."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                found.append((entry / told).read_bytes())
            except OSError:
                continue
    return found


def _links() -> list[str]:
    return sorted(entry.name for entry in Path("/sys/class/net").iterdir())


def _is_free(lab: LabDir) -> bool:
    try:
        with lab.share():
            return True
    except LabBusyError:
        return False


def _until(there: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not there():
        assert time.monotonic() < end
        time.sleep(0.005)
