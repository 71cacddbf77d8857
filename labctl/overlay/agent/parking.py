"""Packets that wait for a fact that the mirror does not hold yet: a bounded number, for five seconds."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from labctl.overlay.simulation.dependencies import TagIndex

if TYPE_CHECKING:
    from collections.abc import Iterable

    from labctl.overlay.datapath.channel import Upcall

__all__ = ["Parking"]

_SPACES = 1000
_LONGEST_NS = 5_000_000_000


class _Parked(NamedTuple):
    upcall: Upcall
    since_ns: int


class Parking:
    """Where they wait; the oldest goes when it is full."""

    def __init__(self) -> None:
        self._parked: dict[int, _Parked] = {}
        self._tags: TagIndex[int] = TagIndex()
        self._next = 0

    def __len__(self) -> int:
        return len(self._parked)

    def park(self, upcall: Upcall, tags: frozenset[str], now_ns: int) -> None:
        """Keep a packet until one of the tags is in a change."""
        if len(self._parked) >= _SPACES:
            self._leave(next(iter(self._parked)))
        self._parked[self._next] = _Parked(upcall, now_ns)
        self._tags.add(self._next, tags)
        self._next += 1

    def ready(self, changed: Iterable[str], now_ns: int) -> list[Upcall]:
        """Packets worth another try, oldest first; they are parked no more."""
        spaces = sorted(self._tags.touched(changed))
        parked = [self._leave(space) for space in spaces]
        return [one.upcall for one in parked if now_ns - one.since_ns <= _LONGEST_NS]

    def expire(self, now_ns: int) -> int:
        """Throw away what has waited for too long; how many."""
        late = [space for space, one in self._parked.items() if now_ns - one.since_ns > _LONGEST_NS]
        for space in late:
            self._leave(space)
        return len(late)

    def _leave(self, space: int) -> _Parked:
        self._tags.remove(space)
        return self._parked.pop(space)
