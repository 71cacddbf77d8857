"""What the links of each victim say, step by step: which flows crossed it, where lost packets went.

Nothing here delays a fault: the links are recorded from the start of traffic on, and what they say is
asked for once the run is over.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from labctl.errors import LabctlError
from labctl.scenario.backend import Victim

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from labctl.fault.types import Effect
    from labctl.probe.evidence import LostPackets
    from labctl.probe.types import Stream
    from labctl.scenario.backend import LabBackend, RunningTraffic, RunningWatch
    from labctl.scenario.model import Step

__all__ = ["LinkEvidence", "victim_of"]

AFTER_NS = 10_000_000
"""Links are recorded so long after the last peer lost its carrier: the kernel transmits onto a dead link
for at most 2 ms."""

_LEAST_SPAN_NS = 1_000_000_000
_SPACINGS = 5
"""A flow crosses a victim if it was seen there in the last second, or the last five packet spacings."""

DELAY_WINDOW_NS = 1_000_000_000
"""The one-way delay before a fault is taken from the packets of so long before it."""


def victim_of(step: Step) -> Victim:
    """What a step takes away, or gives back."""
    action = step.action
    return Victim(action.target, of_link=True) if action.kind.on_link else Victim(action.nodes)


@dataclass
class LinkEvidence:
    """Keeps what was recorded of each breaking step, until it is told.

    Attributes:
        backend: the lab.
        traffic: what flows.
        streams: the same, as planned.
        tell: emits an event of the journal.
    """

    backend: LabBackend
    traffic: RunningTraffic
    streams: Sequence[Stream]
    tell: Callable[[str, dict[str, Any]], None]
    watch: RunningWatch | None = None
    failure: str = ""
    _faults: dict[int, tuple[Step, Effect]] = field(default_factory=dict)
    _victims: dict[Victim, None] = field(default_factory=dict)

    def start(self, steps: Sequence[Step]) -> None:
        """Record the links of everything that these steps take away, from now on; may be called again."""
        found = dict.fromkeys(victim_of(step) for step in steps if step.action.traits["breaks"])
        victims = tuple(victim for victim in found if victim not in self._victims)
        if not victims:
            return
        try:
            if self.watch is None:
                self.watch = self.backend.watch(victims, self.traffic, self.streams)
            else:
                self.watch.add(victims)
        except LabctlError as error:
            self.failure = str(error)
        else:
            self._victims.update(dict.fromkeys(victims))

    def unwatched(self, step: Step) -> bool:
        """Whether a step takes something away whose links are not recorded yet."""
        return step.action.traits["breaks"] and victim_of(step) not in self._victims

    @property
    def span_ns(self) -> int:
        """How long before a fault its victim's links must have been recorded, to say who crosses it."""
        return max(
            _LEAST_SPAN_NS,
            *(int(_SPACINGS * stream.flows * 1e9 / stream.rate_pps) for stream in self.streams),
        )

    def before(self, step: Step) -> None:
        """A step is about to be done."""
        if self.watch is not None and step.action.traits["breaks"]:
            self.watch.hold(step.index, victim_of(step))

    def after(self, step: Step, effect: Effect) -> None:
        """A step was done."""
        if step.action.traits["breaks"]:
            self._faults[step.index] = (step, effect)
        if self.watch is None:
            return
        if step.action.traits["breaks"]:
            self.watch.record_until(
                step.index,
                told_ns=_told_ns(effect),
                closed_ns=effect.last_ns + AFTER_NS,
                span_ns=self.span_ns,
            )
        else:
            # A node that has its power back has interfaces in a namespace of its own again.
            self.watch.refresh()

    def report(self, lost: Mapping[str, LostPackets]) -> None:
        """Tell of every fault what the links said.

        Args:
            lost: the lost packets of each stream by the final count.
        """
        for step, effect in self._faults.values():
            self._report(step, effect, lost)

    def close(self) -> None:
        """Record no more; may be called again."""
        if self.watch is not None:
            self.watch.close()
            self.watch = None

    def _report(self, step: Step, effect: Effect, lost: Mapping[str, LostPackets]) -> None:
        if self.watch is None:
            self.tell("witness.failed", {"step": step.index, "error": self.failure or "not watched"})
            return
        try:
            record = self.watch.recorded(step.index)
        except LabctlError as error:
            self.tell("witness.failed", {"step": step.index, "error": str(error)})
            return
        self.tell(
            "witness",
            {
                "step": step.index,
                "by": "interfaces",
                "since_ns": record.crossing.since_ns,
                "until_ns": record.crossing.until_ns,
                "dropped": record.crossing.dropped,
                "flows": {name: sorted(flows) for name, flows in record.crossing.flows.items()},
                "delay_p99_ns": self._delays(_told_ns(effect)),
            },
        )
        if not step.action.traits["silent"]:
            evidence = record.evidence(lost)
            self.tell(
                "evidence",
                {
                    "step": step.index,
                    "ends": list(evidence.ends),
                    "transit_p99_ns": evidence.transit_p99_ns,
                    "transit_max_ns": evidence.transit_max_ns,
                    "lost": evidence.lost,
                },
            )

    def _delays(self, told_ns: int) -> dict[str, int]:
        tallies = self.traffic.window(told_ns - DELAY_WINDOW_NS, told_ns)
        return {tally.stream.name: tally.delay_p99_ns for tally in tallies}


def _told_ns(effect: Effect) -> int:
    """When the kernel was told of the fault: everything before was preparation."""
    return int(effect.detail.get("not_before_ns", effect.requested_ns))
