"""``labctl overlay`` on a running lab with three real controllers, also while some have no power."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
from ensemble import JAR
from machine import Machine, machine

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.netns,
    pytest.mark.slow,
    pytest.mark.skipif(not JAR.exists(), reason="no ZooKeeper here (package zookeeper)"),
]

TOPOLOGY = """\
name: state
nodes:
  leaf1: {role: router}
  ctl[1-3]: {role: controller}
  h1: {role: host}
links:
  - [leaf1, "ctl[1-3]"]
  - [leaf1, h1]
overlay:
  networks: 2
"""
MODE = (
    "import socket; s = socket.create_connection(('127.0.0.1', 2181), 1); s.sendall(b'srvr');"
    "print(next(l.split()[1] for l in s.makefile() if l.startswith('Mode')))"
)


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    with machine(tmp_path_factory.mktemp("overlay")) as one:
        (one.cwd / "state.yml").write_text(TOPOLOGY)
        up = one.labctl("up", "state.yml", "--runtime", "netns", "--timeout", "120")
        assert up.returncode == 0, up.stderr
        yield one
        assert one.labctl("down", "state").returncode == 0


def rows(host: Machine, *arguments: str) -> list[dict[str, Any]]:
    done = host.labctl("overlay", *arguments, "--json")
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def tenants(host: Machine) -> set[str]:
    return {row["tenant"] for row in rows(host, "tenant", "list", "state")}


def leader(host: Machine) -> str:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        for node in ("ctl1", "ctl2", "ctl3"):
            if "leader" in host.labctl("exec", "state", node, "--", "python3", "-c", MODE).stdout:
                return node
        time.sleep(0.2)
    raise TimeoutError("no leader")


def test_a_fresh_lab_has_what_its_topology_says(host: Machine) -> None:
    found = rows(host, "network", "list", "state")
    assert [(row["network"], row["tenant"], row["prefixes"]) for row in found] == [
        ("t1-net", "t1", ["10.128.0.0/24", "fd6c:6162::/64"]),
        ("t2-net", "t2", ["10.128.1.0/24", "fd6c:6162:0:1::/64"]),
    ]


def test_an_environment_comes_in_one_command_and_goes_in_one(host: Machine) -> None:
    assert rows(host, "env", "create", "state", "dev1", "--networks", "2") == []
    names = {row["network"] for row in rows(host, "network", "list", "state")}
    assert {"dev1-net1", "dev1-net2"} <= names
    assert host.labctl("overlay", "env", "destroy", "state", "dev1").returncode == 0
    assert tenants(host) == {"t1", "t2"}


def test_tenants_networks_and_rules_one_by_one(host: Machine) -> None:
    for words in (
        ("tenant", "add", "state", "shop"),
        ("network", "add", "state", "shop", "shop-net", "--ipv4", "10.140.0.0/24", "--dns", "192.0.2.53"),
        ("tenant", "peer", "state", "shop", "t1"),
        ("rule", "add", "state", "web", "in", "--proto", "tcp", "--ports", "80", "--tenant", "shop"),
    ):
        done = host.labctl("overlay", *words)
        assert done.returncode == 0, done.stderr
    assert {row["tenant"]: row["peers"] for row in rows(host, "tenant", "list", "state")}["shop"] == ["t1"]
    rules = rows(host, "rule", "list", "state", "--group", "web")
    made = sorted((row["version"], row["ports"]) for row in rules)
    assert made == [("ipv4", "80-80"), ("ipv6", "80-80")]
    assert host.labctl("overlay", "rule", "remove", "state", rules[0]["rule"]).returncode == 0
    assert len(rows(host, "rule", "list", "state", "--group", "web")) == 1
    assert host.labctl("overlay", "tenant", "remove", "state", "shop").returncode == 0
    assert tenants(host) == {"t1", "t2"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("tenant", "add", "state", "t1"), "tenant 't1' is there already"),
        (("tenant", "remove", "state", "t9"), "there is no tenant 't9'"),
        (("tenant", "part", "state", "t1", "t9"), "there is no tenant 't9'"),
        (("network", "add", "state", "t1", "x", "--ipv4", "10.128.1.0/25"), "overlaps"),
        (("network", "add", "state", "t1", "x", "--ipv4", "ten"), "does not appear to be"),
        (("rule", "add", "state", "t1-defualt", "in"), "did you mean 't1-default'"),
        (("rule", "add", "state", "t1-default", "up"), "'in' or 'out'"),
        (("gateway", "add", "state", "leaf1"), "no agent of a gateway"),
        (("gateway", "drain", "state", "leaf1"), "is no gateway"),
        (("env", "create", "state", "dev", "--vms", "1"), "no compute node"),
    ],
)
def test_what_cannot_be_is_refused_in_words(host: Machine, words: tuple[str, ...], said: str) -> None:
    done = host.labctl("overlay", *words)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert tenants(host) == {"t1", "t2"}


def test_a_write_succeeds_after_the_leader_has_lost_its_power(host: Machine) -> None:
    victim = leader(host)
    assert host.labctl("power", "off", "state", victim).returncode == 0
    rows(host, "env", "create", "state", "dev2")
    assert "dev2" in tenants(host)
    on = host.labctl("power", "on", "state", victim)
    assert on.returncode == 0, on.stderr
    assert host.labctl("overlay", "env", "destroy", "state", "dev2").returncode == 0


def everywhere(host: Machine, signal_name: str) -> None:
    """Send a signal to the ZooKeeper server of every controller."""
    for node in ("ctl1", "ctl2", "ctl3"):
        done = host.labctl("exec", "state", node, "--", "pkill", f"-{signal_name}", "java")
        assert done.returncode == 0, done.stderr


SCENARIO = """\
name: hang
topology: state.yml
traffic:
  - {name: beside, from: h1, to: leaf1, rate: 10, flows: 1}
