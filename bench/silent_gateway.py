#!/usr/bin/env python3
"""How long flows are out when a gateway fails silently, by detector, and how many false alarms there are.

usage: bench/silent_gateway.py [--arms fast-detect,bfd,none] [--runs N] [--busy] [--json]. Needs root.

scenarios/silent-gateway.yml, each arm in turn: the fast failure detector (``fast-detect``), FRR's BFD with
the same interval, BGP's hold time alone. A false alarm is a link that the detector took down although the
neighbour behind it was not silent: neither of the two was the gateway that dropped everything, nor had been
in the two seconds before. With --busy another lab, a ring of routers, is brought up and taken down
repeatedly.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import re
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common import finish, labctl

from labctl.lab.lifecycle import open_lab

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

SCENARIO = Path(__file__).parent.parent / "scenarios" / "silent-gateway.yml"
OTHER = Path(__file__).parent.parent / "topologies" / "ring.yml"
LAB, BUSY = "bench-silent", "bench-busy"
ARMS = {
    "fast-detect": ("fast_detect=true",),
    "bfd": ("fast_detect=false", "bfd=true"),
    "none": ("fast_detect=false",),
}
TIMES = {"median": "p50", "95 %": "p95", "99 %": "p99", "longest": "max"}
_DOWN = re.compile(r"fast-detect: ([0-9.]+): (\S+) taken down")
_AFTER_NS = 2_000_000_000
"""A gateway that is whole again has links that come back one after the other."""


@dataclass(frozen=True)
class Silence:
    """A gateway that dropped everything, CLOCK_MONOTONIC."""

    node: str
    from_ns: int
    to_ns: int


def silences(journal: Path) -> Iterator[Silence]:
    """Every one that the journal tells of."""
    began: dict[str, int] = {}
    for line in journal.read_text().splitlines():
        event = json.loads(line)
        data = event["data"]
        if event["kind"] not in ("action.done", "heal.done"):
            continue
        if data["action"] == "node-blackhole":
            began[data["target"]] = data["requested_ns"]
        elif data["action"] == "node-restore" and data["target"] in began:
            yield Silence(data["target"], began.pop(data["target"]), data["done_ns"] + _AFTER_NS)


def alarms(known: Sequence[Silence]) -> dict[str, Any]:
    """What the detectors of the running lab have done: right, wrong (each told), over so many link ends."""
    runtime, folder = open_lab(LAB)
    plan = json.loads((folder.definition / "lab.json").read_text())
    peers = {}
    for link in plan["links"]:
        for one, other in ((link["a"], link["b"]), (link["b"], link["a"])):
            peers[one] = other.partition(":")[0]
    right, wrong, ends = 0, [], 0
    for node in runtime.states(folder):
        config = folder.definition / node / "etc/labctl/fast-detect.json"
        ends += len(json.loads(config.read_text())["links"]) if config.exists() else 0
        for moment, interface in _DOWN.findall(runtime.logs(folder, node).decode(errors="replace")):
            at, pair = int(float(moment) * 1e9), {node, peers[f"{node}:{interface}"]}
            if any(each.node in pair and each.from_ns <= at <= each.to_ns for each in known):
                right += 1
            else:
                wrong.append(f"{moment}: {node} {interface}, to {peers[f'{node}:{interface}']}")
    return {"links taken down": right, "false alarms": wrong, "link ends": ends}


@contextlib.contextmanager
def busy() -> Iterator[None]:
    """Another lab that comes and goes."""
    ended = threading.Event()

    def work() -> None:
        while not ended.is_set():
            labctl("up", str(OTHER), "--name", BUSY, "--runtime", "netns", "--set", "size=12", check=False)
            labctl("down", BUSY, check=False)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def one_arm(arm: str, runs: int) -> dict[str, Any]:
    """The scenario so many times, in one lab."""
    sets = [word for each in ARMS[arm] for word in ("--set", each)]
    with tempfile.TemporaryDirectory() as out:
        words = (
            "run",
            str(SCENARIO),
            "--runs",
            str(runs),
            "--name",
            LAB,
            "--runtime",
            "netns",
            "--keep",
            "--out",
            out,
        )
        try:
            done = labctl(*words, *sets, check=False, timeout_s=880)
            result = json.loads(next(Path(out).rglob("result.json")).read_text())
            journals = sorted(Path(out).rglob("journal.jsonl"))
            known = [one for journal in journals for one in silences(journal)]
            outages, failovers = result["outages"], result["failovers"]
            return {
                "verdict": result["verdict"],
                "exit code": done.returncode,
                "reasons": result["reasons"],
                "runs": len(result["runs"]),
                "silences": failovers["trials"],
                "without a flow": failovers["null"],
                "flows": outages["flows"],
                **{name: outages[f"{name}_ns"] / 1e6 for name in ("p50", "p95", "p99", "max", "error")},
                "watched_s": round(sum(run["length_ns"] for run in result["runs"]) / 1e9),
                **alarms(known),
            }
        finally:
            subprocess.run([sys.executable, "-m", "labctl", "down", LAB], check=False, capture_output=True)


def in_words(arm: str, found: Mapping[str, Any]) -> list[str]:
    """A few lines."""
    times = ", ".join(f"{said} {found[key]:.0f}" for said, key in TIMES.items())
    wrong = found["false alarms"]
    return [
        f"  {arm}: {found['runs']} runs, {found['silences']} silences, {found['flows']} flows",
        f"    {times} (+- {found['error']:.0f}); {found['verdict']}",
        (
            f"    {found['links taken down']} links taken down rightly, {len(wrong)} wrongly;"
            f" {found['link ends']} link ends watched for {found['watched_s']} s"
        ),
        *(f"    {alarm}" for alarm in wrong),
    ]


def main() -> int:
    """Every arm, and what became of it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--arms", default=",".join(ARMS), help="separated by commas")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--busy", action="store_true", help="beside a lab that comes and goes")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    result: dict[str, Any] = {}
    lines = ["outages of flows that crossed a gateway which fell silent, ms"]
    for arm in options.arms.split(","):
        with busy() if options.busy else contextlib.nullcontext():
            result[arm] = one_arm(arm, options.runs)
        lines += in_words(arm, result[arm])
        print("\n".join(in_words(arm, result[arm])), *result[arm]["reasons"], sep="\n", file=sys.stderr)
    finish(result, lines, as_json=options.json)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
