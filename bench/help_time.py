#!/usr/bin/env python3
"""How long ``labctl --help`` takes, process start and end included. The bound is 0.2 s."""

from __future__ import annotations

import argparse
import time

from common import finish, labctl, quartiles, shape

BOUND_S = 0.2


def main() -> int:
    """Measure, print, and tell by the exit code whether the median keeps the bound."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    result: dict[str, list[float]] = {}
    for words in (("--help",), ("--version",), ("up", "--help"), ("ls",)):
        times = []
        for _ in range(options.rounds):
            begin = time.perf_counter()
            labctl(*words)
            times.append(time.perf_counter() - begin)
        result["labctl " + " ".join(words)] = times
    lines = [f"{name:18}  {shape(times, 's', 3)}" for name, times in result.items()]
    finish({"help_time_s": result}, lines, as_json=options.json)
    return int(quartiles(result["labctl --help"])[1] > BOUND_S)


if __name__ == "__main__":
    raise SystemExit(main())
