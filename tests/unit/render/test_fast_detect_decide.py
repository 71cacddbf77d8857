"""The fast failure detector's decisions: who is declared dead, and who never is."""

from __future__ import annotations

import importlib.util
import sys
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from labctl.shipped import folder

if TYPE_CHECKING:
    from types import ModuleType

MISSES = 3


def load() -> ModuleType:
    path = folder("templates") / "router/etc/labctl/fast-detect/decide.py"
    spec = importlib.util.spec_from_file_location("fast_detect_decide", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


detector = load()


def deaths(ticks: list[tuple[bool, bool, int]]) -> list[int]:
    """Ticks, each (heard, late, frames of any kind), at which the neighbour is found dead."""
    seen, found = detector.Neighbour(), []
    frames = 0
    for number, (heard, late, came) in enumerate(ticks):
        frames += came
        seen, dead = detector.tick(
            seen, heard=heard, late=late, misses=MISSES, frames=lambda came=frames: came
        )
        if dead:
            found.append(number)
    return found


HEARD, SILENT, STALLED, PASSING = (True, False, 1), (False, False, 0), (False, True, 0), (False, False, 9)
KNOWN = [HEARD] * detector.TRUSTED


def test_a_neighbour_that_falls_silent_is_dead_after_three_ticks_and_only_once() -> None:
    assert deaths([*KNOWN, *[SILENT] * 50]) == [detector.TRUSTED + 2]


def test_a_hello_between_begins_the_count_anew() -> None:
    assert deaths([*KNOWN, *[SILENT, SILENT, HEARD] * 20]) == []


def test_who_was_never_heard_or_hardly_ever_is_never_dead() -> None:
    assert deaths([SILENT] * 50) == []
    assert deaths([HEARD, *[SILENT] * 50]) == []


def test_a_machine_that_stands_still_kills_nobody() -> None:
    assert deaths([*KNOWN, *[STALLED] * 50, HEARD]) == []


def test_a_neighbour_whose_packets_pass_is_not_dead_however_long_its_hellos_are_kept_waiting() -> None:
    assert deaths([*KNOWN, *[PASSING] * 50, HEARD]) == []


def test_when_its_packets_end_too_three_ticks_are_enough() -> None:
    # The first tick without a hello may have been one in which the last packets came.
    assert deaths([*KNOWN, *[SILENT] * 50]) == [detector.TRUSTED + 2]
    assert deaths([*KNOWN, PASSING, *[SILENT] * 50]) == [detector.TRUSTED + 2]
    assert deaths([*KNOWN, PASSING, PASSING, *[SILENT] * 50]) == [detector.TRUSTED + 3]


def test_one_that_comes_back_can_die_again() -> None:
    assert len(deaths([*KNOWN, *[SILENT] * 5, *KNOWN, *[SILENT] * 5])) == 2


@given(st.lists(st.sampled_from([HEARD, SILENT, STALLED, PASSING]), max_size=200))
def test_every_death_follows_three_silent_ticks_of_our_own(ticks: list[tuple[bool, bool, int]]) -> None:
    for number in deaths(ticks):
        last = [tick for tick in ticks[: number + 1] if tick != STALLED][-MISSES:]
        assert last in ([SILENT] * MISSES, [PASSING, *[SILENT] * (MISSES - 1)])
        assert ticks[: number + 1].count(HEARD) >= detector.TRUSTED
