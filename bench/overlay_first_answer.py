#!/usr/bin/env python3
"""Time to first reply of new flows while the state database elects a leader, or has none.

usage: bench/overlay_first_answer.py [--rounds N] [--json]. Needs root.

A lab of two gateways and two computes. Every few milliseconds an echo request with an identifier of
its own, so a flow that no kernel knows, goes between VMs of one network, of two, and from and to the
outside. Each is sent once: what is not answered within two seconds counts as unanswered. Beside it,
twice a second, an environment with one VM is asked for, and from the moment that the database
has it, the outside sends that VM an echo request every ten milliseconds until one is answered.

Phases: all three controllers there; the leader's power cut; two controllers off, so that no leader
can be; and those two back. Before power is taken, every environment that was asked for has been
answered, so that no phase pays for the one before; what is asked for without a leader has to wait.
Times are taken by this program, so a busy machine shows in all phases alike.
"""

from __future__ import annotations

import argparse
import json
import select
import socket
import struct
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from common import finish, labctl

from labctl.errors import LabctlError
from labctl.fault import PowerMode, power_off
from labctl.lab.lifecycle import open_lab
from labctl.linux.netns import inside
from labctl.overlay.client.database import open_overlay
from labctl.overlay.client.environments import create_environment
from labctl.overlay.packet import checksum

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from labctl.overlay.config.model import VmPort

TOPOLOGY = Path(__file__).parent.parent / "topologies" / "zero-loss-gateway.yml"
LAB = "bench-answer"
SETS = ("gateways=2", "computes=2", "vms=4", "networks=2")
WAYS = (("vm1", "vm2"), ("vm3", "vm2"), ("ext1", "vm4"), ("vm4", "ext1"))
CONTROLLERS = ("ctl1", "ctl2", "ctl3")
PAUSE_S, UNANSWERED_S = 0.004, 2.0
ENV_EVERY_S, ENV_PAUSE_S, ENV_PATIENCE_S = 0.5, 0.01, 30.0
PHASE_S = {"quiet": 5.0, "election": 5.0, "no leader": 5.0, "leader again": 5.0}


@dataclass
class Asked:
    """One flow: when it began, in which phase, and when it was answered (0: not yet)."""

    phase: str
    sent_ns: int
    answered_ns: int = 0


@dataclass
class Environment:
    """An environment asked for in some phase; seconds since then, None for never."""

    phase: str
    stored_s: float | None = None
    answered_s: float | None = None
    why_not: str = ""


class Lab:
    """The running lab, as far as it is needed here."""

    def __init__(self) -> None:
        self.runtime, self.folder = open_lab(LAB)
        self.overlay = open_overlay(self.runtime, self.folder)
        names = (*CONTROLLERS, *{name for way in WAYS for name in way})
        self.spaces = {name: self.runtime.netns(self.folder, name) for name in names}
        plan = json.loads((self.folder.definition / "lab.json").read_text())["nodes"]
        self.addresses = {node["name"]: str(node["loopback4"]).partition("/")[0] for node in plan}

    def mode(self, node: str) -> str:
        """What a controller says that it is: ``leader``, ``follower``, or nothing."""

        def ask() -> str:
            with socket.create_connection(("127.0.0.1", 2181), timeout=0.5) as link:
                link.sendall(b"srvr")
                return b"".join(iter(lambda: link.recv(4096), b"")).decode()

        try:
            said = inside(self.spaces[node], ask)
        except OSError:
            return ""
        return said.partition("\nMode: ")[2].partition("\n")[0]

    def power_off(self, node: str) -> float:
        """Cut a node's power; the moment at which its peers saw it go, in seconds."""
        return power_off(self.runtime, self.folder, node, PowerMode.CUT, lambda _: None).first_ns / 1e9

    def leader(self, among: Sequence[str] = CONTROLLERS, within_s: float = 30) -> str:
        """The leader, as soon as there is one."""
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            for node in among:
                if self.mode(node) == "leader":
                    return node
            time.sleep(0.01)
        raise SystemExit(f"no leader among {', '.join(among)} within {within_s:.0f} s")


def echo(identifier: int) -> bytes:
    """An ICMP echo request."""
    head = struct.pack("!BBHHH", 8, 0, 0, identifier, 1) + bytes(16)
    return head[:2] + struct.pack("!H", checksum(head)) + head[4:]


