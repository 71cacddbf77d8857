"""``wait``: time goes by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from labctl.document.durations import format_duration
from labctl.document.entries import Duration, Entry
from labctl.scenario.kinds.condition import Condition, ConditionKind, Measured

if TYPE_CHECKING:
    from labctl.scenario.kinds.condition import Waiting

__all__ = ["KIND", "Wait"]


class WaitEntry(Entry):
    """``wait`` as a user writes it."""

    wait: Annotated[Duration, Field(description="wait so long")]


@dataclass(frozen=True, slots=True)
class Wait(Condition):
    """Let time go by."""

    kind: ClassVar[str] = "wait"

    for_ns: int

    def wait(self, waiting: Waiting) -> Measured:
        """Sleep."""
        waiting.backend.sleep_until(waiting.backend.now_ns() + self.for_ns)
        return Measured(met=True, values={})

    def __str__(self) -> str:
        return f"wait: {format_duration(self.for_ns)}"


def _read(entry: WaitEntry) -> Wait:
    return Wait(entry.wait)


KIND = ConditionKind(name="wait", doc="a fixed wait", example="{wait: 3s}", entry=WaitEntry, read=_read)
