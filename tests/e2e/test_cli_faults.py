"""Power and links from the command line: what is printed, what is in force, and what comes back."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest
from machine import Machine, machine

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.netns

# Two ways from h1 to h2: each test takes one away and gives it back.
SQUARE = """\
name: square
nodes:
  h1: {role: host}
  r[1-4]: {role: router}
  h2: {role: host}
links:
  - [h1, r1]
  - [r1, "r[2-3]"]
  - ["r[2-3]", r4]
  - [r4, h2]
"""


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    with machine(tmp_path_factory.mktemp("faults")) as one:
        (one.cwd / "square.yml").write_text(SQUARE)
        up = one.labctl("up", "square.yml", "--runtime", "netns")
        assert up.returncode == 0, up.stderr
        yield one


def act(host: Machine, *words: str) -> dict[str, Any]:
    done = host.labctl(*words, "--json")
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def faults(host: Machine) -> list[tuple[str, str]]:
    told = json.loads(host.labctl("status", "--json").stdout)
    return [(one["action"], one["target"]) for one in told["faults"]]


def status(host: Machine, node: str) -> str:
    nodes = json.loads(host.labctl("status", "--json").stdout)["nodes"]
    return next(str(one["status"]) for one in nodes if one["node"] == node)


def reaches(host: Machine, within_s: float = 15.0) -> bool:
    nodes = json.loads(host.labctl("status", "--json").stdout)["nodes"]
    there = next(one["ipv4"].partition("/")[0] for one in nodes if one["node"] == "h2")
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if host.labctl("exec", "square", "h1", "--", "ping", "-c1", "-W1", there).returncode == 0:
            return True
    return False


@pytest.mark.parametrize("node", ["r2", "r3"])
def test_a_power_cut_tells_its_window_and_every_peer_and_is_undone(host: Machine, node: str) -> None:
    effect = act(host, "power", "off", "square", node)
    assert effect["action"] == "power-off"
    assert {change["node"] for change in effect["carriers"]} == {"r1", "r4"}
    assert all(change["t_ns"] >= effect["requested_ns"] for change in effect["carriers"])
    assert (effect["last_ns"] - effect["first_ns"]) / 1e3 <= effect["window_us"] < 20_000
    assert status(host, node) == "off"
    assert faults(host) == [("power-off", node)]
    assert reaches(host)
    refused = host.labctl("exec", "square", node, "--", "true")
    assert refused.returncode == 2
    assert refused.stderr == f"labctl: node {node} of lab square is off\n"
    effect = act(host, "power", "on", "square", node)
    assert {change["node"] for change in effect["carriers"]} == {"r1", "r4"}
    assert status(host, node) == "running"
    assert faults(host) == []


def test_off_twice_and_on_twice_is_no_error(host: Machine) -> None:
    assert host.labctl("power", "off", "square", "r2").returncode == 0
    again = host.labctl("power", "off", "square", "r2")
    assert again.returncode == 0
    assert "already" in again.stdout
    assert host.labctl("power", "on", "square", "r2").returncode == 0
    assert host.labctl("power", "on", "square", "r2").returncode == 0
    assert faults(host) == []


@pytest.mark.parametrize("mode", ["cut", "graceful", "freeze"])
def test_a_cycle_in_every_mode_ends_with_the_node_ready(host: Machine, mode: str) -> None:
    done = host.labctl("power", "cycle", "square", "r3", "--mode", mode, "--for", "0.5")
    assert done.returncode == 0, done.stderr
    assert "r3 is ready again" in done.stderr
    assert done.stdout.startswith(f"power-off r3 ({mode})")
    assert status(host, "r3") == "running"
    assert faults(host) == []


def test_a_cycle_that_is_interrupted_gives_the_power_back(host: Machine) -> None:
    child = host.start("power", "cycle", "square", "r2", "--for", "600")
    deadline = time.monotonic() + 10
    while status(host, "r2") != "off":
        assert time.monotonic() < deadline
    host.kill(child, 15)
    assert child.wait(timeout=60) == 130
    assert status(host, "r2") == "running"
    assert faults(host) == []


def test_a_link_is_cut_at_both_ends_and_restored(host: Machine) -> None:
    effect = act(host, "link", "cut", "square", "r1", "r2")
    assert {change["node"] for change in effect["carriers"]} == {"r1", "r2"}
    ((action, target),) = faults(host)
    assert action == "link-cut"
    assert target.startswith("r1:")
    assert reaches(host)
    act(host, "link", "restore", "square", "r2", "r1")
    assert faults(host) == []


def test_a_black_hole_keeps_carrier(host: Machine) -> None:
    effect = act(host, "link", "blackhole", "square", "r1:eth2", "r2")
    assert effect["carriers"] == []
    assert [action for action, _ in faults(host)] == ["link-blackhole"]
    carrier = host.labctl("exec", "square", "r1", "--", "cat", "/sys/class/net/eth2/carrier")
    assert carrier.stdout == "1\n"
    act(host, "link", "restore", "square", "r1:eth2", "r2")
    assert faults(host) == []
    assert reaches(host)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("power", "off", "square", "r9"), "r9"),
        (("power", "on", "square", "R2"), "R2"),
        (("link", "cut", "square", "r1", "r4"), "no link joins r1 and r4"),
        (("link", "cut", "square", "r1:eth9", "r2"), "eth9"),
        (("link", "restore", "square", "nosuch", "r2"), "nosuch"),
    ],
)
def test_what_is_not_there_is_one_clear_line_and_changes_nothing(
    host: Machine, words: tuple[str, ...], says: str
) -> None:
    done = host.labctl(*words)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert says in done.stderr
    assert faults(host) == []


def test_down_with_faults_in_force_leaves_nothing(host: Machine) -> None:
    (host.cwd / "twin.yml").write_text(SQUARE.replace("square", "twin"))
    before = host.census()
    assert host.labctl("up", "twin.yml", "--runtime", "netns").returncode == 0
    assert host.labctl("power", "off", "twin", "r2").returncode == 0
    assert host.labctl("power", "off", "twin", "r3", "--mode", "freeze").returncode == 0
    assert host.labctl("link", "cut", "twin", "h1", "r1").returncode == 0
    assert host.labctl("down", "twin").returncode == 0
    assert host.settled(before) == before