timeline:
  - {at: 1s, overlay: tenant add late}
expect:
  - {loss: all, packets: 0}
"""


def test_controllers_that_hang_are_an_error_in_bounded_time(host: Machine) -> None:
    (host.cwd / "hang.yml").write_text(SCENARIO)
    everywhere(host, "STOP")
    try:
        began = time.monotonic()
        listed = host.labctl("overlay", "tenant", "list", "state")
        assert (listed.returncode, listed.stdout) == (2, "")
        assert "none of the controllers answers" in listed.stderr
        assert time.monotonic() - began < 30
        # The same as a step: the run ends with an error that says so, and takes its traffic down.
        ran = host.labctl("run", "hang.yml", "--out", "out", timeout_s=90)
        assert ran.returncode == 2, ran.stderr
        assert "overlay tenant add state late: none of the controllers answers" in ran.stderr
        # Whoever waits may stop waiting.
        line = host.line(sys.executable, "-m", "labctl", "run", "hang.yml", "--out", "out2")
        waiting = subprocess.Popen(line, cwd=host.cwd, stderr=subprocess.PIPE, text=True)
        time.sleep(8)
        assert waiting.poll() is None
        began = time.monotonic()
        host.kill(waiting, signal.SIGINT)
        _, said = waiting.communicate(timeout=30)
        assert waiting.returncode == 130, said
        assert time.monotonic() - began < 6
    finally:
        everywhere(host, "CONT")
    assert "late" not in tenants(host)


def test_nothing_is_forgotten_when_all_controllers_lose_their_power(host: Machine) -> None:
    rows(host, "env", "create", "state", "dev3")
    for node in ("ctl1", "ctl2", "ctl3"):
        assert host.labctl("power", "off", "state", node).returncode == 0
    refused = host.labctl("overlay", "tenant", "list", "state")
    assert refused.returncode == 2
    assert "no controller of lab state is running" in refused.stderr
    for node in ("ctl1", "ctl2", "ctl3"):
        assert host.labctl("power", "on", "state", node, "--no-wait").returncode == 0
    assert "dev3" in tenants(host)
