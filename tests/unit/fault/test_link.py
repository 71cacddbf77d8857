"""One link: cut, made a black hole, given back, and what of that holds at the same time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from labctl.errors import ActionError
from labctl.events import silent
from labctl.fault.link import blackhole_link, blackhole_node, cut_link, restore_link, restore_node
from labctl.fault.power import power_off, power_on
from labctl.fault.registry import faults
from labctl.fault.types import PowerMode

if TYPE_CHECKING:
    from labctl.fault.types import Effect
    from labctl.testing.fault_bed import Bed
AB = "a:lt1-b:lt1"
ENDS = ("a:lt1", "b:lt1")


def _cut(bed: Bed, a: str = "a", b: str = "b") -> Effect:
    return cut_link(bed.runtime, bed.lab, a, b, silent)


def _hole(bed: Bed, a: str = "a", b: str = "b") -> Effect:
    return blackhole_link(bed.runtime, bed.lab, a, b, silent)


def _restore(bed: Bed, a: str = "a", b: str = "b") -> Effect:
    return restore_link(bed.runtime, bed.lab, a, b, silent)


def _power(bed: Bed, node: str, *, on: bool) -> None:
    if on:
        power_on(bed.runtime, bed.lab, node, silent)
    else:
        power_off(bed.runtime, bed.lab, node, PowerMode.CUT, silent)


# Cut.


def test_a_cut_takes_carrier_from_both_ends_by_holding_one_down(bed: Bed) -> None:
    effect = _cut(bed)
    assert effect.detail["held"] == "b:lt1"  # two of a kind: the second end of the definition
    assert [bed.kernel.up(end) for end in ENDS] == [True, False]
    assert [bed.kernel.carrier(end) for end in ENDS] == [False, False]
    assert {f"{seen.node}:{seen.interface}" for seen in effect.carriers} == set(ENDS)
    assert all(seen.t_ns for seen in effect.carriers)
    # No other link is touched.
    assert bed.kernel.done == ["down b:lt1"]


def test_the_held_end_is_the_same_from_either_side(bed: Bed) -> None:
    assert _cut(bed, "b", "a").detail["held"] == "b:lt1"


def test_a_cut_again_is_no_error_and_one_fault(bed: Bed) -> None:
    assert "already" not in _cut(bed).detail
    effect = _cut(bed)
    assert effect.detail["already"] is True
    assert (effect.carriers, bed.in_force) == ((), [f"link-cut {AB}"])


def test_what_the_held_end_loses_is_noted_once_and_given_back(bed: Bed) -> None:
    _cut(bed)
    noted = faults(bed.lab)[0].detail["held b:lt1"]
    _cut(bed)
    # Noted before it went down: a second cut finds nothing there any more.
    assert faults(bed.lab)[0].detail["held b:lt1"] == noted
    _restore(bed)
    assert bed.put_back == [noted["routes"]]


def test_a_cut_that_no_end_saw_is_an_error_and_stays_in_the_ledger(bed: Bed) -> None:
    bed.kernel.silent.update(ENDS)
    with pytest.raises(ActionError, match="cut of a:lt1-b:lt1 had no effect: no end lost carrier"):
        _cut(bed)
    assert bed.in_force == [f"link-cut {AB}"]


def test_an_end_that_does_not_tell_is_named(bed: Bed) -> None:
    bed.kernel.silent.add("a:lt1")
    assert _cut(bed).detail["unseen"] == "a:lt1"


def test_a_link_of_a_node_without_power_can_be_cut_and_stays_so(bed: Bed) -> None:
    _power(bed, "a", on=False)
    effect = _cut(bed)
    assert effect.carriers == ()  # there is no carrier to lose
    _power(bed, "a", on=True)
    assert [bed.kernel.carrier(end) for end in ENDS] == [False, False]
    _restore(bed)
    assert [bed.kernel.carrier(end) for end in ENDS] == [True, True]


def test_a_link_given_back_while_a_node_has_no_power_comes_with_it(bed: Bed) -> None:
    _cut(bed)
    _power(bed, "a", on=False)
    effect = _restore(bed)
    assert effect.carriers == ()
    assert bed.kernel.up("b:lt1")
    assert not bed.kernel.carrier("b:lt1")
    _power(bed, "a", on=True)
    assert bed.kernel.carrier("b:lt1")
    assert bed.in_force == []


def test_the_held_end_that_is_parked_comes_up_with_its_node(bed: Bed) -> None:
    _cut(bed)
    _power(bed, "b", on=False)
    _restore(bed)
    assert not bed.kernel.up("b:lt1")
    _power(bed, "b", on=True)
    assert [bed.kernel.carrier(end) for end in ENDS] == [True, True]


def test_a_lost_namespace_is_told(bed: Bed) -> None:
    bed.runtime.kill(bed.lab, "b")
    bed.kernel.lose(bed.lab.netns / "b")
    with pytest.raises(ActionError, match="the links of b are lost"):
        _cut(bed)
    assert bed.in_force == []


# Black holes.


def test_a_black_hole_closes_both_ends_and_leaves_carrier(bed: Bed) -> None:
    effect = _hole(bed)
    assert effect.detail == {"window_ns": 0, "ends": 2}
    assert [bed.hole(end) for end in ENDS] == [True, True]
    assert [bed.kernel.carrier(end) for end in ENDS] == [True, True]
    assert not bed.hole("a:lt2")
    assert _hole(bed).detail["already"] is True
    assert bed.in_force == [f"link-blackhole {AB}"]


def test_a_black_hole_beside_a_dark_node_has_one_end(bed: Bed) -> None:
    _power(bed, "a", on=False)
    assert _hole(bed).detail["ends"] == 1
    _power(bed, "a", on=True)
    assert [bed.hole(end) for end in ENDS] == [True, True]


def test_where_no_end_has_power_there_is_no_black_hole(bed: Bed) -> None:
    _power(bed, "a", on=False)
    _power(bed, "b", on=False)
    with pytest.raises(ActionError, match="neither end has power"):
        _hole(bed)
    assert bed.in_force == ["power-off a", "power-off b"]


def test_a_node_that_is_a_black_hole_is_one_at_every_link(bed: Bed) -> None:
    effect = blackhole_node(bed.runtime, bed.lab, "a", silent)
    assert effect.detail["ends"] == 2
    assert [bed.hole(end) for end in ("a:lt1", "a:lt2", "b:lt1")] == [True, True, False]


def test_a_node_without_power_cannot_be_a_black_hole(bed: Bed) -> None:
    _power(bed, "a", on=False)
    with pytest.raises(ActionError, match="is off"):
        blackhole_node(bed.runtime, bed.lab, "a", silent)
    assert bed.in_force == ["power-off a"]


# Several at once.


def test_one_restore_ends_cut_and_black_hole_of_a_link(bed: Bed) -> None:
    _hole(bed)
    _cut(bed)
    assert bed.in_force == [f"link-blackhole {AB}", f"link-cut {AB}"]
    effect = _restore(bed)
    assert bed.in_force == []
    assert [bed.hole(end) for end in ENDS] == [False, False]
    assert [bed.kernel.carrier(end) for end in ENDS] == [True, True]
    assert "already" not in effect.detail
    assert len(effect.carriers) == 2


def test_a_restore_of_a_whole_link_changes_nothing(bed: Bed) -> None:
    _cut(bed, "a", "c")
    bed.kernel.done.clear()
    assert _restore(bed).detail["already"] is True
    assert bed.kernel.done == []
    assert not bed.kernel.carrier("a:lt2")


def test_a_node_given_back_leaves_the_black_hole_of_its_link(bed: Bed) -> None:
    blackhole_node(bed.runtime, bed.lab, "a", silent)
    _hole(bed)
    assert "already" not in restore_node(bed.runtime, bed.lab, "a", silent).detail
    assert [bed.hole(end) for end in ("a:lt1", "a:lt2", "b:lt1")] == [True, False, True]
    assert bed.in_force == [f"link-blackhole {AB}"]
    assert restore_node(bed.runtime, bed.lab, "a", silent).detail["already"] is True


def test_a_link_given_back_leaves_the_black_hole_of_its_node(bed: Bed) -> None:
    blackhole_node(bed.runtime, bed.lab, "a", silent)
    _hole(bed)
    _restore(bed)
    assert [bed.hole(end) for end in ("a:lt1", "a:lt2", "b:lt1")] == [True, True, False]
    assert bed.in_force == ["node-blackhole a"]


# One way.


def _one_way(bed: Bed, sent_by: str) -> Effect:
    return blackhole_link(bed.runtime, bed.lab, "a", "b", silent, sent_by=sent_by)


def test_one_way_only_what_one_end_sends_is_dropped(bed: Bed) -> None:
    effect = _one_way(bed, "a")
    assert effect.detail == {"window_ns": 0, "ends": 1, "sent_by": "a"}
    assert [bed.drops(end) for end in ENDS] == [("egress",), ()]
    _restore(bed)
    assert [bed.drops(end) for end in ENDS] == [(), ()]
    assert bed.in_force == []


def test_a_black_hole_may_change_its_direction(bed: Bed) -> None:
    _hole(bed)
    assert _one_way(bed, "b").detail["already"] is True
    assert [bed.drops(end) for end in ENDS] == [(), ("egress",)]
    assert bed.in_force == [f"link-blackhole {AB}"]


def test_a_node_given_back_leaves_the_one_way_of_its_link(bed: Bed) -> None:
    _one_way(bed, "a")
    blackhole_node(bed.runtime, bed.lab, "a", silent)
    assert bed.hole("a:lt1")
    restore_node(bed.runtime, bed.lab, "a", silent)
    assert [bed.drops(end) for end in ("a:lt1", "a:lt2", "b:lt1")] == [("egress",), (), ()]


def test_one_way_outlives_a_power_cycle(bed: Bed) -> None:
    _one_way(bed, "a")
    _power(bed, "a", on=False)
    _power(bed, "a", on=True)
    assert [bed.drops(end) for end in ENDS] == [("egress",), ()]


def test_a_sender_that_is_no_end_is_refused(bed: Bed) -> None:
    with pytest.raises(ActionError, match="c is no end of the link "):
        _one_way(bed, "c")
    assert bed.in_force == []
