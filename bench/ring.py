#!/usr/bin/env python3
"""A ring of FRR routers from nothing to converged: embedded runtime against containerlab. Needs root.

Both run the same rendered definition with the same images' software, one after the other, in turns,
in one run of this script. The clock starts before the process starts that brings the lab up. It
stops when every router has every BGP session established and a route in its kernel to the loopback
of every other router: all pairs are looked up. Then each router pings the router farthest from it.
Both runtimes are looked into in the same way: nsenter, from outside.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from common import finish, labctl, quartiles, shape

TOPOLOGY = Path(__file__).parent.parent / "topologies" / "ring.yml"
LAB = "bench-ring"
PATIENCE_S = 180.0
PAUSE_S = 0.05
AIM = 3.0


def main() -> int:
    """Measure every runtime in turns, print times and the ratio; exit 1 below the aim."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--runtimes", default="netns,containerlab", help="separated by commas")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    names = options.runtimes.split(",")
    rounds: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    for number in range(options.rounds):
        # In turns, and the other way round each time: a machine that slows down is fair to both.
        for name in names if number % 2 == 0 else reversed(names):
            rounds[name].append(one_round(name, options.size))
            print(f"round {number + 1}, {name}: {rounds[name][-1]}", file=sys.stderr)
    lines = [f"a ring of {options.size} FRR routers, from nothing"]
    for name, measured in rounds.items():
        lines += [
            f"  {name:12} {phase:10} {shape([one[phase] for one in measured], 's')}"
            for phase in ("up", "converged", "down")
        ]
    ratio = None
    if len(names) == 2:  # noqa: PLR2004 - a ratio is of two
        middle = [quartiles([one["converged"] for one in rounds[name]])[1] for name in names]
        ratio = middle[1] / middle[0]
        lines.append(f"  {names[0]} is {ratio:.1f} times as fast as {names[1]} (aim: {AIM:.0f})")
    finish({"size": options.size, "rounds": rounds, "ratio": ratio}, lines, as_json=options.json)
    return int(ratio is not None and ratio < AIM)


def one_round(runtime: str, size: int) -> dict[str, float]:
    """From nothing to converged and back to nothing.

    Returns:
        Seconds: ``up`` (every node ready, as labctl says), ``converged`` (from the same start, as
        looked up here), ``down``.
    """
    begin = time.perf_counter()
    try:
        up = labctl(
            "up", str(TOPOLOGY), "--name", LAB, "--set", f"size={size}", "--runtime", runtime, check=False
        )
        if up.returncode:
            raise SystemExit(f"{runtime}: {up.stderr}")
        ready = time.perf_counter() - begin
        nodes = json.loads(labctl("status", LAB, "--json").stdout)["nodes"]
        asking = time.perf_counter()
        wait_converged(nodes, begin + PATIENCE_S)
        # The status command is the bench's own: it is taken out again.
        converged = ready + time.perf_counter() - asking
        ping_farthest(nodes)
    finally:
        ending = time.perf_counter()
        labctl("down", LAB, check=False)
        down = time.perf_counter() - ending
    return {"up": round(ready, 3), "converged": round(converged, 3), "down": round(down, 3)}


def wait_converged(nodes: list[dict[str, Any]], deadline: float) -> None:
    """Return when every pair is in the kernels and every session is established.

    Routers are waited for one after the other: one that was complete stays so, as nothing fails.
    """
    addresses = [node["ipv4"].partition("/")[0] for node in nodes]
    for check in (has_all_routes, has_all_sessions):
        for node in nodes:
            while not check(node, addresses):
                if time.perf_counter() > deadline:
                    raise SystemExit(f"{node['node']} did not converge within {PATIENCE_S:.0f} s")
                time.sleep(PAUSE_S)


def inside(node: dict[str, Any], *argv: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command in the network and mount namespaces of a node, whatever the runtime."""
    line = ["nsenter", f"--target={node['pid']}", "--net", "--mount", "--", *argv]
    return subprocess.run(line, capture_output=True, text=True, check=False, input=stdin, timeout=30)


def has_all_routes(node: dict[str, Any], addresses: list[str]) -> bool:
    """A lookup in the node's kernel for the loopback of every router."""
    batch = "".join(f"route get {address}\n" for address in addresses)
    done = inside(node, "ip", "-4", "-batch", "-", stdin=batch)
    return done.returncode == 0 and "unreachable" not in done.stdout


def has_all_sessions(node: dict[str, Any], addresses: list[str]) -> bool:
    """Both neighbours in the ring are established."""
    del addresses
    done = inside(node, "vtysh", "-c", "show bgp ipv4 unicast summary json")
    try:
        peers = json.loads(done.stdout)["peers"].values()
    except (ValueError, KeyError):
        return False
    return len(peers) == 2 and all(peer["state"] == "Established" for peer in peers)  # noqa: PLR2004


def ping_farthest(nodes: list[dict[str, Any]]) -> None:
    """Each router pings the loopback of the one across the ring, from its own."""
    for place, node in enumerate(nodes):
        across = nodes[(place + len(nodes) // 2) % len(nodes)]
        there, here = (one["ipv4"].partition("/")[0] for one in (across, node))
        done = inside(node, "ping", "-c1", "-W2", "-I", here, there)
        if done.returncode:
            raise SystemExit(f"{node['node']} does not reach {across['node']}: {done.stdout}{done.stderr}")


if __name__ == "__main__":
    raise SystemExit(main())
