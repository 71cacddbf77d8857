"""Progress as events: what happens is told to listeners; nothing prints from inside.

An :class:`Event` is what the live view, the log lines and the journal are all made of.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["Event", "Fanout", "Listener", "now_ns", "silent"]


def now_ns() -> int:
    """The one clock of a lab: CLOCK_MONOTONIC in nanoseconds."""
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC)


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened.

    Attributes:
        kind: dotted name, such as ``node.started``; the list stands in docs/journal.md.
        t_ns: CLOCK_MONOTONIC, nanoseconds.
        data: plain JSON values only.
    """

    kind: str
    t_ns: int = field(default_factory=now_ns)
    data: Mapping[str, Any] = field(default_factory=dict)


class Listener(Protocol):
    """Whoever wants to know. It must be quick and must not raise."""

    def __call__(self, event: Event, /) -> None:
        """Take one event."""


@dataclass(frozen=True, slots=True)
class Fanout:
    """One listener made of several."""

    listeners: Iterable[Listener]

    def __call__(self, event: Event) -> None:
        """Hand the event to every listener in order."""
        for listener in self.listeners:
            listener(event)


def silent(event: Event) -> None:
    """A listener that does not care."""
