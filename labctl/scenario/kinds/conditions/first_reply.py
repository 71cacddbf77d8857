"""``first-reply``: a flow that nobody has seen before gets a reply."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from labctl.document.durations import format_duration
from labctl.document.entries import Duration, Entry, Name
from labctl.scenario.kinds.condition import Condition, ConditionKind, Measured

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labctl.scenario.kinds.condition import Waiting

__all__ = ["KIND", "FirstReply"]


class FirstReplyEntry(Entry):
    """``first-reply`` as a user writes it."""

    node: Annotated[
        Name,
        Field(alias="first-reply", description="node that must get a reply from `to`, on a flow of its own"),
    ]
    to: Annotated[Name, Field(description="the node that paths lead to, or that replies")]
    within: Annotated[Duration, Field(description="how long it may take")]


@dataclass(frozen=True, slots=True)
class FirstReply(Condition):
    """A flow that nobody has seen before gets a reply; the time to the first reply is recorded.

    Attributes:
        source: node that asks, by ICMP echo with an identifier of its own.
        to: node whose loopback address is asked.
    """

    kind: ClassVar[str] = "first-reply"

    source: str
    to: str
    within_ns: int

    def wait(self, waiting: Waiting) -> Measured:
        """Ask until there is a reply."""
        answer = waiting.backend.first_reply(self.source, self.to, self.within_ns)
        if answer is None:
            return Measured(met=False, values={"missing": {self.to: "no answer"}})
        return Measured(met=True, values={"answer_ns": answer})

    def nodes(self) -> Iterator[tuple[tuple[str | int, ...], str]]:
        """Both ends."""
        yield ("first-reply",), self.source
        yield ("to",), self.to

    def __str__(self) -> str:
        return f"first-reply: {self.source} from {self.to} within {format_duration(self.within_ns)}"


def _read(entry: FirstReplyEntry) -> FirstReply:
    return FirstReply(entry.node, entry.to, entry.within)


KIND = ConditionKind(
    name="first-reply",
    doc="an echo request on a new flow gets a reply; the journal records the time to first reply",
    example="{first-reply: vm3, to: vm4, within: 10s}",
    entry=FirstReplyEntry,
    read=_read,
)
