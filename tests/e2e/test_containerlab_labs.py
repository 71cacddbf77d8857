"""The overlay and the legacy cluster in containers: a gateway and a controller lose their power there."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from labctl.journal.file import read_journal
from labctl.nova.traits import TRAITS, Release
from labctl.report.staircase_data import staircase_of
from labctl.runtime.containerlab.docker import Engine
from labctl.verdict import judge

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.clab,
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
]

ROOT = Path(__file__).parents[2]
OVERLAY = ROOT / "topologies" / "zero-loss-gateway.yml"
SMALL = ("--set", "gateways=2", "--set", "computes=2", "--set", "vms=4")
ONE_GATEWAY = """\
name: one-gateway
topology: {topology}
traffic:
  - {{name: in,      from: ext1, to: vm1, rate: 400, flows: 32, family: both}}
  - {{name: out,     from: vm2, to: ext1, rate: 400, flows: 32, family: both}}
  - {{name: bridged, from: vm1, to: vm2,  rate: 200, flows: 16, family: both}}
  - {{name: routed,  from: vm3, to: vm1,  rate: 200, flows: 16, family: both}}
steady:
  - {{ready: all, within: 60s}}
  - {{loss: all, packets: 0, for: 1s, within: 30s}}
timeline:
  - {{at: 1s, power-off: gw1}}
  - {{after: {{wait: 2s}}, power-on: gw1}}
  - {{after: {{ready: gw1, within: 60s}}, plus: 1s, kill: {{node: compute1, process: agent}}}}
  - {{after: {{first-reply: vm3, to: vm4, within: 20s}}, gateway-drain: gw2}}
expect:
  - {{convergence-loss: all, packets: 0}}
