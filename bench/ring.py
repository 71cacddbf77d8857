#!/usr/bin/env python3
"""A ring of FRR routers from nothing to converged: embedded runtime against containerlab. Needs root.

Both run the same rendered definition, one after the other, in turns, in one run of this script. The
clock starts before the process starts that renders the topology. It stops when every router has
every BGP session established and a route in its kernel to the loopback of every other router: all
pairs are looked up. Then each router pings the router farthest from it.

``netns`` is ``labctl up``, which also waits for every node to be ready. ``containerlab`` is
``labctl render`` and then containerlab by itself, as its users run it, without anything of labctl's
beside it; ``labctl-containerlab`` is ``labctl up --runtime containerlab``. All are looked into in the
same way, from outside and without a process in any node, so that looking takes no time from them:
the kernel's routes by /proc/PID/net/route, the sessions by bgpd's own terminal socket.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from common import finish, labctl, quartiles, shape

from labctl.lab.convergence import destinations

if TYPE_CHECKING:
    from collections.abc import Iterator

sys.path.insert(0, str(Path(__file__).parent.parent / "templates/router/etc/labctl/gate"))
from vty import Vty  # type: ignore[import-not-found]

TOPOLOGY = Path(__file__).parent.parent / "topologies" / "ring.yml"
LAB = "bench-ring"
PATIENCE_S = 180.0
PAUSE_S = 0.05
PINGS = 5
AIM = 3.0


@dataclass(frozen=True)
class Router:
    """One router, as it is looked into: its first process and its loopback."""

    name: str
    pid: int
    address: str

    def run(self, *argv: str) -> subprocess.CompletedProcess[str]:
        """Run a command in its network and mount namespaces, whatever made them."""
        line = ["nsenter", f"--target={self.pid}", "--net", "--mount", "--", *argv]
        return subprocess.run(line, capture_output=True, text=True, check=False, timeout=30)

    def has_routes(self, addresses: list[str]) -> bool:
        """Whether its kernel has a route of its own to every other router's address."""
        lines = Path(f"/proc/{self.pid}/net/route").read_text().splitlines()[1:]
        return set(addresses) - {self.address} <= destinations(lines)

    def has_sessions(self) -> bool:
        """Whether both neighbours in the ring are established."""
        try:
            terminal = Vty(f"/proc/{self.pid}/root/run/frr/bgpd.vty")
            with contextlib.closing(terminal):
                peers = json.loads(terminal.run("show bgp ipv4 unicast summary json"))["peers"].values()
        except (OSError, ValueError, KeyError):
            return False
        return len(peers) == 2 and all(peer["state"] == "Established" for peer in peers)  # noqa: PLR2004


@contextlib.contextmanager
def by_labctl(runtime: str, size: int) -> Iterator[list[Router]]:
    """The ring, up by labctl."""
    try:
        checked(
            labctl(
                "up", str(TOPOLOGY), "--name", LAB, "--set", f"size={size}", "--runtime", runtime, check=False
            )
        )
        from labctl.lab.lifecycle import open_lab  # noqa: PLC0415 - not before the clock has started

        engine, lab = open_lab(LAB)
        pids = {node: state.init_pid for node, state in engine.states(lab).items()}
        yield routers(pids, lab.definition)
    finally:
        labctl("down", LAB, check=False)


@contextlib.contextmanager
def by_containerlab(size: int) -> Iterator[list[Router]]:
    """The ring, up by containerlab alone."""
    with tempfile.TemporaryDirectory() as folder:
        words = (str(TOPOLOGY), "--name", LAB, "--set", f"size={size}", "-o", folder)
        checked(labctl("render", *words, check=False))
        definition = f"{folder}/{LAB}.clab.yml"
        try:
            checked(tool("containerlab", "deploy", "-t", definition))
            names = [f"clab-{LAB}-r{number}" for number in range(1, size + 1)]
            told = checked(tool("docker", "inspect", "-f", "{{.State.Pid}}", *names)).stdout.split()
            pids = {f"r{number}": int(pid) for number, pid in enumerate(told, start=1)}
            yield routers(pids, Path(folder))
        finally:
            tool("containerlab", "destroy", "-t", definition, "--cleanup")


