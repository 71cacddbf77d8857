"""All faults undone: in which order, and when one of them will not go."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from labctl.errors import ActionError, NodeError
from labctl.events import silent
from labctl.fault.link import blackhole_link, blackhole_node, cut_link
from labctl.fault.power import power_off
from labctl.fault.registry import Fault, record
from labctl.fault.types import PowerMode
from labctl.fault.undo import undo_all

if TYPE_CHECKING:
    from labctl.testing.fault_bed import Bed


def _undo(bed: Bed) -> list[str]:
    return [f"{effect.action} {effect.target}" for effect in undo_all(bed.runtime, bed.lab, silent)]


def _off(bed: Bed, node: str, mode: PowerMode = PowerMode.CUT) -> None:
    power_off(bed.runtime, bed.lab, node, mode, silent)


def test_a_lab_without_faults_has_nothing_to_undo(bed: Bed) -> None:
    assert _undo(bed) == []
    assert bed.kernel.done == []


def test_the_latest_fault_is_undone_first(bed: Bed) -> None:
    cut_link(bed.runtime, bed.lab, "a", "b", silent)
    _off(bed, "a")
    blackhole_link(bed.runtime, bed.lab, "b", "c", silent)
    blackhole_node(bed.runtime, bed.lab, "b", silent)
    assert _undo(bed) == [
        "node-restore b",
        "link-restore b:lt2-c:lt2",
        "power-on a",
        "link-restore a:lt1-b:lt1",
    ]
    assert bed.in_force == []
    assert bed.kernel.carrier("a:lt1")
    assert not bed.closed


def test_guests_come_with_their_host_and_not_by_themselves(bed: Bed) -> None:
    _off(bed, "c")  # and vm with it, whose fault is the latest
    assert _undo(bed) == ["power-on c"]
    assert bed.in_force == []


def test_a_guest_that_lost_its_power_alone_gets_it_back_alone(bed: Bed) -> None:
    _off(bed, "vm", PowerMode.FREEZE)
    assert _undo(bed) == ["power-on vm"]


def test_one_that_cannot_be_undone_does_not_keep_the_others(bed: Bed) -> None:
    cut_link(bed.runtime, bed.lab, "b", "c", silent)
    _off(bed, "a")
    bed.runtime.failures["boot a"] = NodeError("a did not start")
    with pytest.raises(ActionError, match=r"^power-off of a could not be undone: a did not start$"):
        _undo(bed)
    assert bed.in_force == ["power-off a"]
    assert bed.kernel.carrier("b:lt2")
    # The next try begins where this one ended.
    assert _undo(bed) == ["power-on a"]


def test_every_one_that_cannot_be_undone_is_named(bed: Bed) -> None:
    _off(bed, "a")
    record(bed.lab, Fault("link-impair", "x"))
    bed.runtime.failures["boot a"] = NodeError("a did not start")
    with pytest.raises(ActionError) as caught:
        _undo(bed)
    told = str(caught.value).splitlines()
    assert [line.partition(" could")[0] for line in told] == ["link-impair of x", "power-off of a"]
    assert bed.in_force == ["power-off a", "link-impair x"]


def test_a_guest_is_tried_by_itself_where_its_host_does_not_come_back(bed: Bed) -> None:
    _off(bed, "c")
    bed.runtime.failures["boot c"] = NodeError("c did not start")
    with pytest.raises(ActionError) as caught:
        _undo(bed)
    assert [line.partition(" could")[0] for line in str(caught.value).splitlines()] == [
        "power-off of c",
        "power-off of vm",
    ]
