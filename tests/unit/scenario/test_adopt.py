"""A lab that is up already is used for a run only while nothing in it is broken."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from labctl.clab.definition import Definition, NodeDefinition
from labctl.errors import LabError
from labctl.events import silent
from labctl.fault.registry import Fault, record
from labctl.lab.state import LabDir
from labctl.scenario.adopt import refuse_faulty
from labctl.testing.runtime import FakeRuntime

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def lab(tmp_path: Path) -> LabDir:
    return LabDir("x", tmp_path)


@pytest.fixture
def runtime(lab: LabDir) -> FakeRuntime:
    made = FakeRuntime()
    nodes = tuple(NodeDefinition(name) for name in ("gw1", "r1", "vm1"))
    made.up(lab, Definition("x", lab.path / "x.clab.yml", nodes, ()), silent)
    return made


def test_a_whole_lab_is_adopted(runtime: FakeRuntime, lab: LabDir) -> None:
    refuse_faulty(runtime, lab)


@pytest.mark.parametrize(
    ("fault", "cure"),
    [
        (Fault("power-off", "gw1", {"mode": "cut"}), "gw1 has no power: labctl power on x gw1"),
        (
            Fault("link-cut", "gw1:eth1-r1:eth1", {"ends": ["gw1:eth1", "r1:eth1"]}),
            "link-cut gw1:eth1 r1:eth1 is in force: labctl link restore x gw1:eth1 r1:eth1",
        ),
        (Fault("node-blackhole", "gw1"), "node-blackhole gw1 is in force: labctl down x, and up again"),
        (Fault("power-off", "vm1", {"host": "gw1"}), "gw1 has no power: labctl power on x gw1"),
    ],
)
def test_a_fault_in_force_is_told_with_its_cure(
    runtime: FakeRuntime, lab: LabDir, fault: Fault, cure: str
) -> None:
    record(lab, fault)
    with pytest.raises(LabError) as refused:
        refuse_faulty(runtime, lab)
    assert str(refused.value) == f"lab 'x' is not whole, and nothing was run on it: {cure}"


def test_a_node_that_ended_by_itself_is_told_too(runtime: FakeRuntime, lab: LabDir) -> None:
    runtime.kill(lab, "r1")
    with pytest.raises(LabError, match="r1 is off: labctl power on x r1"):
        refuse_faulty(runtime, lab)
