"""An environment whose VMs are no nodes of the lab, and packets traced through it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from machine import Machine, machine

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.netns, pytest.mark.slow]

SHIPPED = Path(__file__).parents[2] / "topologies" / "zero-loss-gateway.yml"
LAB = "envlab"
SMALL = ("gateways=2", "computes=2", "vms=4", "networks=2")
ONE, TWO = "dev-vm1", "dev-vm2"


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    with machine(tmp_path_factory.mktemp("environment")) as one:
        sets = [word for each in SMALL for word in ("--set", each)]
        empty = one.census()
        words = ("up", str(SHIPPED), "--name", LAB, "--runtime", "netns", "--timeout", "240", *sets)
        up = one.labctl(*words, timeout_s=300)
        assert up.returncode == 0, up.stderr
        made = one.labctl("overlay", "env", "create", LAB, "dev", "--vms", "2", "--json")
        assert made.returncode == 0, made.stderr
        yield one
        # With an environment that is still there.
        assert one.labctl("down", LAB).returncode == 0
        assert one.settled(empty, within_s=10) == empty


def run(host: Machine, node: str, *argv: str) -> str:
    done = host.labctl("exec", LAB, node, "--", *argv)
    assert done.returncode == 0, (node, argv, done.stdout, done.stderr)
    return str(done.stdout)


def address(host: Machine, vm: str, family: int = 4) -> str:
    rows = json.loads(host.labctl("overlay", "env", "list", LAB, "--json").stdout)
    (row,) = [row for row in rows if row["vm"] == vm]
    return str(next(one for one in row["addresses"] if (":" in one) == (family == 6)))


def trace(host: Machine, source: str, *packet: str) -> dict[str, Any]:
    done = host.labctl("trace", LAB, source, *packet, "--json")
    assert done.returncode in (0, 1), done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    assert done.returncode == (0 if told["arrived"] or "echo reply" in told["end"] else 1)
    return told


def probing(host: Machine, one: str, other: str) -> subprocess.Popen[str]:
    """Numbered packets both ways, under way for long enough that every flow has its entries."""
    words = ("probe", LAB, one, other, "--both", "--rate", "300", "--flows", "16", "--for", "16s", "--json")
    line = host.line(sys.executable, "-m", "labctl", *words)
    probe = subprocess.Popen(line, cwd=host.cwd, stdout=subprocess.PIPE, text=True)
    time.sleep(7)
    assert probe.poll() is None
    return probe


def lost(probe: subprocess.Popen[str]) -> int:
    out, _ = probe.communicate(timeout=60)
    tallies = json.loads(out)
    assert all(tally["sent"] > 3000 for tally in tallies)
    return sum(tally["lost"] for tally in tallies)


def nodes_passed(told: dict[str, Any], *, answer: bool = False) -> list[str]:
    seen = [each["node"] for each in told["sightings"] if each["answer"] is answer]
    return [node for number, node in enumerate(seen) if number == 0 or seen[number - 1] != node]


@pytest.mark.parametrize("family", [4, 6])
def test_vms_that_the_command_waited_for_reach_each_other_and_the_outside(host: Machine, family: int) -> None:
    assert run(host, ONE, "hostname").strip() == ONE
    run(host, ONE, "ping", "-c2", "-i0.2", "-W2", address(host, TWO, family))
    nodes = json.loads(host.labctl("status", LAB, "--json").stdout)["nodes"]
    outside = next(node[f"ipv{family}"] for node in nodes if node["node"] == "ext1").partition("/")[0]
    run(host, TWO, "ping", "-c2", "-i0.2", "-W2", outside)


def test_no_other_tenant_reaches_them(host: Machine) -> None:
    told = trace(host, "vm1", "icmp", ONE)
    assert not told["arrived"]
    assert told["end"] == "dropped on compute1: tenants are no peers"


def test_an_agent_that_is_killed_leaves_them_as_they_are(host: Machine) -> None:
    where = "cat /run/labctl-agent/vm/dev-vm1/pid"
    before = run(host, "compute1", "sh", "-c", where)
    probe = probing(host, ONE, TWO)
    run(host, "compute1", "sh", "-c", "kill -9 $(cat /run/labctl/agent.pid)")
    assert lost(probe) == 0
    assert run(host, "compute1", "sh", "-c", where) == before


def test_they_die_with_their_host_and_live_again_with_it(host: Machine) -> None:
    assert host.labctl("power", "off", LAB, "compute1").returncode == 0
    assert host.labctl("exec", LAB, ONE, "--", "true").returncode != 0
    assert host.labctl("power", "on", LAB, "compute1", "--wait").returncode == 0
    deadline = time.monotonic() + 20
    argv = ("exec", LAB, ONE, "--", "ping", "-c1", "-W1", address(host, TWO))
    while host.labctl(*argv).returncode != 0:
        assert time.monotonic() < deadline
        time.sleep(0.3)


def test_one_environment_comes_and_goes_and_others_lose_nothing(host: Machine) -> None:
    links = run(host, "compute2", "ls", "/proc/sys/net/ipv4/conf")
    probe = probing(host, "vm1", "vm2")
    made = host.labctl("overlay", "env", "create", LAB, "passing", "--networks", "2", "--vms", "4", "--json")
    assert made.returncode == 0, made.stderr
    assert {row["host"] for row in json.loads(made.stdout)} == {"compute1", "compute2"}
    assert host.labctl("overlay", "env", "destroy", LAB, "passing").returncode == 0
    assert lost(probe) == 0
    deadline = time.monotonic() + 10
    while "passing" in run(host, "compute2", "ps", "ax") or (
        run(host, "compute2", "ls", "/proc/sys/net/ipv4/conf") != links
    ):
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_a_packet_to_a_vm_is_followed_through_every_device_and_node(host: Machine) -> None:
    told = trace(host, "vm1", "udp6", "vm4:53")
    assert told["arrived"]
    assert told["whole"]
    first, second = told["verdicts"]
    assert [first["host"], second["host"]] == ["compute1", "compute2"]
    devices = [device for device, _ in first["steps"]]
    assert "router t1-router" in devices
    assert {"bridge t1-net1", "bridge t1-net2"} <= set(devices)
    assert (first["entry_after"]["action"], second["entry_after"]["action"]) == ("tunnel", "port")
    passed = nodes_passed(told)
    assert [passed[0], passed[1], passed[3], passed[4]] == ["vm1", "compute1", "compute2", "vm4"]
    assert passed[2] in ("leaf1", "leaf2")
    tunnels = {
        (each["tunnel"]["key"], each["node"])
        for each in told["sightings"]
        if each["tunnel"] and not each["answer"]
    }
    assert {key for key, _ in tunnels} == {first["outputs"][0]["key"]}
    times = [each["t_ns"] for each in told["sightings"]]
    assert times == sorted(times)


def test_a_packet_to_the_outside_tells_its_gateway_and_one_from_there_too(host: Machine) -> None:
    out = trace(host, ONE, "icmp", "ext1")
    assert out["arrived"]
    assert out["answered"]
    (gateway,) = {node for node in nodes_passed(out) if node.startswith("gw")}
    assert [verdict["host"] for verdict in out["verdicts"]] == ["compute1", gateway]
    back = trace(host, "ext1", "udp", ONE)
    assert back["arrived"]
    (gateway,) = {node for node in nodes_passed(back) if node.startswith("gw")}
    assert [verdict["host"] for verdict in back["verdicts"]] == [gateway, "compute1"]


def test_a_forged_source_and_a_spent_ttl_say_where_they_end(host: Machine) -> None:
    forged = trace(host, "vm1", "icmp", "vm2", "src=10.128.0.99")
    assert forged["end"] == "dropped on compute1: forged source address"
    assert nodes_passed(forged) == ["vm1", "compute1"]
    spent = trace(host, "vm1", "icmp", "vm4", "ttl=1")
    assert spent["verdicts"][0]["decision"] == "answer"
    assert "time exceeded" in spent["end"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("vm1", "icmp", "vm9"), "no node or VM is called 'vm9'"),
        (("vn1", "icmp", "vm2"), "no node or VM is called 'vn1'"),
        (("vm1", "icpm", "vm2"), "did you mean 'icmp'?"),
    ],
)
def test_what_cannot_be_traced_is_told(host: Machine, words: tuple[str, ...], said: str) -> None:
    done = host.labctl("trace", LAB, *words)
    assert done.returncode == 2
    assert said in done.stderr
