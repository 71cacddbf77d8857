"""What the agent knows of the entries it wrote: the decision behind each, and what it was made from.

Many flows share one reason (all connections of a VM to a service, say), so tags are kept once a
reason, which the decision's megaflow shares. Connections that come or go are the kernel's business: an
entry says which of them it hangs on, and the kernel asks for them.
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
    from labctl.overlay.datapath.layout import Entry

__all__ = ["FlowTable", "Known", "Reason", "conns_in", "make_known"]

_COUNTERS = struct.Struct("=QQQ")
_CONN = "conn:"


@dataclass(slots=True, eq=False)
class Reason:
    """Facts that decisions were made from; compared by identity.

    Attributes:
        tags: all but those of connections.
        flows: packed keys of the entries that were made from them.
        megaflows: decisions for flows that the agent does not know, made from them.
    """

    tags: frozenset[str]
    flows: set[bytes] = field(default_factory=set)
    megaflows: set[Megaflow] = field(default_factory=set)


@dataclass(slots=True, eq=False)
class Known:
    """One entry in the kernel.

    Attributes:
        entry: as it was written.
        head: the same, packed, without its counters.
        ttl: by how much TTL is lowered.
        until_ns: an entry that holds only for a while (a hold after an answer); 0 for ever.
    """

    entry: Entry
    head: bytes
    ttl: int = 0
    until_ns: int = 0

    def value(self, now_ns: int) -> bytes:
        """The entry as the kernel wants it, used just now."""
        return self.head + _COUNTERS.pack(now_ns, 0, 0)


def make_known(entry: Entry, ttl: int = 0, until_ns: int = 0) -> Known:
    """What is known of an entry."""
    return Known(entry, entry.pack()[: -_COUNTERS.size], ttl, until_ns)


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
        self._known: dict[bytes, Known] = {}
        self._reason_of: dict[bytes, Reason] = {}
        self._reasons: dict[frozenset[str], Reason] = {}
        self._tags: TagIndex[Reason] = TagIndex()
        self._holds: list[tuple[int, bytes]] = []

    def __len__(self) -> int:
        return len(self._known)

    def get(self, key: bytes) -> Known | None:
        """What was written for a packed key, if anything."""
        return self._known.get(key)

    def keys(self) -> set[bytes]:
        """All packed keys."""
        return set(self._known)

    def reason(self, tags: frozenset[str]) -> Reason:
        """The reason with these tags (none of them a connection's)."""
        found = self._reasons.get(tags)
        return Reason(tags) if found is None else found

    def put(self, key: bytes, known: Known, reason: Reason) -> None:
        """Remember an entry and why."""
        if self._reason_of.get(key) is not reason:
            self._leave(key)
            self._index(reason)
            reason.flows.add(key)
            self._reason_of[key] = reason
        self._known[key] = known
        if known.until_ns:
            heapq.heappush(self._holds, (known.until_ns, key))

    def remove(self, keys: Iterable[bytes]) -> None:
        """Forget entries."""
        for key in keys:
            if self._known.pop(key, None) is not None:
                self._leave(key)

    def hold(self, reason: Reason, megaflow: Megaflow) -> None:
        """Remember why a megaflow is as it is."""
        self._index(reason)
        reason.megaflows.add(megaflow)

    def release(self, reason: Reason, megaflow: Megaflow) -> None:
        """The megaflow is no more."""
        reason.megaflows.discard(megaflow)
        self._unindex(reason)

    def _leave(self, key: bytes) -> None:
        reason = self._reason_of.pop(key, None)
        if reason is not None:
            reason.flows.discard(key)
            self._unindex(reason)

    def _index(self, reason: Reason) -> None:
        if not reason.flows and not reason.megaflows:
            self._reasons[reason.tags] = reason
            self._tags.add(reason, reason.tags)

    def _unindex(self, reason: Reason) -> None:
        if not reason.flows and not reason.megaflows:
            self._tags.remove(reason)
            if self._reasons.get(reason.tags) is reason:
                del self._reasons[reason.tags]

    def touched(self, changed: Iterable[str]) -> tuple[set[bytes], list[Megaflow]]:
        """What a change of the topology touches: packed keys of entries, and megaflows."""
        reasons = self._tags.touched(changed)
        keys = {key for reason in reasons for key in reason.flows}
        return keys, [megaflow for reason in reasons for megaflow in reason.megaflows]

    def over(self, now_ns: int) -> list[bytes]:
        """Packed keys of entries that held only for a while, and that while is over; told once."""
        ended = []
        while self._holds and self._holds[0][0] <= now_ns:
            _, key = heapq.heappop(self._holds)
            known = self._known.get(key)
            if known is not None and known.until_ns and known.until_ns <= now_ns:
                ended.append(key)
        return ended