def tool(*argv: str) -> subprocess.CompletedProcess[str]:
    """Run a program."""
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=600)


def checked(done: subprocess.CompletedProcess[str]) -> subprocess.CompletedProcess[str]:
    """End the benchmark if a program did not do what it was asked for."""
    if done.returncode:
        raise SystemExit(f"{' '.join(done.args)}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    return done


def routers(pids: dict[str, int], folder: Path) -> list[Router]:
    """The routers in the order of the ring, with the addresses that were planned."""
    planned = json.loads((folder / "lab.json").read_text())["nodes"]
    return [Router(one["name"], pids[one["name"]], one["loopback4"].partition("/")[0]) for one in planned]


def wait_converged(ring: list[Router], deadline: float) -> None:
    """Return when every pair is in the kernels and every session is established.

    Routers are waited for one after the other: one that was complete stays so, as nothing fails.
    """
    addresses = [router.address for router in ring]
    for router in ring:
        while not (router.has_routes(addresses) and router.has_sessions()):
            if time.perf_counter() > deadline:
                raise SystemExit(f"{router.name} did not converge within {PATIENCE_S:.0f} s")
            time.sleep(PAUSE_S)


def ping_farthest(ring: list[Router]) -> int:
    """Each router pings the loopback of the one across the ring, from its own: first pings lost.

    A loss is told, not hidden: what is asked here is whether each is reached, and the clock has stopped.
    """
    lost = 0
    for place, router in enumerate(ring):
        across = ring[(place + len(ring) // 2) % len(ring)]
        for left in reversed(range(PINGS)):
            done = router.run("ping", "-c1", "-W1", "-I", router.address, across.address)
            if not done.returncode:
                break
            lost += left == PINGS - 1
        else:
            raise SystemExit(f"{router.name} does not reach {across.name}: {done.stdout}{done.stderr}")
    return lost


def one_round(name: str, size: int) -> dict[str, float]:
    """From nothing to converged and back to nothing.

    Returns:
        Seconds: ``up`` (the tool has returned), ``converged`` (from the same start), ``down``; and
        ``lost``: how many routers' first ping across the ring had no answer.
    """
    begin = time.perf_counter()
    ways = {"netns": "netns", "labctl-containerlab": "containerlab"}
    lab = by_labctl(ways[name], size) if name in ways else by_containerlab(size)
    with lab as ring:
        up = time.perf_counter() - begin
        wait_converged(ring, begin + PATIENCE_S)
        converged = time.perf_counter() - begin
        lost = ping_farthest(ring)
        ending = time.perf_counter()
    down = time.perf_counter() - ending
    return {"up": round(up, 3), "converged": round(converged, 3), "down": round(down, 3), "lost": lost}


def main() -> int:
    """Measure every way in turns, print times and the ratio; exit 1 below the aim."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
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
            f"  {name:19} {phase:10} {shape([one[phase] for one in measured], 's')}"
            for phase in ("up", "converged", "down")
        ]
        lost = sum(int(one["lost"]) for one in measured)
        lines.append(
            f"  {name:19} {'first ping':10} lost by {lost} of {options.size * len(measured)} routers"
        )
    ratio = None
    if len(names) == 2:  # noqa: PLR2004 - a ratio is of two
        middle = [quartiles([one["converged"] for one in rounds[name]])[1] for name in names]
        ratio = middle[1] / middle[0]
        lines.append(f"  {names[0]} is {ratio:.1f} times as fast as {names[1]} (aim: {AIM:.0f})")
    finish({"size": options.size, "rounds": rounds, "ratio": ratio}, lines, as_json=options.json)
    return int(ratio is not None and ratio < AIM)


if __name__ == "__main__":
    raise SystemExit(main())
