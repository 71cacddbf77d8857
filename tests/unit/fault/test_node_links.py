"""All link ends of a node at once: what goes along, and what is there no more."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from labctl.errors import ActionError
from labctl.events import silent
from labctl.fault import node_links
from labctl.fault.power import power_off, power_on
from labctl.fault.types import PowerMode
from labctl.lab.runtime import NodeStatus

if TYPE_CHECKING:
    from labctl.testing.fault_bed import Bed


def _off(bed: Bed, node: str) -> None:
    power_off(bed.runtime, bed.lab, node, PowerMode.CUT, silent)


def test_a_management_interface_loses_its_link_with_the_others(bed: Bed) -> None:
    bed.kernel.add("a:eth0", bed.lab.netns / "a")
    _off(bed, "a")
    assert not bed.kernel.up("a:eth0")
    assert [word for word in bed.kernel.done if word.startswith("down")] == [
        "down a:lt1",
        "down a:lt2",
        "down a:eth0",
    ]


def test_a_management_interface_comes_up_with_the_others(bed: Bed) -> None:
    _off(bed, "a")
    bed.runtime.boot(bed.lab, "a")
    bed.kernel.add("a:eth0", bed.lab.netns / "a", up=False)
    node_links.move_links(bed.lab.parked / "a", bed.lab.netns / "a", ["lt1", "lt2"])
    node_links.set_links_up(bed.lab.netns / "a", ["lt1", "lt2"])
    assert bed.kernel.up("a:eth0")


def test_links_that_were_moved_already_are_passed_over(bed: Bed) -> None:
    _off(bed, "a")
    bed.runtime.boot(bed.lab, "a")
    for _ in range(2):
        node_links.move_links(bed.lab.parked / "a", bed.lab.netns / "a", ["lt1", "lt2"])
    assert [word for word in bed.kernel.done if word.startswith("move")] == ["move a:lt1", "move a:lt2"]


def test_an_interface_that_somebody_took_away_is_told_and_nothing_is_stopped(bed: Bed) -> None:
    bed.kernel.take_away("a:lt2")
    with pytest.raises(ActionError, match="a has no interface lt2: another program has removed it"):
        _off(bed, "a")
    assert bed.kernel.done == []
    assert bed.runtime.states(bed.lab)["a"].status is NodeStatus.RUNNING


def test_a_power_on_that_died_after_the_boot_begins_again(bed: Bed) -> None:
    _off(bed, "a")
    bed.runtime.boot(bed.lab, "a")
    node_links.move_links(bed.lab.parked / "a", bed.lab.netns / "a", ["lt1"])
    # One link end is in the fresh namespace, one still in the old one.
    power_on(bed.runtime, bed.lab, "a", silent)
    assert [bed.kernel.carrier(end) for end in ("b:lt1", "c:lt1")] == [True, True]
    assert bed.in_force == []
