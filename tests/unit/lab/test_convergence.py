"""Routes of a lab, read from outside."""

from __future__ import annotations

import socket
import struct
import time
from dataclasses import replace
from ipaddress import IPv4Interface
from pathlib import Path

import pytest

from labctl.clab.definition import Definition, NodeDefinition
from labctl.events import silent
from labctl.lab import convergence
from labctl.lab.convergence import destinations, loopbacks
from labctl.lab.state import LabDir, LabRecord
from labctl.model.codec import dump_lab
from labctl.model.lab import Lab, NodePlan
from labctl.testing.runtime import FakeRuntime

TABLE = (
    "eth1\t0100FF0A\t0100FEA9\t0007\t0\t0\t20\tFFFFFFFF\t0\t0\t0",
    "eth1\t0000FE0A\t00000000\t0001\t0\t0\t0\tFEFFFFFF\t0\t0\t0",
)


def test_only_a_route_to_the_one_address_counts() -> None:
    assert destinations(TABLE) == {"10.255.0.1"}


def test_planned_loopbacks_are_known_and_foreign_ones_are_not(tmp_path: Path) -> None:
    lab = LabDir("settle", tmp_path)
    rendered = str(lab.definition / "settle.clab.yml")
    record = LabRecord("settle", "netns", "/t.yml", "/theirs/settle.clab.yml", "up", 0.0)
    lab.write_record(record)
    assert loopbacks(lab) == {}
    lab.write_record(replace(record, definition=rendered))
    lab.definition.mkdir(parents=True)
    nodes = (
        NodePlan("r1", "router", 0, loopback4=IPv4Interface("10.255.0.1/32")),
        NodePlan("s1", "switch", 1),
    )
    (lab.definition / "lab.json").write_text(dump_lab(Lab("settle", nodes, ())))
    assert loopbacks(lab) == {"r1": "10.255.0.1"}


# Waiting for routes.

LOOPBACKS = {"r1": "10.255.0.1", "r2": "10.255.0.2"}


class Tables:
    """Routing tables that come one after the other, and a clock that a pause moves on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, lab: LabDir, *rounds: dict[str, str]) -> None:
        self.now = 0.0
        self.rounds = list(rounds)
        router = {"net.ipv4.ip_forward": "1"}
        nodes = (
            NodeDefinition("r1", sysctls=router),
            NodeDefinition("r2", sysctls=router),
            NodeDefinition("s1"),
        )
        self.runtime = FakeRuntime()
        self.runtime.up(lab, Definition("x", Path("/x.clab.yml"), nodes, ()), silent)
        self.pids = {state.init_pid: node for node, state in self.runtime.states(lab).items()}
        monkeypatch.setattr(convergence, "_routes", self._routes)
        monkeypatch.setattr(convergence, "loopbacks", lambda _lab: LOOPBACKS)
        monkeypatch.setattr(time, "monotonic", lambda: self.now)
        monkeypatch.setattr(time, "sleep", self._sleep)

    def _sleep(self, seconds: float) -> None:
        self.now += seconds
        if len(self.rounds) > 1:
            self.rounds.pop(0)

    def _routes(self, pid: int) -> tuple[str, ...]:
        address = self.rounds[0].get(self.pids[pid])
        return (_route(address),) if address else ()


def _route(address: str) -> str:
    (number,) = struct.unpack("=I", socket.inet_aton(address))
    return f"eth1\t{number:08X}\t0100FEA9\t0007\t0\t0\t20\tFFFFFFFF\t0\t0\t0"


@pytest.fixture
def lab(tmp_path: Path) -> LabDir:
    return LabDir("x", tmp_path)


def test_a_lab_has_settled_when_every_router_knows_every_other(
    monkeypatch: pytest.MonkeyPatch, lab: LabDir
) -> None:
    tables = Tables(monkeypatch, lab, {}, {"r1": "10.255.0.2"}, {"r1": "10.255.0.2", "r2": "10.255.0.1"})
    assert convergence.wait_settled(tables.runtime, lab, 30.0) is True
    assert tables.now < convergence.QUIET_S


def test_a_lab_whose_routes_stand_still_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, lab: LabDir
) -> None:
    tables = Tables(monkeypatch, lab, {}, {"r1": "10.255.0.2"})
    assert convergence.wait_settled(tables.runtime, lab, 30.0) is False
    # The quiet is counted from the last change.
    assert convergence.QUIET_S < tables.now < convergence.QUIET_S + 0.2


def test_a_lab_whose_routes_never_rest_is_waited_for_until_patience_is_over(
    monkeypatch: pytest.MonkeyPatch, lab: LabDir
) -> None:
    flapping = [{"r1": "10.255.0.2"} if number % 2 else {} for number in range(1000)]
    tables = Tables(monkeypatch, lab, *flapping)
    assert convergence.wait_settled(tables.runtime, lab, 3.0) is False
    assert 3.0 <= tables.now < 3.2


def test_a_lab_without_routers_has_settled_at_once(lab: LabDir) -> None:
    runtime = FakeRuntime()
    runtime.up(lab, Definition("x", Path("/x.clab.yml"), (NodeDefinition("s1"),), ()), silent)
    assert convergence.wait_settled(runtime, lab, 30.0) is True
