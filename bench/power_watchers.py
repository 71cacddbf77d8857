#!/usr/bin/env python3
"""Power cuts of a node while other processes watch it and run in it, on a busy machine. Needs root.

A gateway of topologies/ecmp-gateways.yml is cut and returned again and again, while another process
does what `labctl status`, `labctl exec` and `labctl logs` do, without a pause; programs in the node
spawn others in tight loops, and every processor of the machine is busy. A cut has failed if labctl says
so, if a peer saw nothing, or if a session in the node outlives it.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common import finish, labctl, shape

from labctl import fault
from labctl.cli.status import describe
from labctl.errors import LabctlError
from labctl.events import silent
from labctl.lab.lifecycle import open_lab

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from labctl.lab.runtime import Runtime
    from labctl.lab.state import LabDir

TOPOLOGY = Path(__file__).parent.parent / "topologies" / "ecmp-gateways.yml"
LAB = "bench-watchers"
NODE = "gw1"
SESSION_ENDS_S = 2.0
SERIES = ("window_us", "freeze_us", "to_cut_ms", "first_ms", "done_ms")
BUSY = "while True: pass"
SPAWN = "import os\nwhile True: os.waitpid(os.posix_spawn('/bin/true', ['true'], {}), 0)"
START_SPAWN = 'setsid python3 -c "$0" >/dev/null 2>&1 </dev/null &'


def watch() -> None:
    """Look at the node without end, and start commands in it: what the benchmark's other process does."""
    runtime, lab = open_lab(LAB)
    looks: list[Callable[[], object]] = [
        lambda: describe(LAB),
        lambda: runtime.exec(lab, NODE, ["vtysh", "-c", "show bgp summary"]),
        lambda: runtime.exec(lab, NODE, ["sleep", "0.1"]),
        lambda: runtime.logs(lab, NODE),
    ]

    def loop(look: Callable[[], object]) -> None:
        while True:
            with contextlib.suppress(LabctlError):
                look()
            time.sleep(0.01)

    for look in looks:
        threading.Thread(target=loop, args=(look,)).start()


@contextlib.contextmanager
def watched(busy: int) -> Iterator[None]:
    """The other process, and as many busy ones as are asked for."""
    lines = [[sys.executable, __file__, "--watch"], *([sys.executable, "-c", BUSY] for _ in range(busy))]
    others = [subprocess.Popen(line, stderr=subprocess.DEVNULL) for line in lines]
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


def one_cut(runtime: Runtime, lab: LabDir, result: dict[str, Any]) -> None:
    """Cut and return once; adds to the result."""
    runtime.exec(lab, NODE, ["sh", "-c", START_SPAWN, SPAWN])
    session = subprocess.Popen(runtime.shell_argv(lab, NODE, ["sleep", "1000"]), stdin=subprocess.DEVNULL)
    time.sleep(0.2)
    begin = time.monotonic()
    try:
        effect = fault.power_off(runtime, lab, NODE, fault.PowerMode.CUT, silent)
    except LabctlError as error:
        result["failed"].append(str(error))
    else:
        detail = effect.detail
        result["unseen"] += sum(not change.t_ns for change in effect.carriers)
        result["unfrozen"] += bool(detail.get("unfrozen"))
        result["window_us"].append((effect.last_ns - int(detail["not_before_ns"])) / 1e3)
        result["freeze_us"].append(int(detail.get("freeze_ns", 0)) / 1e3)
        result["to_cut_ms"].append((int(detail["not_before_ns"]) - effect.requested_ns) / 1e6)
        result["first_ms"].append((effect.first_ns - effect.requested_ns) / 1e6)
        result["done_ms"].append((time.monotonic() - begin) * 1e3)
    try:
        session.wait(SESSION_ENDS_S)
    except subprocess.TimeoutExpired:
        result["outlived"] += 1
        session.kill()
        session.wait()
    with contextlib.suppress(LabctlError):
        fault.power_on(runtime, lab, NODE, silent)


def main() -> int:
    """Measure and print; exit 1 if a cut failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cuts", type=int, default=100)
    parser.add_argument("--busy", type=int, default=len(os.sched_getaffinity(0)), help="busy processes")
    parser.add_argument("--limit", type=float, default=240.0, help="seconds after which no cut is begun")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--watch", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.watch:
        watch()
        return 0
    result: dict[str, Any] = {"cuts": 0, "failed": [], "unseen": 0, "unfrozen": 0, "outlived": 0}
    result |= {name: [] for name in SERIES}
    labctl("up", str(TOPOLOGY), "--name", LAB)
    runtime, lab = open_lab(LAB)
    end = time.monotonic() + options.limit
    try:
        with watched(options.busy):
            while result["cuts"] < options.cuts and time.monotonic() < end:
                one_cut(runtime, lab, result)
                result["cuts"] += 1
    finally:
        labctl("down", LAB, check=False)
    failed, unseen, outlived = len(result["failed"]), result["unseen"], result["outlived"]
    lines = [
        f"{result['cuts']} power cuts of a watched node, {options.busy} busy processes: {failed} failed",
        f"  sessions that outlived the cut: {outlived}; peers that saw nothing: {unseen}",
        f"  not all had stopped when the links went: {result['unfrozen']}",
        *(f"  {name:10} {shape(result[name], '', 1)}" for name in SERIES if result[name]),
        *(f"  failed: {reason}" for reason in result["failed"][:5]),
    ]
    finish(result, lines, as_json=options.json)
    return int(failed > 0 or unseen > 0 or outlived > 0)


if __name__ == "__main__":
    raise SystemExit(main())
