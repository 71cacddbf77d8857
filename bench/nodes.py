#!/usr/bin/env python3
"""Many nodes without routing: how long the embedded runtime takes up and down. Needs root.

The nodes are hosts in a ring: one link each, addresses and default routes, no daemon. Both times
are of whole commands, process start and rendering included. After each round nothing may be left:
namespaces, links and processes are counted before and after.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from common import finish, labctl, shape

TOPOLOGY = """\
name: bench-nodes
vars: {size: 100}
nodes:
  n[1-{size}]: {role: host}
links:
  - {a: "n[1-{size}]", b: "n[2-{size},1]", pair: true}
"""


def census() -> dict[str, int]:
    """How much of what a lab is made of there is on this machine."""
    spaces = set()
    processes = 0
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if (entry / "cmdline").read_bytes():
                processes += 1
                spaces.add((entry / "ns" / "net").readlink())
        except OSError:
            continue
    mounts = Path("/proc/self/mountinfo").read_text().count("\n")
    links = sum(1 for _ in Path("/sys/class/net").iterdir())
    return {"processes": processes, "namespaces": len(spaces), "mounts": mounts, "links": links}


def one_round(topology: Path, size: int, runtime: str) -> tuple[float, float, dict[str, tuple[int, int]]]:
    """Up and down once.

    Returns:
        Seconds up, seconds down, and what differs in the census as (before, after).
    """
    before = census()
    begin = time.perf_counter()
    labctl("up", str(topology), "--set", f"size={size}", "--runtime", runtime)
    up = time.perf_counter() - begin
    begin = time.perf_counter()
    labctl("down", "bench-nodes")
    down = time.perf_counter() - begin
    after = census()
    return up, down, {key: (before[key], after[key]) for key in before if before[key] != after[key]}


def main() -> int:
    """Measure and print; exit 1 if something was left behind."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--runtime", default="netns")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    ups: list[float] = []
    downs: list[float] = []
    left: dict[str, tuple[int, int]] = {}
    with tempfile.TemporaryDirectory() as folder:
        topology = Path(folder) / "nodes.yml"
        topology.write_text(TOPOLOGY)
        for _ in range(options.rounds):
            up, down, differs = one_round(topology, options.size, options.runtime)
            ups.append(up)
            downs.append(down)
            # Other programs start and end on a machine: what counts as left is what a lab is made of.
            left |= {
                key: value for key, value in differs.items() if key != "processes" and value[1] > value[0]
            }
    lines = [
        f"{options.size} nodes without routing, {options.runtime}",
        f"  up    {shape(ups, 's')}",
        f"  down  {shape(downs, 's')}",
        f"  left behind: {left or 'nothing'}",
    ]
    result = {"size": options.size, "runtime": options.runtime, "up_s": ups, "down_s": downs, "left": left}
    finish(result, lines, as_json=options.json)
    return int(bool(left))


if __name__ == "__main__":
    raise SystemExit(main())
