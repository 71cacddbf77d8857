#!/usr/bin/env python3
"""How long ``labctl --help`` takes, process start and end included, beside a floor.

The floor is a bare Python that imports the two libraries of a command line, typer and rich. Each run of
labctl is paired with a run of the floor just before it, so that what else the machine does weighs on
both; what counts is the ratio within a pair. Exit code 1 if the median ratio of ``labctl --help`` is
above the bound.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time

from common import finish, quartiles, shape

BOUND = 1.5
"""One heavy library more (pydantic, where a command has options) makes it 2.6."""
FLOOR = ("-c", "import typer, rich")
COMMANDS = {
    "labctl --help": ("-m", "labctl", "--help"),
    "labctl --version": ("-m", "labctl", "--version"),
    "labctl up --help": ("-m", "labctl", "up", "--help"),
    "labctl ls": ("-m", "labctl", "ls"),
}


def main() -> int:
    """Measure, print, and tell by the exit code whether the bound is kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    result: dict[str, dict[str, list[float]]] = {
        name: {"floor_s": [], "time_s": [], "ratio": []} for name in COMMANDS
    }
    for _ in range(options.rounds):
        for name, words in COMMANDS.items():
            floor, taken = _seconds(FLOOR), _seconds(words)
            for key, value in (("floor_s", floor), ("time_s", taken), ("ratio", taken / floor)):
                result[name][key].append(value)
    lines = [
        f"{name:17}  {shape(found['ratio'], 'x the floor')}; {shape(found['time_s'], 's', 3)}"
        for name, found in result.items()
    ]
    floors = [one for found in result.values() for one in found["floor_s"]]
    lines.append(f"{'floor':17}  {shape(floors, 's', 3)}")
    finish({"help_time": result}, lines, as_json=options.json)
    return int(quartiles(result["labctl --help"]["ratio"])[1] > BOUND)


def _seconds(words: tuple[str, ...]) -> float:
    begin = time.perf_counter()
    subprocess.run([sys.executable, *words], capture_output=True, check=True, timeout=600)
    return time.perf_counter() - begin


if __name__ == "__main__":
    raise SystemExit(main())
