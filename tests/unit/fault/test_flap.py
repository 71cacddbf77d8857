"""A flap leaves the link whole, whatever comes in between."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from labctl.errors import ActionError
from labctl.events import silent
from labctl.fault import flap
from labctl.fault.flap import flap_link
from labctl.fault.link import cut_link

if TYPE_CHECKING:
    from labctl.testing.fault_bed import Bed

ENDS = ("a:lt1", "b:lt1")


def _flap(bed: Bed) -> None:
    flap_link(bed.runtime, bed.lab, "a", "b", silent, down_ns=1_000_000, times=3, every_ns=2_000_000)


def test_a_flap_leaves_carrier_and_no_fault(bed: Bed) -> None:
    _flap(bed)
    assert [bed.kernel.carrier(end) for end in ENDS] == [True, True]
    assert bed.in_force == []


@pytest.mark.parametrize("call", range(1, 8))
@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_a_flap_that_ends_midway_leaves_the_link_whole(
    bed: Bed, monkeypatch: pytest.MonkeyPatch, call: int, error: type[BaseException]
) -> None:
    calls = 0

    def until(_moment: int) -> None:
        nonlocal calls
        calls += 1
        if calls == call:
            raise error

    monkeypatch.setattr(flap, "_until", until)
    try:
        _flap(bed)
    except error:
        assert calls == call
    assert [bed.kernel.carrier(end) for end in ENDS] == [True, True]
    assert bed.in_force == []


def test_a_link_that_is_cut_does_not_flap_and_stays_cut(bed: Bed) -> None:
    cut_link(bed.runtime, bed.lab, "a", "b", silent)
    with pytest.raises(ActionError, match="is cut: it cannot flap"):
        _flap(bed)
    assert len(bed.in_force) == 1
