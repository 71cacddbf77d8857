"""Every fault is in the ledger before it takes hold: whoever is killed meanwhile leaves it to be undone."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from labctl.events import silent
from labctl.fault.link import blackhole_link, blackhole_node, cut_link
from labctl.fault.power import power_off
from labctl.fault.types import PowerMode
from labctl.fault.undo import undo_all

if TYPE_CHECKING:
    from collections.abc import Callable

    from labctl.testing.fault_bed import Bed

FAULTS: dict[str, Callable[[Bed], object]] = {
    "power-off a": lambda bed: power_off(bed.runtime, bed.lab, "a", PowerMode.CUT, silent),
    "power-off b": lambda bed: power_off(bed.runtime, bed.lab, "b", PowerMode.FREEZE, silent),
    "link-cut a:lt1-b:lt1": lambda bed: cut_link(bed.runtime, bed.lab, "a", "b", silent),
    "link-blackhole a:lt1-b:lt1": lambda bed: blackhole_link(bed.runtime, bed.lab, "a", "b", silent),
    "node-blackhole a": lambda bed: blackhole_node(bed.runtime, bed.lab, "a", silent),
}


@pytest.mark.parametrize("name", FAULTS)
def test_the_ledger_knows_a_fault_before_anything_changes(bed: Bed, name: str) -> None:
    seen: list[list[str]] = []
    bed.kernel.before_change = lambda _change: seen.append(bed.in_force)
    FAULTS[name](bed)
    assert seen
    assert set(map(tuple, seen)) == {(name,)}


@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.parametrize("change", range(4))
def test_a_fault_that_dies_at_any_change_can_be_undone(bed: Bed, name: str, change: int) -> None:
    left = [change]

    def die(_change: str) -> None:
        if threading.current_thread().name == "labctl-freeze":
            return  # the cut goes on whatever becomes of that thread
        if not left[0]:
            bed.kernel.before_change = lambda _change: None
            raise KeyboardInterrupt
        left[0] -= 1

    bed.kernel.before_change = die
    try:
        FAULTS[name](bed)
    except KeyboardInterrupt:
        assert bed.in_force == [name]
    bed.kernel.before_change = lambda _change: None
    undo_all(bed.runtime, bed.lab, silent)
    assert bed.in_force == []
    assert not bed.closed
    assert all(bed.kernel.carrier(end) for end in ("a:lt1", "b:lt1", "a:lt2", "c:lt1"))
    states = bed.runtime.states(bed.lab)
    assert {state.status.value for state in states.values()} == {"running"}
