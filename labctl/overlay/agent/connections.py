"""Connections that the firewalls of this host's ports know: stored in a kernel map and nowhere else.

The kernel creates connections itself (with the entries that it creates from megaflows), refreshes those of
flows in use, and looks them up; so its map is the only copy, and outlives the agent. The time-outs
are those of the kernel's own connection tracking, shortened where a lab gains nothing by their length.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from labctl.overlay.flow import ConnKey

__all__ = ["ConnectionMemory", "Connections"]

_TCP = 6
_PROTO_AT = 4
_TCP_IDLE_NS = 3_600_000_000_000
_OTHER_IDLE_NS = 180_000_000_000


class ConnectionMemory(Protocol):
    """Where connections are; :class:`labctl.overlay.datapath.cache.FlowCache` is one."""

    def remember_connections(self, rows: Sequence[tuple[bytes, int]]) -> None:
        """Add packed keys, with the time they were last seen."""

    def forget_connections(self, keys: Iterable[bytes]) -> None:
        """Remove packed keys."""

    def knows(self, conn: bytes) -> bool:
        """Whether a packed key is known."""

    def connections(self) -> Iterator[list[tuple[bytes, int]]]:
        """All of them, some at a time."""


class Connections:
    """The set of known connections."""

    def __init__(self, memory: ConnectionMemory) -> None:
        """What is known already stays known."""
        self._memory = memory
        self._fresh: dict[ConnKey, int] = {}
        self._round: Iterator[list[tuple[bytes, int]]] = iter(())

    def established(self, conn: ConnKey) -> bool:
        """Whether the connection is known."""
        return conn in self._fresh or self._memory.knows(conn.pack())

    def record(self, conns: Iterable[ConnKey], now_ns: int) -> None:
        """Connections were seen."""
        for conn in conns:
            self._fresh[conn] = now_ns

    def write(self) -> None:
        """Write what was recorded to the kernel."""
        if self._fresh:
            self._memory.remember_connections([(conn.pack(), seen) for conn, seen in self._fresh.items()])
            self._fresh = {}

    def expire(self, now_ns: int) -> int:
        """Scan some of them, the rest next time: remove those idle for too long; returns how many.

        No flow in use can hang on one that goes: each refreshes its own once a second, in the kernel.
        """
        self.write()
        some = next(self._round, None)
        if some is None:
            self._round = self._memory.connections()
            return 0
        gone = [key for key, seen in some if now_ns - seen > _idle_ns(key)]
        self._memory.forget_connections(gone)
        return len(gone)


def _idle_ns(key: bytes) -> int:
    return _TCP_IDLE_NS if key[_PROTO_AT] == _TCP else _OTHER_IDLE_NS
