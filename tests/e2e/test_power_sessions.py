"""What becomes of a command in a node whose power is cut, whichever way the machine can stop processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from machine import machine
from triangle import write_triangle

from labctl.linux.freezer import hierarchies

if TYPE_CHECKING:
    from collections.abc import Iterator

    from machine import Machine

pytestmark = [pytest.mark.netns, pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]

LAB = "sessions"
KILLED = 137
LOST = "labctl: a lost power, which killed the command\n"
CYCLES = 3

# The boot program of a node with a process in vfork(), and some that go in and out of it: these are in
# the node's control group from the start, where a command that exec brings is not.
VFORKS = """#!/bin/sh
setsid python3 -c '
import os
os.mkfifo("/run/never")
never = (os.POSIX_SPAWN_OPEN, 0, "/run/never", os.O_RDONLY, 0)
os.posix_spawn("/bin/true", ["true"], {}, file_actions=[never])' &
setsid python3 -c '
import os
while True:
    os.waitpid(os.posix_spawn("/bin/true", ["true"], {}), 0)' &
ip -batch /etc/labctl/ip.batch
touch /run/ready
exec sleep infinity
"""

# What the control groups of the machine are made into: version -> trees that cannot be written to.
READ_ONLY: dict[str, set[int]] = {"v2": set(), "v1": {2}, "none": {1, 2}}


@pytest.fixture(params=READ_ONLY)
def host(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Machine]:
    """A machine with a lab, and with the named freezer alone."""
    trees = hierarchies(Path("/proc/self/mountinfo").read_text())
    left = {tree.version for tree in trees} - READ_ONLY[request.param]
    if request.param != "none" and int(request.param[1]) not in left:
        pytest.skip(f"this machine has no freezer of control groups {request.param}")
    path = write_triangle(tmp_path / "def", LAB, boot=VFORKS)
    with machine(tmp_path) as made:
        for tree in trees:
            if tree.version in READ_ONLY[request.param]:
                made.run("mount", "-o", "remount,bind,ro", str(tree.mount), check=True)
        done = made.labctl("up", str(path), "--runtime", "netns")
        assert done.returncode == 0, done.stderr
        assert (_group(made) is None) == (request.param == "none")
        yield made
        made.labctl("down", "--all")


def _group(host: Machine) -> Path | None:
    """The control group of the lab."""
    record = host.run("cat", f"/run/labctl/{LAB}/cgroup", check=True).stdout
    return None if record == "none" else Path(record.partition(" ")[2])


def _session(host: Machine) -> subprocess.Popen[str]:
    """`labctl exec` of a command that has said that it runs."""
    line = host.line(
        sys.executable, "-m", "labctl", "exec", LAB, "a", "--", "sh", "-c", "echo in; sleep 98763; true"
    )
    child = subprocess.Popen(
        line,
        cwd=host.cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "in\n"
    return child


def test_a_session_ends_with_its_node_in_one_line_and_nothing_of_it_is_left(host: Machine) -> None:
    for _ in range(CYCLES):
        session = _session(host)
        begin = time.monotonic()
        done = host.labctl("power", "off", LAB, "a", "--json")
        assert done.returncode == 0, done.stderr
        assert time.monotonic() - begin < 5
        assert "unseen" not in json.loads(done.stdout)["detail"]
        out, err = session.communicate(timeout=10)
        assert (session.returncode, out, err) == (KILLED, "", LOST)
        assert not [words for words in host.census()["processes"] if "98763" in words]
        done = host.labctl("power", "on", LAB, "a")
        assert done.returncode == 0, done.stderr


def test_a_session_in_a_frozen_node_waits_and_goes_on(host: Machine) -> None:
    session = _session(host)
    assert host.labctl("power", "off", LAB, "a", "--mode", "freeze").returncode == 0
    states = json.loads(host.labctl("status", LAB, "--json").stdout)["nodes"]
    assert [node["status"] for node in states] == ["frozen", "running", "running"]
    assert session.poll() is None
    assert host.labctl("power", "on", LAB, "a").returncode == 0
    assert host.labctl("exec", LAB, "a", "--", "pkill", "-f", "^sleep 98763").returncode == 0
    session.communicate(timeout=10)
    assert session.returncode == 0
    assert host.labctl("power", "off", LAB, "a", "--mode", "freeze").returncode == 0
    assert host.labctl("power", "off", LAB, "a").returncode == 0


def test_down_of_a_frozen_node_leaves_no_process_and_no_control_group(host: Machine) -> None:
    session = _session(host)
    group = _group(host)
    assert group is None or len([entry for entry in group.iterdir() if entry.is_dir()]) == 3
    assert host.labctl("power", "off", LAB, "a", "--mode", "freeze").returncode == 0
    done = host.labctl("down", LAB)
    assert done.returncode == 0, done.stderr
    session.communicate(timeout=10)
    assert session.returncode == KILLED
    assert group is None or not group.exists()
    assert host.census()["labs"] == []
