"""The commands on real labs of the embedded runtime, as a user types them, on a machine of their own."""

from __future__ import annotations

import json
import signal
import sys
import time
from typing import TYPE_CHECKING, cast

import pytest
from machine import Machine, machine

if TYPE_CHECKING:
    from collections.abc import Iterator
    from subprocess import CompletedProcess

pytestmark = pytest.mark.netns

PAIR = """\
name: pair
nodes:
  h1: {role: host}
  r1: {role: router}
  h2: {role: host}
links: [[h1, r1], [r1, h2]]
"""

# Big enough that it is still on its way when a test has noticed that it has begun.
RING = """\
name: ring
nodes:
  r[1-12]: {role: router}
links: [{a: "r[1-12]", b: "r[2-12,1]", pair: true}]
"""


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    with machine(tmp_path_factory.mktemp("labs")) as one:
        (one.cwd / "pair.yml").write_text(PAIR)
        (one.cwd / "ring.yml").write_text(RING)
        yield one


@pytest.fixture(scope="module")
def clean(host: Machine) -> dict[str, list[str]]:
    """The machine as it was before there was any lab."""
    return host.census()


@pytest.fixture(scope="module")
def lab(host: Machine, clean: dict[str, list[str]]) -> Iterator[str]:
    """A lab that the tests of this module share and leave as they found it."""
    up = host.labctl("up", "pair.yml", "--runtime", "netns", "--name", "shared")
    assert up.returncode == 0, up.stderr
    assert up.stdout == ""
    yield "shared"
    down = host.labctl("down", "shared")
    assert down.returncode == 0, down.stderr


def address(host: Machine, lab: str, node: str) -> str:
    nodes = json.loads(host.labctl("status", lab, "--json").stdout)["nodes"]
    return str(next(one["ipv4"].partition("/")[0] for one in nodes if one["node"] == node))


def test_status_tells_every_node_with_role_addresses_and_readiness(host: Machine, lab: str) -> None:
    told = json.loads(host.labctl("status", lab, "--json").stdout)
    assert told["runtime"] == "netns"
    assert told["phase"] == "up"
    assert told["faults"] == []
    roles = {one["node"]: one["role"] for one in told["nodes"]}
    assert roles == {"h1": "host", "r1": "router", "h2": "host"}
    assert all(one["status"] == "running" and one["ready"] and one["pid"] > 1 for one in told["nodes"])
    assert len({one["ipv4"] for one in told["nodes"]}) == 3
    text = host.labctl("status", lab).stdout
    assert all(one["ipv4"] in text for one in told["nodes"])


def test_labs_are_listed_from_any_directory(host: Machine, lab: str) -> None:
    elsewhere = Machine(host.pid, host.cwd.parent, host.inherited)
    (row,) = json.loads(elsewhere.labctl("ls", "--json").stdout)
    assert (row["lab"], row["phase"], row["topology"]) == (lab, "up", str(host.cwd / "pair.yml"))
    assert lab in elsewhere.labctl("ls").stdout


@pytest.mark.parametrize("code", [0, 1, 2, 3, 7, 130, 255])
def test_exec_gives_the_exit_code_of_the_command(host: Machine, lab: str, code: int) -> None:
    assert host.labctl("exec", lab, "h1", "--", "sh", "-c", f"exit {code}").returncode == code


def exec_bytes(host: Machine, lab: str, *command: str, sent: bytes) -> CompletedProcess[bytes]:
    done = host.labctl("exec", lab, "h1", "--", *command, text=False, input=sent)
    return cast("CompletedProcess[bytes]", done)


def test_exec_keeps_both_streams_byte_for_byte(host: Machine, lab: str) -> None:
    raw = bytes(range(256)) * 300
    done = exec_bytes(host, lab, "cat", sent=raw)
    assert done.stdout == raw
    assert done.stderr == b""
    done = exec_bytes(host, lab, "sh", "-c", "cat >&2", sent=raw)
    assert done.stdout == b""
    assert done.stderr == raw


def test_exec_hands_words_over_as_they_are(host: Machine, lab: str) -> None:
    words = ["a b", "$(id)", "--json", "--", "-x", "'", '"', "*", ""]
    done = host.labctl("exec", lab, "h1", "--", "printf", "%s\\n", *words)
    assert done.stdout.split("\n")[:-1] == words


def test_exec_runs_in_the_namespaces_of_the_node(host: Machine, lab: str) -> None:
    links = host.labctl("exec", lab, "h1", "--", "ls", "/sys/class/net").stdout.split()
    assert links == ["eth1", "lo"]
    assert host.labctl("exec", lab, "h1", "--", "hostname").stdout == "h1\n"
    assert host.labctl("exec", lab, "h1", "--", "cat", "/proc/1/comm").stdout == "tini\n"


def test_exec_of_an_unknown_node_or_program_is_told_in_one_line(host: Machine, lab: str) -> None:
    done = host.labctl("exec", lab, "h9", "--", "true")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "h9" in done.stderr
    done = host.labctl("exec", lab, "h1", "--", "no-such-program")
    assert done.returncode == 127


def test_a_signal_ends_a_command_that_exec_runs(host: Machine, lab: str) -> None:
    child = host.start("exec", lab, "h1", "--", "sleep", "1234")
    deadline = time.monotonic() + 10
    while not any("sleep 1234" in one for one in host.census()["processes"]):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    host.kill(child, signal.SIGTERM)
    child.wait(timeout=10)
    assert not any("sleep 1234" in one for one in host.settled({})["processes"])


