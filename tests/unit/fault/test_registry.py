"""The ledger of faults, and the names of links."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from labctl.clab.definition import Cable, CableEnd, Definition, NodeSpec
from labctl.errors import ActionError
from labctl.fault.ends import cable_between, far_ends, label, own_ends
from labctl.fault.registry import Fault, faults, forget, note
from labctl.lab.definition_cache import remember
from labctl.lab.state import LabDir


def _cable(a: str, b: str) -> Cable:
    return Cable(CableEnd(*a.split(":")), CableEnd(*b.split(":")))


AB1, AB2, BC, CC = (
    _cable("a:eth1", "b:eth1"),
    _cable("b:eth2", "a:eth2"),
    _cable("b:eth3", "c:eth1"),
    _cable("c:eth2", "c:eth3"),
)


@pytest.fixture
def lab(tmp_path: Path) -> LabDir:
    lab = LabDir("x", tmp_path)
    nodes = tuple(NodeSpec(name) for name in "abc")
    remember(lab, Definition("x", tmp_path / "x.clab.yml", nodes, (AB1, AB2, BC, CC)))
    return lab


def test_faults_are_kept_in_order_and_once(lab: LabDir) -> None:
    note(lab, Fault("power-off", "a", {"mode": "cut"}))
    note(lab, Fault("link-cut", "l"))
    note(lab, Fault("power-off", "a", {"mode": "freeze"}))
    assert faults(lab) == (Fault("link-cut", "l"), Fault("power-off", "a", {"mode": "freeze"}))
    forget(lab, "link-cut", "l")
    forget(lab, "link-cut", "l")
    assert [fault.action for fault in faults(lab)] == ["power-off"]


def test_no_ledger_and_a_broken_one_are_no_faults(lab: LabDir) -> None:
    assert faults(lab) == ()
    (lab.path / "faults.json").write_text("{")
    assert faults(lab) == ()


def test_writers_at_the_same_time_lose_nothing(lab: LabDir) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: note(lab, Fault("power-off", f"n{number}")), range(60)))
    assert {fault.target for fault in faults(lab)} == {f"n{number}" for number in range(60)}


def test_a_link_is_found_from_either_side(lab: LabDir) -> None:
    assert cable_between(lab, "b", "c") == cable_between(lab, "c", "b") == BC
    assert cable_between(lab, "a:eth1", "b") == cable_between(lab, "b:eth1", "a") == AB1
    assert cable_between(lab, "c:eth2", "c:eth3") == CC


def test_of_several_links_one_must_be_named(lab: LabDir) -> None:
    with pytest.raises(ActionError, match="a:eth1-b:eth1, b:eth2-a:eth2"):
        cable_between(lab, "a", "b")


def test_no_such_link_tells_those_that_are_there(lab: LabDir) -> None:
    with pytest.raises(ActionError, match="a has links to: b"):
        cable_between(lab, "a", "c")
    with pytest.raises(ActionError, match="no node 'd'"):
        cable_between(lab, "a", "d")


def test_ends_of_a_node(lab: LabDir) -> None:
    definition = Definition("x", Path(), (), (AB1, AB2, BC, CC))
    assert {end.node for end in far_ends(definition, "b")} == {"a", "c"}
    assert far_ends(definition, "c", but=[label(BC)]) == ()  # a cable to itself has no far end
    assert len(own_ends(definition, "c")) == 3
