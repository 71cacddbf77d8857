"""Connections that the firewalls of this host's ports know, with the time each was last seen.

They are kept twice: here, to be asked for quickly, and in the kernel's map, so that the next agent
knows them too. Time-outs are those of the kernel's own connection tracking, shortened where a lab
gains nothing by their length.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Protocol

from labctl.overlay.flow import ConnKey

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = ["ConnectionMemory", "Connections"]

_TCP = 6
_TCP_IDLE_NS = 3_600_000_000_000
_OTHER_IDLE_NS = 180_000_000_000
_TELL_AFTER_NS = 10_000_000_000
_AT_ONCE = 8192


class ConnectionMemory(Protocol):
    """Where connections outlive the agent; :class:`labctl.overlay.datapath.cache.FlowCache` is one."""

    def remember_connections(self, rows: Sequence[tuple[bytes, int]]) -> None:
        """Keep packed keys with the time they were last seen."""

    def forget_connections(self, keys: Iterable[bytes]) -> None:
        """Keep them no more."""

    def connections(self) -> dict[bytes, int]:
        """Everything that is kept."""


class Connections:
    """The set of known connections."""

    def __init__(self, memory: ConnectionMemory) -> None:
        self._memory = memory
        self._seen = {ConnKey.unpack(key): seen for key, seen in memory.connections().items()}
        self._told = dict(self._seen)
        self._fresh: list[ConnKey] = []
        self._round: Iterator[ConnKey] = iter(())

    def __len__(self) -> int:
        return len(self._seen)

    def established(self, conn: ConnKey) -> bool:
        """Whether the connection is known."""
        return conn in self._seen

    def note(self, conns: Iterable[ConnKey], now_ns: int) -> list[ConnKey]:
        """Connections were seen; those that were not known before are returned."""
        new = []
        for conn in conns:
            before = self._seen.get(conn)
            if before is None:
                new.append(conn)
                self._told[conn] = now_ns
            if before is None or now_ns > before:
                self._seen[conn] = now_ns
        self._fresh += new
        return new

    def tell(self) -> None:
        """Have the kernel remember what is new, for the next agent."""
        if self._fresh:
            self._memory.remember_connections([(conn.pack(), self._told[conn]) for conn in self._fresh])
            self._fresh = []

    def expire(self, now_ns: int) -> list[ConnKey]:
        """Look at some of them, others next time: forget what was idle for too long.

        The kernel is told how fresh the rest is, so that the next agent knows.
        """
        self.tell()
        some = list(islice(self._round, _AT_ONCE))
        if not some:
            self._round = iter(list(self._seen))
        gone = [conn for conn in some if now_ns - self._seen[conn] > _idle_ns(conn)]
        for conn in gone:
            del self._seen[conn], self._told[conn]
        self._memory.forget_connections([conn.pack() for conn in gone])
        fresher = [
            conn
            for conn in some
            if conn in self._seen and self._seen[conn] - self._told[conn] > _TELL_AFTER_NS
        ]
        self._told.update((conn, self._seen[conn]) for conn in fresher)
        self._memory.remember_connections([(conn.pack(), self._seen[conn]) for conn in fresher])
        return gone


def _idle_ns(conn: ConnKey) -> int:
    return _TCP_IDLE_NS if conn.proto == _TCP else _OTHER_IDLE_NS
