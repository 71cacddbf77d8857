"""Allocates addresses: the same ones for the same topology, never one that is taken.

Every item that needs a value has a slot of its own, by its position in the topology. Where the user gave the
value of that slot to another item, the slot moves to the upper half of the pool. So a node's value does not
depend on the values given to others, and a node added at the end renumbers no other node.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

__all__ = ["PlanError", "Taken", "assign"]


class PlanError(ValueError):
    """No plan is possible.

    Attributes:
        link: index of the link that it is about; None if it is about none.
    """

    def __init__(self, message: str, link: int | None = None) -> None:
        super().__init__(message)
        self.link = link


class Taken:
    """Spans of numbers (addresses as integers) that are not to be handed out."""

    def __init__(self, spans: Iterable[tuple[int, int]]) -> None:
        """Take inclusive spans ``(first, last)``; they may overlap."""
        self._firsts: list[int] = []
        self._lasts: list[int] = []
        for first, last in sorted(spans):
            if self._lasts and first <= self._lasts[-1] + 1:
                self._lasts[-1] = max(self._lasts[-1], last)
            else:
                self._firsts.append(first)
                self._lasts.append(last)

    def overlaps(self, first: int, last: int) -> bool:
        """Whether any number of the inclusive span is taken."""
        before = bisect_right(self._firsts, last)
        return before > 0 and self._lasts[before - 1] >= first


def assign(
    wanted: Sequence[int],
    slots: int,
    is_free: Callable[[int], bool],
    what: str,
    *,
    first: int = 0,
    spare: int | None = None,
) -> list[int]:
    """Give each of several items a slot.

    Args:
        wanted: the slot that each would have, all different.
        slots: number of slots; valid ones are ``first`` to ``slots - 1``.
        is_free: whether nothing given by the user is in a slot.
        what: for the message.
        first: lowest slot to hand out.
        spare: what is added to the slot of an item whose own is taken; half of the pool if None.

    Returns:
        A slot for each, all different and all free.

    Raises:
        PlanError: there are not enough free slots.
    """
    chosen: dict[int, int] = {}
    used: set[int] = set()
    moved: list[int] = []
    for item, slot in enumerate(wanted):
        if first <= slot < slots and is_free(slot):
            chosen[item] = slot
            used.add(slot)
        else:
            moved.append(item)
    span = max(slots - first, 0)
    spare = span // 2 if spare is None else spare
    for item in moved:
        start = spare + wanted[item] - first
        for step in range(span):
            slot = first + (start + step) % span
            if slot not in used and is_free(slot):
                chosen[item] = slot
                used.add(slot)
                break
        else:
            raise PlanError(f"the pool of {what} has no room for {len(wanted)}")
    return [chosen[item] for item in range(len(wanted))]
