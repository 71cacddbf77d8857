"""The overlay in a whole lab: two gateways, two computes, three controllers, VMs that ask for addresses."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from machine import Machine, machine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

pytestmark = [pytest.mark.netns, pytest.mark.slow]

SHIPPED = Path(__file__).parents[2] / "topologies" / "zero-loss-gateway.yml"
LAB = "olab"
SMALL = ("--set", "gateways=2", "--set", "computes=2", "--set", "vms=4")
VMS = ("vm1", "vm2", "vm3", "vm4", "stranger")
AGENTS = ("gw1", "gw2", "compute1", "compute2")


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    with machine(tmp_path_factory.mktemp("overlay")) as one:
        words = ("up", str(SHIPPED), "--name", LAB, "--runtime", "netns", "--timeout", "120", *SMALL)
        up = one.labctl(*words, timeout_s=180)
        assert up.returncode == 0, up.stderr
        yield one


def run(host: Machine, node: str, *argv: str) -> str:
    done = host.labctl("exec", LAB, node, "--", *argv)
    assert done.returncode == 0, (node, argv, done.stdout, done.stderr)
    return str(done.stdout)


def planned(host: Machine) -> dict[str, dict[str, Any]]:
    nodes = json.loads(host.labctl("status", LAB, "--json").stdout)["nodes"]
    return {node["node"]: node for node in nodes}


def address(host: Machine, node: str, family: int) -> str:
    return str(planned(host)[node][f"ipv{family}"].partition("/")[0])


def answers(host: Machine, source: str, target: str, *options: str) -> bool:
    done = host.labctl("exec", LAB, source, "--", "ping", "-c2", "-i0.2", "-W1", *options, target)
    return bool(done.returncode == 0)


def wait_until_ready(host: Machine, *nodes: str, within_s: float = 60) -> None:
    deadline = time.monotonic() + within_s
    while True:
        lacking = {name: planned(host)[name]["lacks"] for name in nodes if not planned(host)[name]["ready"]}
        if not lacking:
            return
        assert time.monotonic() < deadline, lacking
        time.sleep(0.3)


def lost_while(
    host: Machine, streams: Sequence[tuple[str, str, str]], action: Callable[[], object]
) -> dict[str, int]:
    """Numbered packets both ways between pairs of nodes while something is done; how many were lost."""
    outputs = [host.cwd / f"probe-{number}.json" for number in range(len(streams))]
    shell = 'exec "$@" >"$0"'
    probes = [
        subprocess.Popen(
            host.line(
                *("sh", "-c", shell, str(output), sys.executable, "-m", "labctl", "probe", LAB, one, other),
                *("--family", family, "--both", "--rate", "400", "--for", "10s", "--json"),
            ),
            cwd=host.cwd,
        )
        for output, (one, other, family) in zip(outputs, streams, strict=True)
    ]
    time.sleep(4)
    action()
    for probe in probes:
        probe.wait(timeout=60)
    tallies = [tally for output in outputs for tally in json.loads(output.read_text())]
    assert all(tally["sent"] > 3000 for tally in tallies), tallies
    return {tally["stream"]["name"]: tally["lost"] for tally in tallies}


EVERY_WAY = (("ext1", "vm1", "4"), ("vm2", "ext1", "6"), ("vm1", "vm2", "6"), ("vm3", "vm2", "4"))
"""From outside in, from inside out, in one network, between two."""


def test_vms_are_told_the_addresses_that_the_plan_says(host: Machine) -> None:
    for vm in VMS:
        (link,) = json.loads(run(host, vm, "ip", "-json", "address", "show", "dev", "eth0"))
        told = {one["local"] for one in link["addr_info"] if one["scope"] == "global"}
        assert told == {address(host, vm, 4), address(host, vm, 6)}
        assert link["mtu"] == 1450
        (way,) = json.loads(run(host, vm, "ip", "-json", "-6", "route", "show", "default"))
        assert ip_address(way["gateway"]).is_link_local


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize(
    ("source", "target"),
    [("vm1", "vm2"), ("vm1", "vm3"), ("vm3", "vm2"), ("ext1", "vm4"), ("vm2", "ext1"), ("ext1", "stranger")],
)
def test_who_may_reach_whom(host: Machine, source: str, target: str, family: int) -> None:
    assert answers(host, source, address(host, target, family))


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("stranger", "vm1"),
        ("vm1", "stranger"),
        ("vm1", "leaf1"),
        ("vm1", "compute1"),
        ("vm1", "gw1"),
        ("vm1", "ctl1"),
        ("ext1", "leaf1"),
        ("ext1", "compute1"),
        ("ext1", "ctl1"),
    ],
)
def test_who_may_not_reach_whom(host: Machine, source: str, target: str, family: int) -> None:
    assert not answers(host, source, address(host, target, family))


@pytest.mark.parametrize(
    ("source", "target"), [("vm1", "vm2"), ("vm1", "vm3"), ("vm1", "ext1"), ("ext1", "vm1")]
)
def test_the_longest_packet_passes_whole_and_a_longer_one_is_told_of(
    host: Machine, source: str, target: str
) -> None:
    there = address(host, target, 4)
    assert answers(host, source, there, "-M", "do", "-s", str(1450 - 28))
    if source == "ext1":
        said = host.labctl("exec", LAB, source, "--", *f"ping -c1 -W1 -M do -s 1472 {there}".split()).stdout
        assert "mtu = 1450" in said.lower().replace("=1450", "= 1450")


def test_no_frame_of_the_underlay_is_a_fragment(host: Machine) -> None:
    run(host, "vm1", "ping", "-c3", "-i0.2", "-M", "do", "-s", "1422", address(host, "vm2", 4))
    for node in ("leaf1", "leaf2"):
        for line in run(host, node, "cat", "/proc/net/snmp").splitlines():
            assert not line.startswith("Ip: ") or line.split()[17:20] in (
                ["FragOKs", "FragFails", "FragCreates"],
                ["0", "0", "0"],
            )


def test_an_agent_killed_disturbs_no_flow_and_comes_back(host: Machine) -> None:
    def kill_all() -> None:
        for node in AGENTS:
            run(host, node, "sh", "-c", 'kill -9 "$(cat /run/labctl/agent.pid)"')

    assert not any(lost_while(host, EVERY_WAY, kill_all).values())
    wait_until_ready(host, *AGENTS)
    for node in AGENTS:
        assert "flows taken over" in host.labctl("logs", LAB, node).stdout
    assert answers(host, "vm4", address(host, "vm1", 4))


def test_without_any_controller_flows_go_on_and_new_ones_begin(host: Machine) -> None:
    controllers = ("ctl1", "ctl2", "ctl3")

    def cut_all() -> None:
        for node in controllers:
            assert host.labctl("power", "off", LAB, node).returncode == 0

    try:
        assert not any(lost_while(host, EVERY_WAY, cut_all).values())
        assert answers(host, "vm4", address(host, "vm2", 6))
        run(host, "compute1", "sh", "-c", 'kill -9 "$(cat /run/labctl/agent.pid)"')
        wait_until_ready(host, "compute1")
        # An agent that starts without the database begins with its own copy.
        assert answers(host, "vm3", address(host, "ext1", 4))
    finally:
        # One controller alone is never ready: none of the three waits for the one before.
        for child in [host.start("power", "on", LAB, node) for node in controllers]:
            child.wait(timeout=120)
    wait_until_ready(host, *controllers)


def test_a_gateway_that_is_drained_loses_nothing(host: Machine) -> None:
    def announced() -> str:
        return run(host, "p1", "ip", "route", "show", "10.128.0.0/24")

    whole = announced().count("nexthop")
    assert whole == 2

    def drain(*options: str) -> Callable[[], object]:
        return lambda: host.labctl("overlay", "gateway", "drain", LAB, "gw1", *options, check=True)

    drained = lost_while(host, EVERY_WAY, drain())
    assert announced().count("nexthop") == 0
    back = lost_while(host, EVERY_WAY, drain("--undo"))
    assert announced().count("nexthop") == 2
    assert not any(drained.values()), drained
    assert not any(back.values()), back


def test_vms_go_and_come_with_their_host(host: Machine) -> None:
    assert host.labctl("power", "off", LAB, "compute1").returncode == 0
    try:
        now = planned(host)
        assert {name for name in VMS if now[name]["status"] == "off"} == {"vm1", "vm3", "stranger"}
        assert host.labctl("power", "on", LAB, "vm1").returncode != 0
        assert answers(host, "ext1", address(host, "vm2", 4))
    finally:
        assert host.labctl("power", "on", LAB, "compute1").returncode == 0
    wait_until_ready(host, "compute1", "vm1", "vm3", "stranger")
    assert answers(host, "vm2", address(host, "vm1", 4))
    assert answers(host, "ext1", address(host, "vm1", 6))


def test_afterwards_nothing_is_left(host: Machine) -> None:
    down = host.labctl("down", LAB)
    assert down.returncode == 0, down.stderr
    empty: dict[str, list[str]] = {key: [] for key in host.census()}
    left = host.settled({**empty, "links": ["lo"]})
    assert {**left, "processes": []} == {**empty, "links": ["lo"]}
