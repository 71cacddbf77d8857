"""What the benchmarks share: the machine, a table, JSON."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["finish", "labctl", "machine", "quartiles", "shape"]


def machine() -> dict[str, Any]:
    """What the numbers depend on besides the program."""
    cpu = platform.processor() or platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            cpu = line.partition(":")[2].strip()
            break
    return {
        "cpu": cpu,
        "cpus": len(os.sched_getaffinity(0)),
        "memory_mb": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20,
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load_before": round(os.getloadavg()[0], 2),
    }


def labctl(*words: str, check: bool = True, timeout_s: float = 600) -> subprocess.CompletedProcess[str]:
    """Run the command as a user does, in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "labctl", *words],
        capture_output=True,
        text=True,
        check=check,
        timeout=timeout_s,
    )


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """Smallest, median and largest: with few rounds no other quantile means anything."""
    return min(values), statistics.median(values), max(values)


def shape(values: Sequence[float], unit: str, digits: int = 2) -> str:
    """The three as text."""
    low, middle, high = quartiles(values)
    return f"{middle:.{digits}f} {unit} (median of {len(values)}; {low:.{digits}f} to {high:.{digits}f})"


def finish(result: Mapping[str, Any], lines: Sequence[str], *, as_json: bool) -> None:
    """Print the result: as JSON with the machine in it, or as lines."""
    host = machine()
    if as_json:
        print(json.dumps({"machine": host, **result}, indent=2))
        return
    print("\n".join(lines))
    print(f"({host['cpus']} CPUs, {host['cpu']}, kernel {host['kernel']}, load {host['load_before']})")
