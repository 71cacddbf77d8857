"""The overlay's datapath against the kernel's bridge and VXLAN, in the same run, taking turns.

usage: bench/overlay_datapath.py [--rounds N] [--seconds S] [--flows N] [--json]
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

from common import finish, shape
from overlay_bed import Bed, bridge_bed, overlay_bed
from overlay_load import (
    agent_cpu_s,
    first_packets,
    new_decisions,
    new_echoes,
    new_flows,
    sessions,
    small_packets,
    stream,
)

if TYPE_CHECKING:
    from collections.abc import Callable

RATES = (2000, 4000, 8000, 12000, 16000, 20000, 25000, 30000)
DECISIONS = (500, 1000, 2000, 3000, 4000)
ENOUGH = 0.99


def _ratios(overlay: Bed, bridge: Bed, rounds: int, seconds: float) -> dict[str, list[float]]:
    """Overlay over bridge, one pair a round."""
    found: dict[str, list[float]] = {}
    for what, load in (
        ("TCP throughput", stream),
        ("small packets", small_packets),
        ("TCP sessions", sessions),
    ):
        for number in range(rounds):
            order = (overlay, bridge) if number % 2 else (bridge, overlay)
            values = {bed.name: load(bed, seconds) for bed in order}
            found.setdefault(f"{what}, overlay", []).append(values["overlay"])
            found.setdefault(f"{what}, ratio", []).append(values["overlay"] / values["bridge"])
    return found


def _offered(
    overlay: Bed,
    rates: tuple[int, ...],
    seconds: float,
    load: Callable[[Bed, int, float, int], float],
    start: int,
) -> tuple[dict[int, float], dict[int, float]]:
    """Of each rate, the share that arrived, and the agents' microseconds of CPU; no number comes twice."""
    shares, cpu_us = {}, {}
    for rate in rates:
        before = agent_cpu_s(overlay)
        shares[rate] = load(overlay, rate, seconds, start)
        done = shares[rate] * rate * seconds
        cpu_us[rate] = (agent_cpu_s(overlay) - before) / done * 1e6 if done else 0.0
        start += int(rate * seconds)
        time.sleep(0.3)
    return shares, cpu_us


def _best(shares: dict[int, float]) -> int:
    return max((rate for rate, share in shares.items() if share >= ENOUGH), default=0)


def _percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--flows", type=int, default=400)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with ExitStack() as stack:
        overlay = stack.enter_context(overlay_bed("Kbo"))
        bridge = stack.enter_context(bridge_bed("Kbb"))
        ratios = _ratios(overlay, bridge, options.rounds, options.seconds)
        asked_one_way, asked = new_echoes(overlay, options.flows)
        one_way, first, second = first_packets(overlay, options.flows)
        _, plain, _ = first_packets(bridge, options.flows)
        decided, decided_us = _offered(overlay, DECISIONS, options.seconds, new_decisions, options.flows + 1)
        shares, cpu_us = _offered(overlay, RATES, options.seconds, new_flows, 0)
    lines = []
    for what, unit, scale in (
        ("TCP throughput", "Gbit/s", 1e9), ("small packets", "kpps", 1e3), ("TCP sessions", "a second", 1.0),
    ):  # fmt: skip
        values = [value / scale for value in ratios[f"{what}, overlay"]]
        lines.append(f"{what}: {shape(values, unit)}, {shape(ratios[f'{what}, ratio'], 'x bridge + VXLAN')}")
    for name, values in (
        ("first packet, decided by the agents, one way (2 upcalls)", asked_one_way),
        ("first packet, decided by the agents, there and back (reply made ahead)", asked),
        ("first packet, decided by the kernel, one way", one_way),
        ("first packet, decided by the kernel, there and back", first),
        ("second packet, there and back", second),
        ("first packet of bridge + VXLAN, there and back", plain),
    ):
        lines.append(
            f"{name}: median {statistics.median(values) * 1e3:.3f} ms,"
            f" p99 {_percentile(values, 0.99) * 1e3:.3f} ms, of {len(values)} flows"
        )
    for what, offered, cost in (
        ("decisions (2 upcalls each)", decided, decided_us), ("flows like one before", shares, cpu_us),
    ):  # fmt: skip
        lines.append(f"new {what} a second: share that arrived, agents' CPU:")
        lines += [f"  {rate:6d}: {share:.3f}, {cost[rate]:.0f} us each" for rate, share in offered.items()]
        lines.append(f"  most with {ENOUGH:.0%} or more: {_best(offered)} a second")
    result = {
        "ratios": ratios, "asked_s": asked_one_way, "first_s": one_way, "decided": decided, "shares": shares,
        "cpu_us": cpu_us, "best": _best(shares),
    }  # fmt: skip
    finish(result, lines, as_json=options.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
