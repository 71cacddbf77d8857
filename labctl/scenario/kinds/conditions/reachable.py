"""``reachable``: a node gets replies from another one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from labctl.document.entries import Entry, Name
from labctl.scenario.kinds.condition import ConditionKind, Measured, Polled, PolledEntry, polled

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labctl.scenario.backend import LabBackend

__all__ = ["KIND", "Reachable"]

_REPLY_NS = 1_000_000_000


class Pair(Entry):
    """Who asks whom."""

    from_: Annotated[Name, Field(alias="from", description="node that asks")]
    to: Annotated[Name, Field(description="node whose loopback address is asked")]


class ReachableEntry(PolledEntry):
    """``reachable`` as a user writes it."""

    reachable: Annotated[Pair, Field(description="a node, and the one that must reply to it")]


@dataclass(frozen=True, slots=True)
class Reachable(Polled):
    """A node gets a reply to an ICMP echo request within a second."""

    kind: ClassVar[str] = "reachable"

    source: str
    to: str

    def poll(self, backend: LabBackend) -> Measured:
        """Ask once."""
        answer = backend.first_reply(self.source, self.to, _REPLY_NS)
        if answer is None:
            return Measured(met=False, values={"missing": {self.to: f"no reply to {self.source}"}})
        return Measured(met=True, values={"answer_ns": answer})

    def nodes(self) -> Iterator[tuple[tuple[str | int, ...], str]]:
        """Both ends."""
        yield ("reachable", "from"), self.source
        yield ("reachable", "to"), self.to

    def words(self) -> str:
        """Who from whom."""
        return f"{self.to} from {self.source}"

    __str__ = Polled.__str__


def _read(entry: ReachableEntry) -> Reachable:
    return Reachable(*polled(entry), entry.reachable.from_, entry.reachable.to)


KIND = ConditionKind(
    name="reachable",
    doc="`from` gets a reply to an ICMP echo request from the loopback address of `to`",
    example="{reachable: {from: ext1, to: srv1}, within: 10s, for: 2s}",
    entry=ReachableEntry,
    read=_read,
)
