"""A fair queue of upcalls, round robin by origin: an origin that sends many delays only itself.

The kernel limits the rate of each origin already, but only to a rate that one origin alone may use; several
origins at that rate, or one on a busy machine, exceed what the agent can process. So the agent reads all
waiting upcalls from the socket at once, and serves one from each origin in turn.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from labctl.overlay.datapath.channel import Upcall

__all__ = ["RoundRobinQueue"]

MOST_WAITING = 256


class RoundRobinQueue:
    """A queue an origin, served round robin; the oldest of a full queue goes."""

    def __init__(self, most: int = MOST_WAITING) -> None:
        self._most = most
        self._queues: dict[int, deque[Upcall]] = {}
        self._order: deque[int] = deque()
        self._waiting = 0
        self.dropped = 0
        """Upcalls dropped because too many of the same origin waited."""

    def __len__(self) -> int:
        return self._waiting

    def push(self, upcall: Upcall) -> None:
        """Append an upcall to the queue of its origin."""
        queue = self._queues.get(upcall.origin)
        if queue is None:
            queue = self._queues[upcall.origin] = deque()
            self._order.append(upcall.origin)
        if len(queue) >= self._most:
            queue.popleft()
            self._waiting -= 1
            self.dropped += 1
        queue.append(upcall)
        self._waiting += 1

    def take(self) -> Upcall:
        """The next upcall, from each origin in turn.

        Raises:
            IndexError: nobody waits.
        """
        origin = self._order.popleft()
        queue = self._queues[origin]
        upcall = queue.popleft()
        self._waiting -= 1
        if queue:
            self._order.append(origin)
        else:
            del self._queues[origin]
        return upcall
