"""A run's events as lines for whoever watches."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from labctl.report.format import span

if TYPE_CHECKING:
    from collections.abc import Callable

    from labctl.events import Event

__all__ = ["ProgressLines"]


@dataclass
class ProgressLines:
    """A listener that tells the steps of a run, with the time since its beginning.

    Attributes:
        say: takes one line.
        brief: only the beginning of each run and what went wrong: for a series.
    """

    say: Callable[[str], None]
    brief: bool = False
    _zero_ns: int = field(default=0, init=False)

    def __call__(self, event: Event) -> None:
        """Take one event."""
        if event.kind == "run.header":
            self._zero_ns = event.t_ns
        line = self._line(event)
        if line and (not self.brief or event.kind in _ALWAYS):
            self.say(f"{(event.t_ns - self._zero_ns) / 1e9:7.2f} s  {line}")

    def _line(self, event: Event) -> str:
        data = event.data
        match event.kind:
            case "lab.starting":
                return f"bringing {data.get('lab')} up on {data.get('runtime')} ({data.get('reason', '')})"
            case "lab.up":
                return f"{data.get('lab')} is up"
            case "action.done" | "heal.done":
                return self._done(event)
        return self._waited(event) or self._trouble(event)

    def _waited(self, event: Event) -> str:
        data = event.data
        match event.kind:
            case "traffic.started":
                return f"traffic: {', '.join(data['streams'])}"
            case "steady.met" | "steady.missed":
                return f"{event.kind.removeprefix('steady.')}: {data['condition']}"
            case "condition.started":
                return f"waiting for {data['condition']}"
        return ""

    def _done(self, event: Event) -> str:
        data = event.data
        told = [carrier for carrier in data["carriers"] if carrier["t_ns"]]
        what = f"{data['action']} {data.get('label', data['target'])}"
        if event.kind == "heal.done":
            what += " (heal)"
        if not told:
            return what
        # From the moment at which the kernel was told to: the first peer's word may come with the last's.
        begin = min(int(data.get("detail", {}).get("not_before_ns", data["first_ns"])), data["first_ns"])
        peers = f"{len(told)} peer end" + ("s" if len(told) != 1 else "")
        took = data["last_ns"] - begin
        return f"{what}: seen at {peers}" + (f" within {span(took)}" if took else "")

    def _trouble(self, event: Event) -> str:
        data = event.data
        match event.kind:
            case "loss.retried":
                return f"lost {data['lost']} of {data['sent']}: trying again"
            case (
                "action.failed"
                | "heal.failed"
                | "run.error"
                | "witness.failed"
                | "tally.failed"
                | "logs.failed"
            ):
                return f"{event.kind.replace('.', ' ')}: {data.get('error')}"
            case "logs.saved":
                return f"the nodes' logs are in {data['folder']}"
        return ""


_ALWAYS = {
    "lab.starting",
    "lab.up",
    "action.failed",
    "heal.failed",
    "run.error",
    "loss.retried",
    "tally.failed",
}
