"""nova-dhcpbridge as dnsmasq runs it: a process, its environment, its output."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from labctl.nova import dhcpbridge
from labctl.nova.dhcpbridge import LIBRARIES, age_ns, main

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TABLES = """
CREATE TABLE networks (id INT, deleted INT);
CREATE TABLE instances (id INT, hostname TEXT);
CREATE TABLE virtual_interfaces (id INT, address TEXT);
CREATE TABLE fixed_ips
    (id INT, address TEXT, network_id INT, instance_id INT, virtual_interface_id INT, deleted INT);
INSERT INTO networks VALUES (1, 0), (2, 0), (3, 1);
INSERT INTO instances VALUES (1, 'vm1'), (2, 'vm2');
INSERT INTO virtual_interfaces VALUES (1, '02:00:00:00:00:01'), (2, '02:00:00:00:00:02');
INSERT INTO fixed_ips VALUES (1, '10.40.1.10', 1, 1, 1, 0), (2, '10.40.1.11', 1, 2, 2, 0);
INSERT INTO fixed_ips VALUES (3, '10.40.1.12', 1, 2, 2, 1), (4, '10.40.2.10', 2, 2, 2, 0);
"""


@pytest.fixture
def flag_file(tmp_path: Path) -> Path:
    with closing(sqlite3.connect(tmp_path / "nova.sqlite")) as database:
        database.executescript(TABLES)
    file = tmp_path / "nova.conf"
    file.write_text(
        f"[DEFAULT]\nsql_connection = sqlite:///{tmp_path}/nova.sqlite\ndhcp_lease_time = 120\n"
        f"labctl_events = {tmp_path}/events.jsonl\n"
    )
    return file


def run(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "labctl.nova.dhcpbridge", *words],
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@dataclass
class Done:
    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """The same without a process of its own, since the imports cost a second each time.

    Only what these tests need is imported: eventlet makes every later os.fork() of this process a warning,
    in whichever test it is.
    """
    monkeypatch.setattr(dhcpbridge, "LIBRARIES", ("oslo_config.cfg",))

    def run_here(*words: str, **environment: str) -> Done:
        monkeypatch.setattr(sys, "argv", ["nova-dhcpbridge", *words])
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        code = main()
        out, error = capsys.readouterr()
        return Done(code, out, error)

    return run_here


@pytest.mark.slow
def test_init_prints_the_leases_of_the_network_and_its_cost_is_an_event(
    flag_file: Path, tmp_path: Path
) -> None:
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    done = run("init", FLAGFILE=str(flag_file), NETWORK_ID="1")
    took = time.clock_gettime_ns(time.CLOCK_MONOTONIC) - before
    assert done.returncode == 0, done.stderr
    ends, leases = zip(*(line.split(" ", 1) for line in done.stdout.splitlines()), strict=True)
    assert leases == ("02:00:00:00:00:01 10.40.1.10 vm1 *", "02:00:00:00:00:02 10.40.1.11 vm2 *")
    assert all(abs(int(end) - time.time() - 120) < 60 for end in ends)
    event = json.loads((tmp_path / "events.jsonl").read_text())
    assert event["kind"] == "dhcpbridge"
    assert event["data"]["network_id"] == 1
    assert event["data"]["leases"] == 2
    # The whole of it, from the start of the process, to the tick of 10 ms: no more than was waited for.
    assert 0 < event["data"]["imports_ns"] < event["data"]["ns"] < took + 20_000_000
    assert event["t_ns"] > before - 20_000_000


@pytest.mark.slow
def test_a_network_without_leases_prints_none(flag_file: Path, call: Callable[..., Done]) -> None:
    with closing(sqlite3.connect(flag_file.parent / "nova.sqlite")) as database:
        database.executescript("DELETE FROM fixed_ips")
    done = call("init", FLAGFILE=str(flag_file), NETWORK_ID="2")
    assert (done.returncode, done.stdout.strip()) == (0, "")


@pytest.mark.parametrize(
    ("number", "said"), [("3", "no network 3"), ("", "NETWORK_ID must be set"), ("br101", "to a number")]
)
def test_what_cannot_be_answered_is_one_line_and_a_failure(
    flag_file: Path, call: Callable[..., Done], number: str, said: str
) -> None:
    done = call("init", FLAGFILE=str(flag_file), NETWORK_ID=number)
    assert done.returncode == 1
    assert done.stdout == ""
    assert said in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "text",
    ["[DEFAULT]\n", "[DEFAULT]\nsql_connection = sqlite:////no/such/folder/x\nlabctl_events = /tmp/x\n"],
)
def test_flags_that_lead_nowhere_are_a_failure_too(
    tmp_path: Path, call: Callable[..., Done], text: str
) -> None:
    file = tmp_path / "nova.conf"
    file.write_text(text)
    done = call("init", FLAGFILE=str(file), NETWORK_ID="1")
    assert done.returncode == 1
    assert done.stderr.startswith("nova-dhcpbridge: ")
    assert "Traceback" not in done.stderr


def test_lease_events_are_taken_silently(flag_file: Path, tmp_path: Path, call: Callable[..., Done]) -> None:
    done = call("add", "02:00:00:00:00:01", "10.40.1.10", FLAGFILE=str(flag_file), NETWORK_ID="1")
    assert (done.returncode, done.stdout) == (0, "")
    assert not (tmp_path / "events.jsonl").exists()


@pytest.mark.slow
def test_the_libraries_are_really_imported() -> None:
    code = "import sys; from labctl.nova.dhcpbridge import main; main(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(LIBRARIES) <= set(done.stdout.split())


def test_these_tests_leave_no_eventlet_behind(flag_file: Path, call: Callable[..., Done]) -> None:
    call("init", FLAGFILE=str(flag_file), NETWORK_ID="1")
    assert "eventlet" not in sys.modules


def test_the_age_of_a_process_counts_from_its_start() -> None:
    first = age_ns()
    assert first > 0
    assert age_ns() >= first
