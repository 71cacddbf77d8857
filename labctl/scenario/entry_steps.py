"""An entry of the timeline -> the steps that it stands for: one a target, and one that takes each fault back.

Steps at fixed moments are put in the order of their moments: what ``for`` takes back may come after a later
entry. An entry that waits for a condition begins only when everything before it has been done, the end of
each ``for`` included. Pure.
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from labctl.scenario.kinds.registry import ACTIONS
from labctl.scenario.model import Step
from labctl.scenario.schema import StepMoment

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from labctl.document.kinds import FlatEntry
    from labctl.scenario.check import Wrong
    from labctl.scenario.kinds.action import Action
    from labctl.scenario.kinds.condition import Condition

__all__ = ["misplaced", "steps_of"]


def misplaced(entries: Iterable[tuple[int, FlatEntry]]) -> Iterator[Wrong]:
    """``for`` and ``stagger`` where they mean nothing, or where ``for`` is lacking."""
    for place, entry in entries:
        assert isinstance(entry, StepMoment)  # noqa: S101 - for the type checker: StepEntry is made of it
        kind = ACTIONS[entry.kind]
        actions = kind.read(entry.params)
        if entry.for_ is None and kind.for_needed:
            yield ("timeline", place, kind.name), f"{kind.name} needs for", "such as for: 3s"
        if entry.for_ is not None and not any(one.kind.undo for one in actions):
            faults = ", ".join(name for name, one in ACTIONS.items() if one.undo or one.for_needed)
            yield ("timeline", place, "for"), f"nothing takes {kind.name} back", f"for belongs to {faults}"
        if entry.stagger is not None and len(actions) < 2:  # noqa: PLR2004 - from one to the next
            message = f"{kind.name} has one target here, and stagger is the time between two"
            yield ("timeline", place, "stagger"), message, ""


def steps_of(entries: Iterable[tuple[int, FlatEntry, Condition | None]]) -> tuple[Step, ...]:
    """The steps of a timeline, in the order in which they are done.

    Args:
        entries: place in the file, the entry, and the condition that it waits for.
    """
    timed: list[Step] = []
    steps: list[Step] = []
    for place, entry, after in entries:
        own = _steps(place, entry, after)
        if after is None:
            timed += own
            continue
        steps += _ordered(timed)
        timed = []
        steps += own
    steps += _ordered(timed)
    return _numbered(steps)


def _ordered(timed: list[Step]) -> list[Step]:
    """By moment, what an entry wrote itself before what follows from it; entries keep their order."""
    written = [step for step in timed if step.since is None]
    if any(step.at_ns < before.at_ns for before, step in itertools.pairwise(written)):  # type: ignore[operator]
        # Out of order as it stands in the file: that is told of, not mended.
        return timed
    return sorted(timed, key=lambda step: step.at_ns or 0)


def _steps(place: int, entry: FlatEntry, after: Condition | None) -> list[Step]:
    """The steps of one entry; ``since`` is for now the entry's place, and None for its first step."""
    assert isinstance(entry, StepMoment)  # noqa: S101 - for the type checker: StepEntry is made of it
    actions = ACTIONS[entry.kind].read(entry.params)
    apart = entry.stagger or 0
    moments: list[tuple[int, Action[Any]]] = [(number * apart, one) for number, one in enumerate(actions)]
    if entry.for_ is not None:
        moments += [(begin + entry.for_, one.undone()) for begin, one in moments if one.kind.undo is not None]
        moments.sort(key=lambda moment: moment[0])
    steps = []
    for number, (offset, action) in enumerate(moments):
        first = number == 0
        step = Step(-1, action, since=None if first else place, entry=place, word=entry.kind)
        if entry.at is not None:
            step = replace(step, at_ns=entry.at + offset, plus_ns=0 if first else offset)
        elif first:
            step = replace(step, after=after, plus_ns=entry.plus or 0)
        else:
            step = replace(step, plus_ns=offset)
        steps.append(step)
    return steps


def _numbered(steps: list[Step]) -> tuple[Step, ...]:
    firsts = {step.entry: index for index, step in enumerate(steps) if step.since is None}
    return tuple(
        replace(step, index=index, since=None if step.since is None else firsts[step.entry])
        for index, step in enumerate(steps)
    )