def test_shell_reads_commands_from_a_pipe_too(host: Machine, lab: str) -> None:
    done = host.labctl("shell", lab, "h1", input="hostname\nexit 5\n")
    assert done.stdout == "h1\n"
    assert done.returncode == 5


def test_logs_of_a_node_are_what_its_first_process_wrote(host: Machine, lab: str) -> None:
    done = host.labctl("logs", lab, "r1")
    assert done.returncode == 0
    assert "Traceback" not in done.stderr


def test_hosts_reach_one_another_through_the_router(host: Machine, lab: str) -> None:
    done = host.labctl("exec", lab, "h1", "--", "ping", "-c2", "-i0.2", "-W1", address(host, lab, "h2"))
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_second_up_of_the_same_lab_is_refused_and_harms_nothing(host: Machine, lab: str) -> None:
    before = host.census()
    done = host.labctl("up", "pair.yml", "--runtime", "netns", "--name", lab)
    assert done.returncode == 2
    assert "is up already" in done.stderr
    assert f"labctl down {lab}" in done.stderr
    assert host.settled(before) == before


def test_a_second_up_while_the_first_is_on_its_way_is_refused(host: Machine, lab: str) -> None:
    first = host.start("up", "ring.yml", "--runtime", "netns", "--name", "race")
    deadline = time.monotonic() + 10
    while not (names := {one.split("/")[0] for one in host.census()["labs"]}) & {"race"}:
        assert time.monotonic() < deadline, names
    second = host.labctl("up", "ring.yml", "--runtime", "netns", "--name", "race")
    assert first.wait(timeout=60) == 0
    assert second.returncode == 2
    assert "race" in second.stderr
    assert host.labctl("down", "race").returncode == 0


def test_two_labs_of_the_same_topology_do_not_meet(host: Machine, lab: str) -> None:
    assert host.labctl("up", "pair.yml", "--runtime", "netns", "--name", "twin").returncode == 0
    try:
        there = address(host, lab, "h2")
        assert address(host, "twin", "h2") == there
        counters = ["sh", "-c", "cat /sys/class/net/eth1/statistics/rx_packets"]
        # With the twin's h2 silent, whatever its h1 sends must not be answered by the other h2.
        host.labctl("exec", "twin", "h2", "--", "ip", "link", "set", "eth1", "down")
        before = int(host.labctl("exec", lab, "h2", "--", *counters).stdout)
        done = host.labctl("exec", "twin", "h1", "--", "ping", "-c20", "-i0.02", "-W1", there)
        after = int(host.labctl("exec", lab, "h2", "--", *counters).stdout)
        assert done.returncode == 1
        assert " 0 received" in done.stdout
        # Neighbour discovery and the like go on in the other lab; twenty pings would be seen.
        assert after - before < 20
        assert host.labctl("exec", lab, "h1", "--", "ping", "-c1", "-W1", there).returncode == 0
    finally:
        assert host.labctl("down", "twin").returncode == 0


def test_down_leaves_the_machine_as_it_was_and_again_is_no_error(
    host: Machine, clean: dict[str, list[str]], lab: str
) -> None:
    before = host.census()
    assert host.labctl("up", "pair.yml", "--runtime", "netns").returncode == 0
    assert host.census() != before
    assert host.labctl("down", "pair").returncode == 0
    assert host.settled(before) == before
    again = host.labctl("down", "pair")
    assert again.returncode == 0
    assert "nothing to take down" in again.stderr
    assert clean["processes"] != before["processes"]


def test_down_takes_the_name_of_the_file_as_well(host: Machine, lab: str) -> None:
    (host.cwd / "other.yml").write_text(PAIR.replace("pair", "other"))
    assert host.labctl("up", "other.yml", "--runtime", "netns").returncode == 0
    assert host.labctl("down", "other.yml").returncode == 0
    assert [row["lab"] for row in json.loads(host.labctl("ls", "--json").stdout)] == [lab]


def test_a_lab_that_is_not_ready_in_time_is_taken_down_again(host: Machine, lab: str) -> None:
    # A role of the user's own that never is ready: on a quick machine all of ours are at once.
    ready = host.cwd / "never" / "router" / "etc" / "labctl" / "ready.j2"
    ready.parent.mkdir(parents=True)
    ready.write_text("#!/bin/sh\necho 'waiting for Godot'\nexit 1\n")
    before = host.census()
    done = host.labctl("up", "pair.yml", "--runtime", "netns", "--timeout", "0.5", "--templates", "never")
    assert done.returncode == 2
    assert "r1 is not ready after 0.5 s: waiting for Godot" in done.stderr
    assert host.settled(before) == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_up_that_is_interrupted_leaves_nothing(host: Machine, lab: str, number: int) -> None:
    before = host.census()
    child = host.start("up", "ring.yml", "--runtime", "netns")
    deadline = time.monotonic() + 10
    while not any(one.startswith("ring/") for one in host.census()["labs"]):
        assert time.monotonic() < deadline
    host.kill(child, number)
    assert child.wait(timeout=30) == 130
    assert host.settled(before) == before


def test_a_user_without_root_is_told_what_to_type(host: Machine, lab: str) -> None:
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    as_nobody = [*nobody, sys.executable, "-m", "labctl"]
    acting = [("up", "pair.yml"), ("down", lab), ("exec", lab, "h1", "--", "id"), ("power", "off", lab, "r1")]
    for words in acting:
        done = host.run(*as_nobody, *words)
        assert done.returncode == 2, words
        (line,) = done.stderr.splitlines()
        assert "needs root: sudo " in line
    for words in (("ls",), ("--help",), ("schema", "topology")):
        done = host.run(*as_nobody, *words)
        assert done.returncode == 0, done.stderr
