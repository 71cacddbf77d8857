#!/usr/bin/env python3
"""The window of a power cut: from the power cut to the last peer's loss of carrier. Needs root.

Every gateway of topologies/ecmp-gateways.yml is cut and returned in turn, again and again. The
bound is 1 ms; what a user prints with ``labctl power off`` is what is gathered here.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from common import finish, labctl, shape

TOPOLOGY = Path(__file__).parent.parent / "topologies" / "ecmp-gateways.yml"
LAB = "bench-window"
BOUND_US = 1000.0


def main() -> int:
    """Measure and print; exit 1 if a window was wider than the bound or a peer saw nothing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cycles", type=int, default=12, help="power cycles in all")
    parser.add_argument("--gateways", type=int, default=3)
    parser.add_argument("--runtime", default="netns")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    windows, first, unseen = [], [], 0
    labctl(
        "up",
        str(TOPOLOGY),
        "--name",
        LAB,
        "--set",
        f"gateways={options.gateways}",
        "--runtime",
        options.runtime,
    )
    try:
        for cycle in range(options.cycles):
            gateway = f"gw{cycle % options.gateways + 1}"
            effect = json.loads(labctl("power", "off", LAB, gateway, "--json").stdout)
            windows.append(effect["window_us"])
            first.append((effect["first_ns"] - effect["requested_ns"]) / 1e3)
            unseen += sum(not change["t_ns"] for change in effect["carriers"])
            labctl("power", "on", LAB, gateway)
    finally:
        labctl("down", LAB, check=False)
    lines = [
        f"{options.cycles} hard power cuts, {options.runtime}, {options.gateways} gateways",
        f"  power cut to the last peer's loss  {shape(windows, 'us', 0)}",
        f"  request to the first peer's loss         {shape(first, 'us', 0)}",
        f"  peers that saw nothing: {unseen}",
    ]
    result = {"runtime": options.runtime, "window_us": windows, "first_us": first, "unseen": unseen}
    finish(result, lines, as_json=options.json)
    return int(max(windows) > BOUND_US or unseen > 0)


if __name__ == "__main__":
    raise SystemExit(main())
