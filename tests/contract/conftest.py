"""One lab, three runtimes: what the contract suite runs against."""

from __future__ import annotations

import os
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from triangle import NODES, write_triangle

from labctl import fault
from labctl.clab.parse import read_definition
from labctl.events import silent
from labctl.fault.types import CarrierChange, Effect, PowerMode
from labctl.lab import lifecycle
from labctl.lab.definition_cache import definition_of
from labctl.lab.loaded import load_lab_file
from labctl.lab.readiness import wait_ready
from labctl.lab.runtime import ExecResult
from labctl.lab.state import LabDir, LabRecord
from labctl.testing.runtime import FakeRuntime

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labctl.events import Event
    from labctl.lab.runtime import Runtime

READY_S = 60.0


@dataclass
class Subject:
    """A running lab and what can be done to it, whatever runs it."""

    runtime: Runtime
    lab: LabDir
    path: Path
    events: list[Event] = field(default_factory=list)

    def exec(self, node: str, *argv: str, **options: Any) -> ExecResult:
        return self.runtime.exec(self.lab, node, argv, **options)

    def carrier(self, node: str, interface: str) -> bool:
        """What the node itself sees."""
        told = self.exec(node, "cat", f"/sys/class/net/{interface}/carrier")
        return told.stdout == b"1\n"

    def reaches(self, node: str, address: str) -> bool:
        return self.exec(node, "ping", "-c1", "-W2", address).ok

    def power_off(self, node: str, mode: PowerMode = PowerMode.CUT) -> Effect:
        return fault.power_off(self.runtime, self.lab, node, mode, silent)

    def power_on(self, node: str) -> Effect:
        effect = fault.power_on(self.runtime, self.lab, node, silent)
        self.wait_ready(node)
        return effect

    def cut(self, a: str, b: str) -> Effect:
        return fault.cut_link(self.runtime, self.lab, a, b, silent)

    def restore(self, a: str, b: str) -> Effect:
        return fault.restore_link(self.runtime, self.lab, a, b, silent)

    def wait_ready(self, *nodes: str) -> None:
        wait_ready(self.runtime, self.lab, nodes or NODES, READY_S, self.events.append)

    def down(self) -> None:
        lifecycle.take_down(self.lab, self.events.append)


class FakeSubject(Subject):
    """The same for the fake runtime, whose faults are its own: it has no namespaces to act in."""

    runtime: FakeRuntime

    def carrier(self, node: str, interface: str) -> bool:
        self.runtime.netns(self.lab, node)
        return self.runtime.carrier(self.lab, node, interface)

    def reaches(self, node: str, address: str) -> bool:
        del node, address
        return True

    def power_off(self, node: str, mode: PowerMode = PowerMode.CUT) -> Effect:
        if mode is PowerMode.FREEZE:
            self.runtime.freeze(self.lab, node)
        else:
            self.runtime.kill(self.lab, node)
        return self._effect("power-off", node, node)

    def power_on(self, node: str) -> Effect:
        self.runtime.boot(self.lab, node)
        return self._effect("power-on", node, node)

    def cut(self, a: str, b: str) -> Effect:
        return self._link("link-cut", a, b, cut=True)

    def restore(self, a: str, b: str) -> Effect:
        return self._link("link-restore", a, b, cut=False)

    def down(self) -> None:
        self.runtime.down(self.lab, self.events.append)
        super().down()

    def _link(self, action: str, a: str, b: str, *, cut: bool) -> Effect:
        for number, link in enumerate(definition_of(self.lab).links):
            if {link.a.node, link.b.node} == {a, b}:
                self.runtime.set_cut(self.lab, number, cut=cut)
        return self._effect(action, f"{a}-{b}", a, b)

    def _effect(self, action: str, target: str, *nodes: str) -> Effect:
        changes = tuple(CarrierChange(node, "eth1", 1) for node in NODES if node not in nodes)
        return Effect(action, target, 0, 1, 1, 2, changes[:2])


@pytest.fixture(
    params=[
        "fake",
        pytest.param("netns", marks=pytest.mark.netns),
        pytest.param("containerlab", marks=pytest.mark.clab),
    ]
)
def subject(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Subject]:
    """A lab of three hosts, up and ready; taken away afterwards whatever became of it."""
    name = f"ct-{uuid.uuid4().hex[:8]}"
    path = write_triangle(tmp_path / "def", name)
    made = _fake(path, name, tmp_path) if request.param == "fake" else _real(request.param, path, name)
    try:
        yield made
    finally:
        made.down()


def _real(runtime: str, path: Path, name: str) -> Subject:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    lacks = lifecycle._runtime(runtime).missing(read_definition(path))
    if lacks:
        pytest.skip(f"runtime {runtime}: {'; '.join(lacks)}")
    events: list[Event] = []
    root = Path("/run") / f"labctl-{name}"
    lab = lifecycle.bring_up(
        load_lab_file(path), runtime=runtime, timeout_s=READY_S, listen=events.append, root=root
    )
    return Subject(lifecycle.open_lab(name, root)[0], lab, path, events)


def _fake(path: Path, name: str, folder: Path) -> Subject:
    runtime = FakeRuntime()
    runtime.answers = {
        ("sh", "-c", "echo out; echo err >&2; exit 7"): ExecResult(7, b"out\n", b"err\n"),
        ("cat",): lambda stdin: ExecResult(0, stdin or b"", b""),
        ("sh", "-c", "kill -9 $$"): ExecResult(137, b"", b""),
        ("true",): ExecResult(0, b"", b""),
    }
    lab = LabDir(name, folder / "state")
    made = FakeSubject(runtime, lab, path)
    lab.write_record(LabRecord(name, "fake", str(path), str(path), "up", 0.0))
    runtime.up(lab, read_definition(path), made.events.append)
    made.wait_ready()
    return made
