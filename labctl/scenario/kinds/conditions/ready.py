"""``ready``: nodes report that they are ready."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from labctl.document.durations import format_duration
from labctl.document.entries import Duration, Entry, Names
from labctl.scenario.kinds.condition import POLL_NS, Condition, ConditionKind, Measured

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from labctl.scenario.kinds.condition import Waiting

__all__ = ["KIND", "Ready"]


class ReadyEntry(Entry):
    """``ready`` as a user writes it."""

    ready: Annotated[Names, Field(description="nodes that must report ready")]
    within: Annotated[Duration, Field(description="how long it may take")]


@dataclass(frozen=True, slots=True)
class Ready(Condition):
    """Nodes are ready; no names means every node that has power."""

    kind: ClassVar[str] = "ready"

    names: tuple[str, ...]
    within_ns: int

    def wait(self, waiting: Waiting) -> Measured:
        """Ask the nodes' own ready programs."""
        backend = waiting.backend
        start = backend.now_ns()
        off = set(waiting.off())
        left = list(self.names or (node for node in backend.nodes if node not in off))
        while True:
            missing = {node: text for node in left if (text := backend.unready(node))}
            took = backend.now_ns() - start
            if not missing:
                return Measured(met=True, values={"took_ns": took})
            if took >= self.within_ns:
                return Measured(met=False, values={"took_ns": took, "missing": missing})
            # A node that was ready once is not asked again: one poll less of a busy machine.
            left = list(missing)
            backend.sleep_until(backend.now_ns() + POLL_NS)

    def nodes(self) -> Iterator[tuple[tuple[str | int, ...], str]]:
        """Those that it names."""
        for node in self.names:
            yield ("ready",), node

    def powered(self) -> Sequence[str]:
        """A node without power is never ready."""
        return self.names

    def __str__(self) -> str:
        return f"ready: {', '.join(self.names) or 'all'} within {format_duration(self.within_ns)}"


def _read(entry: ReadyEntry) -> Ready:
    return Ready(entry.ready, entry.within)


KIND = ConditionKind(
    name="ready",
    doc="all nodes that have power, or the named nodes, report ready",
    example="{ready: all, within: 30s}",
    entry=ReadyEntry,
    read=_read,
)
