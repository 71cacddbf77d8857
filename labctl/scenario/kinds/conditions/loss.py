"""``loss``: the packets of a window arrive."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field

from labctl.document.durations import format_duration
from labctl.document.entries import Duration, Entry, Names
from labctl.errors import ActionError
from labctl.scenario.kinds.condition import Condition, ConditionKind, Measured

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from labctl.scenario.kinds.condition import Waiting

__all__ = ["KIND", "Loss"]


class LossWindowEntry(Entry):
    """``loss`` as a user writes it."""

    loss: Annotated[Names, Field(description="streams whose loss is counted over a window")]
    packets: Annotated[int | None, Field(ge=0, description="at most so many")] = None
    for_: Annotated[Duration, Field(alias="for", description="length of the window")]
    within: Annotated[Duration | None, Field(description="how long later windows are tried")] = None


@dataclass(frozen=True, slots=True)
class Loss(Condition):
    """No more than ``packets`` of the packets sent in a window of ``for_ns`` are lost.

    Attributes:
        names: of streams; empty for all.
        packets: over all these streams together.
        for_ns: length of the window.
        within_ns: how long it is tried again with later windows; 0 for one try only.
    """

    kind: ClassVar[str] = "loss"

    names: tuple[str, ...]
    packets: int
    for_ns: int
    within_ns: int = 0

    def wait(self, waiting: Waiting) -> Measured:
        """Count window after window; each that misses is told of."""
        if waiting.traffic is None:
            raise ActionError("a loss condition needs running traffic")
        backend = waiting.backend
        begin = backend.now_ns()
        while True:
            start = backend.now_ns()
            end = start + self.for_ns
            backend.sleep_until(end)
            tallies = [
                tally
                for tally in waiting.traffic.window(start, end)
                if not self.names or tally.stream.name in self.names
            ]
            lost = sum(tally.lost for tally in tallies)
            values: dict[str, Any] = {
                "sent": sum(tally.sent for tally in tallies),
                "lost": lost,
                "from_ns": start,
                "to_ns": end,
                "delay_p99_ns": {tally.stream.name: tally.delay_p99_ns for tally in tallies},
            }
            silent = [tally.stream.name for tally in tallies if tally.sent == 0]
            if not tallies:
                # Nothing counted is not nothing lost.
                return Measured(met=False, values={**values, "silent": list(self.names)})
            if lost <= self.packets and not silent:
                return Measured(met=True, values=values)
            if silent:
                values["silent"] = silent
            if backend.now_ns() - begin >= self.within_ns:
                return Measured(met=False, values=values)
            waiting.retried(values)

    def with_streams(self, of_name: Mapping[str, Sequence[str]]) -> Loss:
        """With the names that the streams have when they are counted."""
        names = (stream for name in self.names for stream in of_name.get(name, (name,)))
        return replace(self, names=tuple(dict.fromkeys(names)))

    def streams(self) -> tuple[str, ...]:
        """Those that it counts."""
        return self.names

    def __str__(self) -> str:
        streams = ", ".join(self.names) or "all"
        return f"loss: {streams} at most {self.packets} in {format_duration(self.for_ns)}"


def _read(entry: LossWindowEntry) -> Loss:
    return Loss(entry.loss, entry.packets or 0, entry.for_, entry.within or 0)


KIND = ConditionKind(
    name="loss",
    doc="at most so many packets sent in the window are lost. With `within`, labctl tries later "
    "windows; the journal records every miss. The verdict counts all packets since the traffic "
    "began, whichever window held",
    example="{loss: all, packets: 0, for: 2s, within: 20s}",
    entry=LossWindowEntry,
    read=_read,
)