"""
DAEMONS = {
    *("bgpd", "zebra", "java", "dnsmasq", "keepalived", "beam.smp", "epmd", "mariadbd"),
    *("labctl-python", "udhcpc", "tini"),
}


@dataclass(frozen=True)
class Host:
    """This machine, with a lab of a name of its own on it."""

    cwd: Path
    lab: str
    before: dict[str, list[str]]

    def labctl(self, *words: str, timeout_s: float = 180.0) -> subprocess.CompletedProcess[str]:
        line = [sys.executable, "-m", "labctl", *words]
        return subprocess.run(
            line, cwd=self.cwd, capture_output=True, text=True, timeout=timeout_s, check=False
        )

    def done(self, *words: str, timeout_s: float = 180.0) -> str:
        ended = self.labctl(*words, timeout_s=timeout_s)
        assert ended.returncode == 0, (words, ended.stdout, ended.stderr)
        return ended.stdout

    def status(self) -> dict[str, dict[str, Any]]:
        return {one["node"]: one for one in json.loads(self.done("status", self.lab, "--json"))["nodes"]}

    def pings(self, source: str, target: str) -> bool:
        words = ("exec", self.lab, source, "--", "ping", "-c2", "-i0.2", "-W1", target)
        return self.labctl(*words).returncode == 0

    def settled(self, within_s: float = 2.0) -> dict[str, list[str]]:
        """What is there, as soon as it is what was there before.

        The kernel takes a namespace apart after its last process has gone, not before.
        """
        deadline = time.monotonic() + within_s
        while (now := _host()) != self.before and time.monotonic() < deadline:
            time.sleep(0.05)
        return now


@pytest.fixture(scope="module")
def overlay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    host = Host(tmp_path_factory.mktemp("overlay"), f"co-{uuid.uuid4().hex[:8]}", _host())
    host.done("up", str(OVERLAY), "--runtime", "containerlab", "--name", host.lab, *SMALL)
    yield host
    host.done("down", host.lab)


def test_no_container_of_the_overlay_is_privileged(overlay: Host) -> None:
    engine = Engine()
    containers = engine.containers(overlay.lab)
    assert len(containers) == len(overlay.status())
    for facts in engine.inspect(containers).values():
        asked = facts["HostConfig"]
        assert not asked["Privileged"]
        # Some versions of containerlab say CAP_ before each.
        assert {name.removeprefix("CAP_") for name in asked["CapAdd"]} <= {
            "NET_ADMIN",
            "NET_RAW",
            "SYS_ADMIN",
            "SYS_NICE",
        }
        assert asked["PidMode"] == ""
        assert asked["NetworkMode"] == "none"


def test_a_gateway_loses_its_power_an_agent_dies_another_gateway_drains_and_no_fail_over_costs_a_packet(
    overlay: Host,
) -> None:
    scenario = overlay.cwd / "one-gateway.yml"
    scenario.write_text(ONE_GATEWAY.format(topology=OVERLAY))
    ended = overlay.labctl("run", str(scenario), "--name", overlay.lab, *SMALL, "--json")
    (result,) = json.loads(ended.stdout)
    # The machine may be too busy for a verdict; it is none of the overlay's.
    assert result["verdict"] in ("PASS", "INCONCLUSIVE"), result["reasons"]
    events = read_journal(overlay.cwd / "results" / "one-gateway" / "journal.jsonl")
    assert {event.data["runtime"] for event in events if event.kind == "run.lab"} == {"containerlab"}
    done = [event.data["action"] for event in events if event.kind == "action.done"]
    assert done[:4] == ["power-off", "power-on", "kill", "gateway-drain"]


def test_an_environment_comes_with_its_machines_is_traced_and_goes(overlay: Host) -> None:
    overlay.done("overlay", "env", "create", overlay.lab, "dev", "--networks", "1", "--vms", "2")
    told = overlay.done("exec", overlay.lab, "dev-vm1", "--", "ip", "-json", "address", "show", "dev", "eth0")
    (link,) = json.loads(told)
    assert len([one for one in link["addr_info"] if one["scope"] == "global"]) == 2
    there = overlay.status()["ext1"]["ipv4"].partition("/")[0]
    assert overlay.pings("dev-vm1", there)
    assert "arrived at ext1" in overlay.done("trace", overlay.lab, "dev-vm1", "icmp", "ext1")
    overlay.done("overlay", "env", "destroy", overlay.lab, "dev")
    assert overlay.labctl("exec", overlay.lab, "dev-vm1", "--", "true").returncode != 0


def test_machines_go_and_come_with_their_host(overlay: Host) -> None:
    there = overlay.status()["vm1"]["ipv4"].partition("/")[0]
    overlay.done("power", "off", overlay.lab, "compute1")
    try:
        off = {name for name, one in overlay.status().items() if one["status"] == "off"}
        assert off == {"compute1", "vm1", "vm3", "stranger"}
    finally:
        overlay.done("power", "on", overlay.lab, "compute1")
    assert overlay.pings("ext1", there)


def test_afterwards_nothing_is_left(overlay: Host) -> None:
    overlay.done("down", overlay.lab)
    assert Engine().containers(overlay.lab) == ()
    assert overlay.settled() == overlay.before


def test_tenants_come_back_in_the_order_of_the_range_in_containers_too(tmp_path: Path) -> None:
    host = Host(tmp_path, f"cp-{uuid.uuid4().hex[:8]}", _host())
    out = tmp_path / "out"
    sets = ("--set", "networks=3", "--set", "helper=rootwrap")
    words = ("--runtime", "containerlab", "--name", host.lab, "--out", str(out))
    host.done("run", str(ROOT / "scenarios" / "paris-power-off.yml"), *words, *sets, timeout_s=300)
    events = read_journal(out / "journal.jsonl")
    stairs = staircase_of(judge(events), events)
    assert stairs is not None
    assert stairs.in_order
    assert stairs.forgotten == ()
    assert [tenant.commands for tenant in stairs.tenants] == [TRAITS[Release.FOLSOM_3].commands_a_network] * 3
    assert stairs.networks_s is not None
    assert stairs.queue_s is not None
    assert stairs.queue_s > stairs.networks_s
    assert Engine().containers(host.lab) == ()
    assert host.settled() == host.before


def _host() -> dict[str, list[str]]:
    """What a lab could leave on this machine: links, names of namespaces, daemons, rules, folders.

    Of the daemons those of containers count: no process leaves the control group that it was born in.
    """
    commands = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and "docker" in (entry / "cgroup").read_text():
                commands.append((entry / "comm").read_text().strip())
    rules = subprocess.run(["iptables-save"], capture_output=True, text=True, check=False)
    return {
        "links": _names("/sys/class/net"),
        "namespaces": _names("/run/netns"),
        # Somebody else may have labs here, and may take them up and down meanwhile.
        "labs": [name for name in _names("/run/labctl") if name.startswith(("co-", "cp-"))],
        "daemons": sorted(name for name in commands if name in DAEMONS),
        "rules": [line for line in rules.stdout.splitlines() if line.startswith("-A")],
    }


def _names(folder: str) -> list[str]:
    return sorted(entry.name for entry in Path(folder).iterdir()) if Path(folder).is_dir() else []
