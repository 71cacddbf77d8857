"""One run of a scenario on a lab: steady, timeline, heal, steady again, drain, tally.

Whatever happens in between, faults are taken back in reverse order and everything measured so far
is written down.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from labctl import signals
from labctl.errors import ActionError, LabctlError, LabInterrupted
from labctl.events import Event
from labctl.journal.records import INTERNAL
from labctl.scenario.collect import Collector
from labctl.scenario.kinds.action import Power
from labctl.scenario.kinds.condition import Waiting
from labctl.scenario.link_evidence import LinkEvidence
from labctl.scenario.timeline import Timeline

if TYPE_CHECKING:
    from collections.abc import Callable

    from labctl.events import Listener
    from labctl.scenario.backend import LabBackend, RunningTraffic
    from labctl.scenario.kinds.condition import Condition, Measured
    from labctl.scenario.plan import Plan

__all__ = ["DRAIN_S", "count_traffic", "run_once"]

DRAIN_S = 1.0
"""After the last packet left, so long is waited for those on their way."""


def run_once(plan: Plan, backend: LabBackend, emit: Listener) -> bool:
    """Carry out one run and write everything to the journal.

    Args:
        plan: what is to be done.
        backend: a lab that is up.
        emit: gets every event; the verdict is made of nothing else.

    Returns:
        Whether the run went through (whatever it measured): False after a ``run.error``.

    Raises:
        LabInterrupted: the user stopped it; the lab is healed.
    """
    run = _Run(plan, backend, emit)
    try:
        run.carry_out()
    except LabctlError as error:
        run.tell("run.error", {"error": str(error), "cause": error.cause})
        return False
    except KeyboardInterrupt as error:
        run.tell("run.interrupted", {})
        raise LabInterrupted("interrupted; labctl has reverted every fault") from error
    except BaseException as error:
        # What it is called in Python helps whoever mends it, and nobody reads it by machine.
        run.tell("run.error", {"error": f"{type(error).__name__}: {error}", "cause": INTERNAL})
        raise
    finally:
        # They hold the run, which holds them: a circle, and with it the packets' records in memory files,
        # which only the garbage collector would free, dozens of runs later.
        run.links = run.timeline = None
    run.tell("run.done", {})
    return True


def count_traffic(
    traffic: RunningTraffic, links: LinkEvidence | None, tell: Callable[[str, dict[str, Any]], None]
) -> None:
    """Stop the traffic, and tell what the victims' links recorded and what was counted of each stream.

    Raises:
        ProbeError: it could not be counted.
    """
    tallies = traffic.stop(drain_s=DRAIN_S)
    tell("traffic.stopped", {"streams": [tally.stream.name for tally in tallies]})
    if links is not None:
        links.report(traffic.lost())
    for tally in tallies:
        tell("tally", asdict(tally))


@dataclass
class _Run:
    plan: Plan
    backend: LabBackend
    emit: Listener
    traffic: RunningTraffic | None = None
    timeline: Timeline | None = None
    links: LinkEvidence | None = None
    missed: list[str] = field(default_factory=list)
    collector: Collector = field(init=False)

    def __post_init__(self) -> None:
        self.collector = Collector(self.backend, self.plan.scenario.collect, self.emit)

    def carry_out(self) -> None:
        try:
            self._forth()
        except BaseException:
            self._wind_up(quietly=True)
            raise
        self._wind_up(quietly=False)

    def tell(self, kind: str, data: dict[str, Any]) -> None:
        self.emit(Event(kind, self.backend.now_ns(), data))

    def _forth(self) -> None:
        for condition in self.plan.scenario.steady:
            if condition.streams() is not None:
                self._start_traffic()
            measured = self._steady(condition, "before")
            if not measured.met:
                why = measured.why or "missed"
                raise ActionError(f"not steady before the first fault: {condition}: {why}")
        self._start_traffic()
        self.collector.collect()
        assert self.links is not None  # noqa: S101 - for the type checker: traffic flows
        self.timeline = Timeline(
            self.plan, self.backend, self._waiting(), self.emit, self.links, self.backend.now_ns()
        )
        self.tell("timeline.started", {"streams": [asdict(stream) for stream in self.plan.streams]})
        self.timeline.run()
        if self.plan.steps:
            self.backend.sleep_until(self.backend.now_ns() + self.plan.scenario.settle_ns)
        self.timeline.heal()
        for condition in self.plan.scenario.steady:
            # A miss is the verdict's to judge: what was lost stands in the tally, too.
            self._steady(condition, "after")

    def _steady(self, condition: Condition, when: str) -> Measured:
        about = {"condition": str(condition), "kind": condition.kind, "when": when}
        self.tell("steady.started", about)
        measured = condition.wait(self._waiting())
        self.tell("steady.met" if measured.met else "steady.missed", {**about, "measured": measured.values})
        return measured

    def _waiting(self) -> Waiting:
        return Waiting(
            self.backend, self.traffic, self._off, lambda values: self.tell("loss.retried", values)
        )

    def _off(self) -> set[str]:
        faults = self.timeline.in_force if self.timeline else []
        return {fault.target[0] for fault in faults if fault.power is Power.OFF}

    def _start_traffic(self) -> None:
        if self.traffic is not None:
            return
        self.traffic = self.backend.start_traffic(self.plan.streams)
        self.tell("traffic.started", {"streams": [stream.name for stream in self.plan.streams]})
        self.links = LinkEvidence(self.backend, self.traffic, self.plan.streams, self.tell)
        self.links.start([planned.step for planned in self.plan.steps])

    def _wind_up(self, *, quietly: bool) -> None:
        """Heal and count, each whatever becomes of the other.

        Args:
            quietly: an error is on its way already: another one is noted, not raised.
        """
        errors: list[LabctlError] = []
        with signals.held():
            for part in (self._heal, self._count, self.collector.collect):
                try:
                    part()
                except LabctlError as error:
                    errors.append(error)
                    self.tell("heal.failed" if part == self._heal else "tally.failed", {"error": str(error)})
        if errors and not quietly:
            raise errors[0]

    def _heal(self) -> None:
        if self.timeline is None:
            return
        if self.timeline.half_done:
            # Only the state on disk knows what it has left in force.
            self.timeline.half_done = False
            self.backend.undo_all(self.emit)
        try:
            self.timeline.heal()
        except LabctlError:
            # The state on disk may know better what is in force than this process does.
            self.backend.undo_all(self.emit)
            raise

    def _count(self) -> None:
        if self.traffic is None:
            return
        try:
            count_traffic(self.traffic, self.links, self.tell)
        finally:
            if self.links is not None:
                self.links.close()
            self.traffic.close()
            self.traffic = None
