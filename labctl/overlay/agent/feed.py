"""Passes updates from the mirror's thread to the agent's loop: the newest snapshot, all tags since then."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

    from labctl.overlay.simulation.topology import VirtualTopology
    from labctl.overlay.store.mirror import Update

__all__ = ["MirrorFeed"]


class MirrorFeed:
    """A place for one update, with the tags of those that it replaced, and a descriptor that says so."""

    def __init__(self) -> None:
        self._ready = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._lock = threading.Lock()
        self._waiting: Update | None = None
        self._tags: set[str] = set()
        self.fresh = False
        self.revision = 0

    def push(self, update: Update) -> None:
        """Called by the mirror's thread."""
        with self._lock:
            self._waiting = update
            self._tags |= update.tags
        os.eventfd_write(self._ready, 1)

    def fileno(self) -> int:
        """Readable when :meth:`take` has something."""
        return self._ready

    def take(self) -> tuple[VirtualTopology, Collection[str]] | None:
        """The newest snapshot, with the tags of everything since the one taken before."""
        with self._lock:
            try:
                os.eventfd_read(self._ready)
            except BlockingIOError:
                return None
            update, tags = self._waiting, self._tags
            self._waiting, self._tags = None, set()
        if update is None:
            return None
        self.fresh, self.revision = update.fresh, update.revision
        return update.topology, tags

    def close(self) -> None:
        """Let the descriptor go."""
        os.close(self._ready)
