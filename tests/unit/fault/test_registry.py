"""The ledger of faults, and the names of links."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from labctl.clab.definition import Definition, NodeDefinition
from labctl.errors import ActionError
from labctl.fault.ends import far_ends, label, link_between, own_ends
from labctl.fault.registry import Fault, clear, faults, record
from labctl.lab.definition_cache import save_definition
from labctl.lab.state import LabDir
from labctl.model.lab import Endpoint, LinkPlan


def _link(index: int, a: str, b: str) -> LinkPlan:
    return LinkPlan(index, Endpoint(*a.split(":")), Endpoint(*b.split(":")))


AB1, AB2, BC, CC = (
    _link(0, "a:eth1", "b:eth1"),
    _link(1, "b:eth2", "a:eth2"),
    _link(2, "b:eth3", "c:eth1"),
    _link(3, "c:eth2", "c:eth3"),
)


@pytest.fixture
def lab(tmp_path: Path) -> LabDir:
    lab = LabDir("x", tmp_path)
    nodes = tuple(NodeDefinition(name) for name in "abc")
    save_definition(lab, Definition("x", tmp_path / "x.clab.yml", nodes, (AB1, AB2, BC, CC)))
    return lab


def test_faults_are_kept_in_order_and_once(lab: LabDir) -> None:
    record(lab, Fault("power-off", "a", {"mode": "cut"}))
    record(lab, Fault("link-cut", "l"))
    record(lab, Fault("power-off", "a", {"mode": "freeze"}))
    assert faults(lab) == (Fault("link-cut", "l"), Fault("power-off", "a", {"mode": "freeze"}))
    clear(lab, "link-cut", "l")
    clear(lab, "link-cut", "l")
    assert [fault.action for fault in faults(lab)] == ["power-off"]


def test_no_ledger_and_a_broken_one_are_no_faults(lab: LabDir) -> None:
    assert faults(lab) == ()
    (lab.path / "faults.json").write_text("{")
    assert faults(lab) == ()


def test_writers_at_the_same_time_lose_nothing(lab: LabDir) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: record(lab, Fault("power-off", f"n{number}")), range(60)))
    assert {fault.target for fault in faults(lab)} == {f"n{number}" for number in range(60)}


def test_a_link_is_found_from_either_side(lab: LabDir) -> None:
    assert link_between(lab, "b", "c") == link_between(lab, "c", "b") == BC
    assert link_between(lab, "a:eth1", "b") == link_between(lab, "b:eth1", "a") == AB1
    assert link_between(lab, "c:eth2", "c:eth3") == CC


def test_of_several_links_one_must_be_named(lab: LabDir) -> None:
    with pytest.raises(ActionError, match="a:eth1-b:eth1, b:eth2-a:eth2"):
        link_between(lab, "a", "b")


def test_no_such_link_tells_those_that_are_there(lab: LabDir) -> None:
    with pytest.raises(ActionError, match="a has links to: b"):
        link_between(lab, "a", "c")
    with pytest.raises(ActionError, match="no node 'd'"):
        link_between(lab, "a", "d")


def test_ends_of_a_node(lab: LabDir) -> None:
    definition = Definition("x", Path(), (), (AB1, AB2, BC, CC))
    assert {end.node for end in far_ends(definition, "b")} == {"a", "c"}
    assert far_ends(definition, "c", but=[label(BC)]) == ()  # a link to itself has no far end
    assert len(own_ends(definition, "c")) == 3
