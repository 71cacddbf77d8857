"""Connections that the firewalls of this host's ports know, with the time each was last seen.

They are kept twice: here, to be asked for quickly, and in the kernel's map, so that the next agent
knows them too. Time-outs are those of the kernel's own connection tracking, shortened where a lab
gains nothing by their length.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from labctl.overlay.flow import ConnKey

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["ConnectionMemory", "Connections"]

_TCP = 6
_TCP_IDLE_NS = 3_600_000_000_000
_OTHER_IDLE_NS = 180_000_000_000


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

    def __len__(self) -> int:
        return len(self._seen)

    def established(self, conn: ConnKey) -> bool:
        """Whether the connection is known."""
        return conn in self._seen

    def note(self, conns: Iterable[ConnKey], now_ns: int) -> list[ConnKey]:
        """Connections were seen; those that were not known before are returned."""
        new = []
        for conn in conns:
            if conn not in self._seen:
                new.append(conn)
            self._seen[conn] = max(now_ns, self._seen.get(conn, 0))
        if new:
            self._memory.remember_connections([(conn.pack(), now_ns) for conn in new])
        return new

    def expire(self, now_ns: int) -> list[ConnKey]:
        """Forget what has been idle for too long; tell the kernel how fresh the rest is."""
        gone = [conn for conn, seen in self._seen.items() if now_ns - seen > _idle_ns(conn)]
        for conn in gone:
            del self._seen[conn]
        self._memory.forget_connections([conn.pack() for conn in gone])
        self._memory.remember_connections([(conn.pack(), seen) for conn, seen in self._seen.items()])
        return gone


def _idle_ns(conn: ConnKey) -> int:
    return _TCP_IDLE_NS if conn.proto == _TCP else _OTHER_IDLE_NS
