"""Interrupts `labctl up` of two hosts at random moments, and reports what was left each time.

A program of its own, run inside a :mod:`machine`, so that whatever the machine holds beyond what it
held before is left over from the trial::

    python interruptions.py SIGHUP 200 --seed 1

The moments cover the whole life of the process, from its start to after its end: one random moment
in each of COUNT equal parts of 1.15 times the duration of an undisturbed `up`.

Python runs none of labctl's code for the first tens of milliseconds, and no program can handle a signal
before its first line. Whether labctl's handlers stood is read from the process's signal masks in /proc
just before the signal is sent. Where they did not, the signal may end the process, in Python's way
(for SIGINT with a traceback of its start-up), but it leaves nothing either.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

LAB = "moments"
TOPOLOGY = f"name: {LAB}\nnodes:\n  h1: {{role: host}}\n  h2: {{role: host}}\nlinks: [[h1, h2]]\n"
DONE, INTERRUPTED = 0, 130
SETTLE_S = 3.0
STATE = Path("/run/labctl")


@dataclass(frozen=True)
class Trial:
    """One `up` and one signal (or two).

    Attributes:
        at_s: when the signal was sent, after the process was started.
        state: of labctl just before: `early` (its handlers did not stand yet), `handled`, `ended`.
        code: its exit code, negative for a signal.
        faults: what is wrong with this, one line each; none where all is well.
    """

    at_s: float
    state: str
    code: int
    faults: tuple[str, ...]


def census() -> dict[str, list[str]]:
    """What is on the machine: processes, mounts, links, named namespaces, state of labs."""
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    return {
        "processes": sorted(filter(None, map(_process, Path("/proc").iterdir()))),
        "mounts": sorted(" ".join(line.split()[0:5:4]) for line in mounts),
        "links": sorted(map(str, Path("/sys/class/net").iterdir())),
        "named": sorted(map(str, Path("/run/netns").iterdir())),
        "labs": sorted(map(str, STATE.rglob("*"))) + [str(STATE)] * STATE.exists(),
    }


def _process(entry: Path) -> str:
    if not entry.name.isdigit():
        return ""
    try:
        return (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def leftovers(before: dict[str, list[str]]) -> tuple[str, ...]:
    """What came to be since, once the kernel has had time to take namespaces apart."""
    deadline = time.monotonic() + SETTLE_S
    while (now := census()) != before and time.monotonic() < deadline:
        time.sleep(0.01)
    return tuple(
        f"left: {kind}: {one}" for kind in before for one in (Counter(now[kind]) - Counter(before[kind]))
    )


def state_of(pid: int) -> str:
    """Whether labctl's handlers stand, by the masks of SIGHUP: the last of the three to be handled."""
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    if fields["State"].split()[0] == "Z":
        return "ended"
    masks = int(fields["SigCgt"], 16) | int(fields["SigIgn"], 16)
    return "handled" if masks >> (signal.SIGHUP - 1) & 1 else "early"


class Bench:
    """Runs the trials of one signal."""

    def __init__(self, folder: Path, number: signal.Signals, again_s: float | None) -> None:
        self._topology = folder / "lab.yml"
        self._topology.write_text(TOPOLOGY)
        self._number = number
        self._again_s = again_s
        self._random = random.Random()

    def undisturbed_s(self) -> float:
        """How long an `up` takes that nobody interrupts."""
        begin = time.monotonic()
        child = self._up(0, None)
        code = child.wait()
        seconds = time.monotonic() - begin
        if code:
            raise RuntimeError(f"up ended with {code}")
        self._down()
        return seconds

    def trial(self, index: int, at_s: float) -> Trial:
        """Interrupt one `up`; afterwards the machine is as it was."""
        before = census()
        with tempfile.TemporaryFile() as stderr:
            begin = time.monotonic()
            child = self._up(index, stderr)
            time.sleep(max(0.0, begin + at_s - time.monotonic()))
            state = state_of(child.pid)
            os.kill(child.pid, self._number)
            if self._again_s is not None:
                time.sleep(self._random.uniform(0, self._again_s))
                os.kill(child.pid, self._number)  # no more than a zombie, if it has ended
            code = child.wait(60)
            stderr.seek(0)
            told = stderr.read().decode(errors="replace")
        faults = [] if state == "early" else _faults(code, told)
        if code == DONE:
            faults += self._down()
        faults += leftovers(before)
        if any(fault.startswith("left") for fault in faults):
            self._down()
        return Trial(round(at_s, 4), state, code, tuple(faults))

    def _up(self, index: int, stderr: IO[bytes] | None) -> subprocess.Popen[bytes]:
        # Both ways to start it: they differ in how the interpreter ends.
        script = str(Path(sys.executable).with_name("labctl"))
        start = [sys.executable, "-m", "labctl"] if index % 2 == 0 else [sys.executable, script]
        words = ["up", str(self._topology), "--runtime", "netns"]
        quiet = subprocess.DEVNULL
        return subprocess.Popen([*start, *words], stdout=quiet, stderr=stderr or quiet)

    def _down(self) -> list[str]:
        words = [sys.executable, "-m", "labctl", "down", LAB]
        done = subprocess.run(words, check=False, capture_output=True, text=True)
        return [f"down ended with {done.returncode}: {done.stderr}"] if done.returncode else []


def _faults(code: int, told: str) -> list[str]:
    faults = [] if code in (DONE, INTERRUPTED) else [f"exit code {code}"]
    # "Exception ignored in" is how Python prints one that it could not raise.
    if "Traceback" in told or "Exception ignored" in told or "internal error" in told:
        faults.append(f"stderr: {told}")
    return faults


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("signal")
    parser.add_argument("count", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--again", type=float, metavar="SECONDS", help="a second signal within this time")
    parser.add_argument("--within", type=float, default=float("inf"), help="seconds; then no more trials")
    given = parser.parse_args()
    begin = time.monotonic()
    chance = random.Random(given.seed)
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), signal.Signals[given.signal], given.again)
        bench.undisturbed_s()  # whatever a first lab leaves on a machine for good, or caches
        up_s = max(bench.undisturbed_s() for _ in range(3))
        until_s = 1.15 * up_s
        moments = [(index + chance.random()) * until_s / given.count for index in range(given.count)]
        order = chance.sample(range(given.count), given.count)
        # In random order, so that the trials there was time for cover the whole life as well.
        trials = []
        for index in order:
            if time.monotonic() - begin > given.within:
                break
            trials.append(bench.trial(index, moments[index]))
    report = {
        "signal": given.signal,
        "seed": given.seed,
        "up_s": round(up_s, 3),
        "until_s": round(until_s, 3),
        "codes": {
            state: dict(Counter(str(trial.code) for trial in trials if trial.state == state))
            for state in ("early", "handled", "ended")
        },
        "faulty": [asdict(trial) for trial in trials if trial.faults],
    }
    sys.stdout.write(json.dumps(report) + "\n")


if __name__ == "__main__":
    main()
