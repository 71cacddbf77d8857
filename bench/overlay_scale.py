#!/usr/bin/env python3
"""The overlay with few networks and with many: time to up, memory, time to a new VM's first answer, entries.

usage: bench/overlay_scale.py [--networks 3,150,300] [--machines N] [--environments N] [--json]. Needs root.

topologies/zero-loss-gateway.yml as it is, with as many tenants and networks as asked for, and so many
further VMs, ten an environment and one a network. Memory is the
proportional share (Pss) of the agents' and of ZooKeeper's processes. The clock of an environment
starts before the process of ``labctl overlay env create`` and stops when a host outside has an answer
from its VM. Entries are counted after every VM has pinged every other one of its tenant, and the outside.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common import finish, labctl, shape
from overlay_first_answer import first_answer

from labctl.lab.lifecycle import open_lab
from labctl.overlay.client.agents import Agents

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

TOPOLOGY = Path(__file__).parent.parent / "topologies" / "zero-loss-gateway.yml"
LAB = "bench-scale"
PATIENCE_S = 30.0
PLENTY = 10
VMS = tuple(f"vm{number}" for number in range(1, 7))


def pss_mb(process: Path) -> float:
    """Proportional set size of a process."""
    rows = (process / "smaps_rollup").read_text().splitlines()
    return int(next(row for row in rows if row.startswith("Pss:")).split()[1]) / 1024


def processes(root: Path, word: bytes) -> Iterator[Path]:
    """Of a node: those whose command line has the word in it."""
    for entry in (root / "proc").iterdir():
        if entry.name.isdigit() and word in (entry / "cmdline").read_bytes().split(b"\0"):
            yield entry


class Measured:
    """One lab of so many networks."""

    def __init__(self) -> None:
        self.runtime, self.folder = open_lab(LAB)
        self.states = self.runtime.states(self.folder)
        self.agents = Agents(self.runtime, self.folder)
        plan = json.loads((self.folder.definition / "lab.json").read_text())
        self.addresses = {node["name"]: str(node["loopback4"]).partition("/")[0] for node in plan["nodes"]}
        self.controllers = plan["overlay"]["controllers"]

    def memory(self) -> dict[str, float]:
        """Megabytes: the largest agent of each kind, all agents, the largest ZooKeeper, all three."""
        found: dict[str, list[float]] = {"compute": [], "gateway": [], "zookeeper": []}
        for node, kind in self.agents.hosts.items():
            found[kind] += [pss_mb(one) for one in processes(self._root(node), b"labctl.overlay.agent")]
        for node in self.controllers:
            word = b"org.apache.zookeeper.server.quorum.QuorumPeerMain"
            found["zookeeper"] += [pss_mb(one) for one in processes(self._root(node), word)]
        return {kind: round(max(sizes), 1) for kind, sizes in found.items()}

    def _root(self, node: str) -> Path:
        return Path(f"/proc/{self.states[node].init_pid}/root")

    def ping_all(self) -> None:
        """Every VM of the tenant to every other, and to the outside and back."""
        ends = [*VMS, "ext1"]
        pairs = [(one, other) for one in ends for other in ends if one != other]
        for one, other in pairs:
            words = ("ping", "-c1", "-W2", self.addresses[other])
            if labctl("exec", LAB, one, "--", *words, check=False).returncode:
                raise SystemExit(f"{one} does not reach {other}")

    def entries(self) -> dict[str, int]:
        """Over all hosts: tunnel devices, tunnels in use, flow entries, preinstalled ones."""
        devices = flows = preinstalled = 0
        tunnels = set()
        for host in self.agents.running:
            links = (self._root(host) / "proc/1/net/dev").read_text()
            devices += sum(line.strip().startswith("lc-vx") for line in links.splitlines())
            status = self.agents.ask(host, {"ask": "status"})
            flows, preinstalled = flows + status["flows"], preinstalled + status["preinstalled"]
            for flow in self.agents.ask(host, {"ask": "flows", "most": 100000})["flows"]:
                if flow["action"] == "tunnel":
                    tunnels.add((host, flow["remote"]))
        return {"devices": devices, "tunnels": len(tunnels), "flows": flows, "preinstalled": preinstalled}

    def environment(self, name: str) -> float:
        """Seconds from the command to the first answer from the environment's VM."""
        began = time.monotonic()
        made = labctl("overlay", "env", "create", LAB, name, "--vms", "1", "--no-wait", "--json")
        address = json.loads(made.stdout)[0]["addresses"][0]
        space = self.runtime.netns(self.folder, "ext1")
        if not first_answer(space, address, began + PATIENCE_S):
            raise SystemExit(f"no answer from {address} within {PATIENCE_S:.0f} s")
        return time.monotonic() - began


def populate(machines: int) -> float:
    """Further VMs; after how many seconds all of them had their addresses."""
    began = time.monotonic()
    for number in range(machines // PLENTY):
        words = (f"plenty{number}", "--vms", str(PLENTY), "--networks", str(PLENTY), "--timeout", "60")
        labctl("overlay", "env", "create", LAB, *words)
    return round(time.monotonic() - began, 2)


def measure(networks: int, machines: int, environments: int) -> dict[str, Any]:
    """A lab from nothing, and everything that is to be known of it."""
    began = time.monotonic()
    words = ("up", str(TOPOLOGY), "--name", LAB, "--runtime", "netns", "--set", f"networks={networks}")
    up = labctl(*words, check=False)
    took = time.monotonic() - began
    try:
        if up.returncode:
            raise SystemExit(up.stderr)
        lab = Measured()
        populated = populate(machines)
        memory = lab.memory()
        lab.ping_all()
        entries = lab.entries()
        times = [round(lab.environment(f"late{number}"), 3) for number in range(environments)]
        return {
            "up_s": round(took, 2),
            "populated_s": populated,
            "memory_mb": memory,
            "entries": entries,
            "environment_s": times,
        }
    finally:
        subprocess.run([sys.executable, "-m", "labctl", "down", LAB], check=False, capture_output=True)


def in_words(networks: int, found: Mapping[str, Any]) -> list[str]:
    """A few lines."""
    memory, entries = found["memory_mb"], found["entries"]
    sizes = ", ".join(f"{kind} {size:.0f} MB" for kind, size in memory.items())
    return [
        f"{networks} networks (and further VMs after {found['populated_s']:.1f} s)",
        f"  up after {found['up_s']:.1f} s; a new VM answers after {shape(found['environment_s'], 's')}",
        f"  memory of the largest agent of each kind, and of the largest ZooKeeper: {sizes}",
        (
            f"  on all hosts {entries['devices']} tunnel devices, {entries['tunnels']} tunnels in use,"
            f" {entries['flows']} flow entries, {entries['preinstalled']} preinstalled"
        ),
    ]


def main() -> int:
    """One lab after the other."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--networks", default="3,150,300", help="separated by commas")
    parser.add_argument("--machines", type=int, default=0, help="further VMs, a multiple of ten")
    parser.add_argument("--environments", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    result: dict[str, Any] = {}
    lines: list[str] = []
    for networks in map(int, options.networks.split(",")):
        result[str(networks)] = measure(networks, options.machines, options.environments)
        lines += in_words(networks, result[str(networks)])
        print("\n".join(in_words(networks, result[str(networks)])), file=sys.stderr)
    finish(result, lines, as_json=options.json)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
