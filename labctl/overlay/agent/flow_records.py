"""Records of the entries that the agent installed: the decision of each, and its dependencies.

Many flows share one set of dependencies (all connections of a VM to a service, for example), so tags are kept
once for each set, which the decision's megaflow shares. The kernel tracks connections that come or go:
an entry says which of them it depends on, and the kernel looks them up.
"""

from __future__ import annotations

import heapq
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from labctl.overlay.flow import ConnKey
from labctl.overlay.simulation.dependencies import TagIndex

if TYPE_CHECKING:
    from collections.abc import Iterable

    from labctl.overlay.agent.megaflow import Megaflow
    from labctl.overlay.datapath.layout import FlowEntry

__all__ = ["DependencySet", "FlowRecord", "FlowTable", "conns_in", "make_record"]

_COUNTERS = struct.Struct("=QQQ")
_CONN = "conn:"


@dataclass(slots=True, eq=False)
class DependencySet:
    """A set of facts that decisions depend on; compared by identity.

    Attributes:
        tags: all but those of connections.
        flows: packed keys of the entries that depend on them.
        megaflows: decisions, also for flows that the agent has no record of, that depend on them.
    """

    tags: frozenset[str]
    flows: set[bytes] = field(default_factory=set)
    megaflows: set[Megaflow] = field(default_factory=set)


@dataclass(slots=True, eq=False)
class FlowRecord:
    """One entry in the kernel.

    Attributes:
        entry: as it was written.
        head: the same, packed, without its counters.
        ttl: by how much TTL is lowered.
        until_ns: an entry that holds only for a while (a hold after an answer); 0 for ever.
    """

    entry: FlowEntry
    head: bytes
    ttl: int = 0
    until_ns: int = 0

    def value(self, now_ns: int) -> bytes:
        """The entry as the kernel wants it, used just now."""
        return self.head + _COUNTERS.pack(now_ns, 0, 0)


def make_record(entry: FlowEntry, ttl: int = 0, until_ns: int = 0) -> FlowRecord:
    """The record of an entry."""
    return FlowRecord(entry, entry.pack()[: -_COUNTERS.size], ttl, until_ns)


def conns_in(tags: frozenset[str]) -> tuple[frozenset[str], tuple[ConnKey, ...]]:
    """Tags apart: those of the topology, and the connections."""
    conns = [tag for tag in tags if tag.startswith(_CONN)]
    if not conns:
        return tags, ()
    keys = tuple(ConnKey.unpack(bytes.fromhex(tag[len(_CONN) :])) for tag in conns)
    return tags.difference(conns), keys


class FlowTable:
    """Entries by packed key and by tag, and megaflows by tag."""

    def __init__(self) -> None:
        self._records: dict[bytes, FlowRecord] = {}
        self._dependencies_of: dict[bytes, DependencySet] = {}
        self._sets: dict[frozenset[str], DependencySet] = {}
        self._tags: TagIndex[DependencySet] = TagIndex()
        self._holds: list[tuple[int, bytes]] = []

    def __len__(self) -> int:
        return len(self._records)

    def get(self, key: bytes) -> FlowRecord | None:
        """What was written for a packed key, if anything."""
        return self._records.get(key)

    def keys(self) -> set[bytes]:
        """All packed keys."""
        return set(self._records)

    def dependencies(self, tags: frozenset[str]) -> DependencySet:
        """The set with these tags (none of them a connection's)."""
        found = self._sets.get(tags)
        return DependencySet(tags) if found is None else found

    def put(self, key: bytes, record: FlowRecord, dependencies: DependencySet) -> None:
        """Keep the record of an entry and what it depends on."""
        if self._dependencies_of.get(key) is not dependencies:
            self._leave(key)
            self._index(dependencies)
            dependencies.flows.add(key)
            self._dependencies_of[key] = dependencies
        self._records[key] = record
        if record.until_ns:
            heapq.heappush(self._holds, (record.until_ns, key))

    def remove(self, keys: Iterable[bytes]) -> None:
        """Forget entries."""
        for key in keys:
            if self._records.pop(key, None) is not None:
                self._leave(key)

    def hold(self, dependencies: DependencySet, megaflow: Megaflow) -> None:
        """Keep what a megaflow depends on."""
        self._index(dependencies)
        dependencies.megaflows.add(megaflow)

    def release(self, dependencies: DependencySet, megaflow: Megaflow) -> None:
        """The megaflow is no more."""
        dependencies.megaflows.discard(megaflow)
        self._unindex(dependencies)

    def _leave(self, key: bytes) -> None:
        dependencies = self._dependencies_of.pop(key, None)
        if dependencies is not None:
            dependencies.flows.discard(key)
            self._unindex(dependencies)

    def _index(self, dependencies: DependencySet) -> None:
        if not dependencies.flows and not dependencies.megaflows:
            self._sets[dependencies.tags] = dependencies
            self._tags.add(dependencies, dependencies.tags)

    def _unindex(self, dependencies: DependencySet) -> None:
        if not dependencies.flows and not dependencies.megaflows:
            self._tags.remove(dependencies)
            if self._sets.get(dependencies.tags) is dependencies:
                del self._sets[dependencies.tags]

    def touched(self, changed: Iterable[str]) -> tuple[set[bytes], list[Megaflow]]:
        """What a change of the topology touches: packed keys of entries, and megaflows."""
        sets = self._tags.touched(changed)
        keys = {key for dependencies in sets for key in dependencies.flows}
        return keys, [megaflow for dependencies in sets for megaflow in dependencies.megaflows]

    def over(self, now_ns: int) -> list[bytes]:
        """Packed keys of entries whose hold time has expired; returned once."""
        ended = []
        while self._holds and self._holds[0][0] <= now_ns:
            _, key = heapq.heappop(self._holds)
            record = self._records.get(key)
            if record is not None and record.until_ns and record.until_ns <= now_ns:
                ended.append(key)
        return ended
