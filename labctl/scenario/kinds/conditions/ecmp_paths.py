"""``ecmp-paths``: a node's kernel has so many live next hops towards another node."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from labctl.document.durations import format_duration
from labctl.document.entries import Duration, Entry, Name
from labctl.errors import ActionError
from labctl.scenario.kinds.condition import POLL_NS, Condition, ConditionKind, Measured

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labctl.scenario.kinds.condition import Waiting

__all__ = ["KIND", "EcmpPaths"]


class EcmpPathsEntry(Entry):
    """``ecmp-paths`` as a user writes it."""

    node: Annotated[
        Name, Field(alias="ecmp-paths", description="node whose live next hops towards `to` are counted")
    ]
    to: Annotated[Name, Field(description="the node that paths lead to, or that replies")]
    paths: Annotated[int, Field(ge=1, description="at least so many next hops")]
    within: Annotated[Duration, Field(description="how long it may take")]


@dataclass(frozen=True, slots=True)
class EcmpPaths(Condition):
    """A node's kernel has at least ``paths`` live next hops towards another node."""

    kind: ClassVar[str] = "ecmp-paths"

    node: str
    to: str
    paths: int
    within_ns: int

    def wait(self, waiting: Waiting) -> Measured:
        """Count next hops until there are enough."""
        backend = waiting.backend
        start = backend.now_ns()
        while True:
            try:
                paths = backend.paths(self.node, self.to)
            except ActionError:
                paths = 0
            took = backend.now_ns() - start
            if paths >= self.paths or took >= self.within_ns:
                return Measured(met=paths >= self.paths, values={"took_ns": took, "paths": paths})
            backend.sleep_until(backend.now_ns() + POLL_NS)

    def nodes(self) -> Iterator[tuple[tuple[str | int, ...], str]]:
        """Both ends."""
        yield ("ecmp-paths",), self.node
        yield ("to",), self.to

    def __str__(self) -> str:
        paths = f"{self.paths} paths from {self.node} to {self.to}"
        return f"ecmp-paths: {paths} within {format_duration(self.within_ns)}"


def _read(entry: EcmpPathsEntry) -> EcmpPaths:
    return EcmpPaths(entry.node, entry.to, entry.paths, entry.within)


KIND = ConditionKind(
    name="ecmp-paths",
    doc="the node's kernel has at least so many live next hops towards `to`",
    example="{ecmp-paths: leaf1, to: ext1, paths: 3, within: 30s}",
    entry=EcmpPathsEntry,
    read=_read,
)
