"""What the agent knows of the entries it wrote: the decision behind each, and its tags."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from labctl.overlay.simulation.tags import TagIndex

if TYPE_CHECKING:
    from collections.abc import Iterable

    from labctl.overlay.datapath.layout import Entry
    from labctl.overlay.flow import ConnKey, FlowKey

__all__ = ["FlowTable", "Known"]


class Known(NamedTuple):
    """One entry in the kernel.

    Attributes:
        entry: as it was written.
        conns: connections that packets of this flow keep alive.
        ttl: by how much TTL is lowered.
        until_ns: an entry that holds only for a while (a hold after an answer); 0 for ever.
    """

    entry: Entry
    conns: tuple[ConnKey, ...]
    ttl: int
    until_ns: int = 0


class FlowTable:
    """Entries by key and by tag."""

    def __init__(self) -> None:
        self._known: dict[FlowKey, Known] = {}
        self._tags: TagIndex[FlowKey] = TagIndex()

    def __len__(self) -> int:
        return len(self._known)

    def get(self, key: FlowKey) -> Known | None:
        """What was written for a key, if anything."""
        return self._known.get(key)

    def put(self, key: FlowKey, known: Known, tags: frozenset[str]) -> None:
        """Remember an entry and why."""
        self._known[key] = known
        self._tags.add(key, tags)

    def remove(self, keys: Iterable[FlowKey]) -> None:
        """Forget entries."""
        for key in keys:
            self._known.pop(key, None)
            self._tags.remove(key)

    def touched(self, changed: Iterable[str]) -> set[FlowKey]:
        """Keys whose decisions a change touches."""
        return self._tags.touched(changed)

    def over(self, now_ns: int) -> list[FlowKey]:
        """Keys of entries that held only for a while, and that while is over."""
        return [key for key, known in self._known.items() if known.until_ns and known.until_ns <= now_ns]