def ears(space: Path) -> socket.socket:
    """A raw ICMP socket in a namespace."""
    sock = inside(space, lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    sock.setblocking(False)
    return sock


class Flows:
    """Opens a new flow every few milliseconds, each way in turn, until it is stopped."""

    def __init__(self, lab: Lab) -> None:
        self.phase = "quiet"
        self.asked: list[dict[int, Asked]] = [{} for _ in WAYS]
        self._targets = [lab.addresses[target] for _, target in WAYS]
        self._socks = [ears(lab.spaces[source]) for source, _ in WAYS]
        self._stopped = threading.Event()
        self._threads = [threading.Thread(target=work) for work in (self._ask, self._hear)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """After the last has had its time to be answered."""
        self._stopped.set()
        for thread in self._threads:
            thread.join()

    def _ask(self) -> None:
        number, due = 0, time.monotonic()
        while not self._stopped.is_set():
            way, identifier = number % len(WAYS), 1 + number // len(WAYS) % 65535
            self.asked[way][identifier] = Asked(self.phase, time.monotonic_ns())
            try:
                self._socks[way].sendto(echo(identifier), (self._targets[way], 0))
            except OSError as error:
                raise SystemExit(f"{WAYS[way][0]} cannot send: {error}") from error
            number += 1
            due += PAUSE_S
            time.sleep(max(0.0, due - time.monotonic()))
        time.sleep(UNANSWERED_S)

    def _hear(self) -> None:
        places = {sock: way for way, sock in enumerate(self._socks)}
        while self._threads[0].is_alive():
            for sock in select.select(self._socks, [], [], 0.1)[0]:
                while True:
                    try:
                        data = sock.recv(2048)
                    except BlockingIOError:
                        break
                    asked = (
                        self.asked[places[sock]].get(int.from_bytes(data[24:26])) if data[20] == 0 else None
                    )
                    if asked is not None and not asked.answered_ns:
                        asked.answered_ns = time.monotonic_ns()


class Environments:
    """Asks for one after the other, each in a thread of its own: some have to wait."""

    def __init__(self, lab: Lab, flows: Flows, names: str) -> None:
        self.made: list[Environment] = []
        self._lab, self._flows, self._names = lab, flows, names
        self._threads: list[threading.Thread] = []

    def ask(self, seconds: float) -> None:
        """For one after the other, for so long."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            name = f"{self._names}-{len(self.made)}"
            self.made.append(Environment(self._flows.phase))
            thread = threading.Thread(target=self._make, args=(name, self.made[-1]))
            thread.start()
            self._threads.append(thread)
            time.sleep(ENV_EVERY_S)

    def wait(self) -> None:
        """Until all have been answered, or given up."""
        for thread in self._threads:
            thread.join()

    def _make(self, name: str, made: Environment) -> None:
        began = time.monotonic()
        try:
            ports: tuple[VmPort, ...] = create_environment(self._lab.overlay, name, vms=1)
        except LabctlError as error:
            made.why_not = str(error)
            return
        made.stored_s = time.monotonic() - began
        address = next(str(one) for one in ports[0].addresses if one.version == 4)  # noqa: PLR2004
        if first_answer(self._lab.spaces["ext1"], address, began + ENV_PATIENCE_S):
            made.answered_s = time.monotonic() - began


def first_answer(space: Path, address: str, deadline: float) -> bool:
    """Whether an echo request to that address is answered; a new flow every ten milliseconds."""
    identifier = 0
    with ears(space) as sock:
        # The kernel then hands over what comes from there alone.
        sock.connect((address, 0))
        while time.monotonic() < deadline:
            identifier = identifier % 65535 + 1
            sock.send(echo(identifier))
            if select.select([sock], [], [], ENV_PAUSE_S)[0] and sock.recv(2048)[20] == 0:
                return True
    return False


def one_round(lab: Lab, number: int) -> tuple[Flows, Environments, float]:
    """All four phases; the last value is after how many seconds a new leader served."""
    flows = Flows(lab)
    envs = Environments(lab, flows, f"e{number}")
    try:
        envs.ask(PHASE_S["quiet"])
        envs.wait()
        first = lab.leader()
        others = [node for node in CONTROLLERS if node != first]
        flows.phase = "election"
        cut = lab.power_off(first)
        found: list[tuple[str, float]] = []
        looking = threading.Thread(target=lambda: found.append((lab.leader(others), time.monotonic())))
        looking.start()
        envs.ask(PHASE_S["election"])
        envs.wait()
        looking.join()
        second, elected = found[0]
        flows.phase = "no leader"
        lab.power_off(second)
        envs.ask(PHASE_S["no leader"])
        flows.phase = "leader again"
        labctl("power", "on", LAB, first, "--no-wait")
        labctl("power", "on", LAB, second, "--no-wait")
        lab.leader()
        envs.ask(PHASE_S["leader again"])
    finally:
        envs.wait()
        flows.stop()
    return flows, envs, elected - cut


def quantiles(values: Sequence[float]) -> Mapping[str, float]:
    """Median, 95 %, 99 % and the longest."""
    ordered = sorted(values)
    return {
        name: round(ordered[min(len(ordered) - 1, int(len(ordered) * share))], 2)
        for name, share in (("median", 0.5), ("p95", 0.95), ("p99", 0.99), ("longest", 1.0))
    }


@dataclass
class Told:
    """What was found, for people and for machines."""

    result: dict[str, object] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)

    def flows(self, rounds: Sequence[Flows]) -> None:
        """Time to first answer by phase, milliseconds."""
        for phase in PHASE_S:
            asked = [
                one for flows in rounds for way in flows.asked for one in way.values() if one.phase == phase
            ]
            took = [(one.answered_ns - one.sent_ns) / 1e6 for one in asked if one.answered_ns]
            found = {"flows": len(asked), "unanswered": len(asked) - len(took), **quantiles(took)}
            self.result[f"flows, {phase}"] = found
            self.lines.append(
                f"  new flows, {phase:13} {found['flows']:6}  unanswered {found['unanswered']:3}   median "
                f"{found['median']:7.2f}  95 % {found['p95']:7.2f}  99 % {found['p99']:7.2f}  longest "
                f"{found['longest']:7.2f} ms"
            )

    def environments(self, rounds: Sequence[Environments]) -> None:
        """Seconds from the request to the transaction, and to the first answer."""
        for phase in PHASE_S:
            made = [one for envs in rounds for one in envs.made if one.phase == phase]
            for what in ("stored_s", "answered_s"):
                took = [value for one in made if (value := getattr(one, what)) is not None]
                found = {
                    "asked for": len(made),
                    "without": len(made) - len(took),
                    **(quantiles(took) if took else {}),
                }
                self.result[f"environments, {phase}, {what}"] = found
                shown = "  ".join(f"{name} {value}" for name, value in found.items())
                self.lines.append(f"  environments, {phase:13} {what:10} {shown}")
        self.result["refused"] = [one.why_not for envs in rounds for one in envs.made if one.why_not]


def main() -> int:
    """Bring the lab up, measure, take it down."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    sets = [word for each in SETS for word in ("--set", each)]
    up = labctl("up", str(TOPOLOGY), "--name", LAB, "--runtime", "netns", *sets, check=False)
    try:
        if up.returncode:
            raise SystemExit(up.stderr)
        lab = Lab()
        rounds = []
        for number in range(options.rounds):
            rounds.append(one_round(lab, number))
            print(f"round {number + 1}: a leader after {rounds[-1][2]:.2f} s", file=sys.stderr)
            wait_ready()
    finally:
        labctl("down", LAB, check=False)
    told = Told({"elected_s": [elected for _, _, elected in rounds]}, ["time to first answer"])
    told.lines.append(
        "  a new leader after " + ", ".join(f"{elected:.2f}" for _, _, elected in rounds) + " s"
    )
    told.flows([flows for flows, _, _ in rounds])
    told.environments([envs for _, envs, _ in rounds])
    finish(told.result, told.lines, as_json=options.json)
    return 0


def wait_ready() -> None:
    """Until every controller serves again; then environments go, so that each round begins alike."""
    for node in CONTROLLERS:
        labctl("power", "on", LAB, node)

    def clear(edit: object) -> None:
        from labctl.overlay.config.environment import remove_tenant  # noqa: PLC0415
        from labctl.overlay.config.model import Tenant  # noqa: PLC0415

        for name in [item.name for item in edit.all(Tenant) if item.name.startswith("e")]:  # type: ignore[attr-defined]
            remove_tenant(edit, name)  # type: ignore[arg-type]

    open_overlay(*open_lab(LAB)).database.change(clear)
    time.sleep(3)


if __name__ == "__main__":
    raise SystemExit(main())
