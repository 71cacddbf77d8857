"""The timeline: each step at its moment on the one clock, with witnesses before each fault.

Faults in force are remembered in order, so that :meth:`Timeline.heal` can take them back in reverse
whatever happened in between.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from labctl.errors import ActionError, LabctlError
from labctl.events import Event
from labctl.scenario.model import ACTIONS, Action

if TYPE_CHECKING:
    from collections.abc import Sequence

    from labctl.events import Listener
    from labctl.scenario.backend import RunningWitness, World
    from labctl.scenario.conditions import Measured, Waiting
    from labctl.scenario.plan import Plan, PlannedStep

__all__ = ["Timeline"]

WITNESS_NS = 500_000_000
"""How long a witness watches at least, unless the timeline leaves it less."""

WITNESS_LONGEST_NS = 5_000_000_000
WITNESS_PACKETS = 5
"""A flow is expected to show itself so many times while a witness watches."""

WITNESS_CLOSE_NS = 300_000_000
"""A witness leaves so long before the fault: its leaving, and the counting of what is known until
then, take some 50 ms of a processor, and shall neither disturb nor delay the fault."""

DELAY_WINDOW_NS = 1_000_000_000
"""The one-way delay before a fault is taken from the packets of so long before it."""


@dataclass
class Timeline:
    """Carries out the steps of a plan.

    Attributes:
        plan: what is to be done.
        world: the lab it is done to.
        waiting: how conditions are waited for.
        emit: told of everything.
        zero_ns: the moment that ``at:`` counts from.
        in_force: faults not yet taken back, oldest first.
    """

    plan: Plan
    world: World
    waiting: Waiting
    emit: Listener
    zero_ns: int
    in_force: list[Action] = field(default_factory=list)

    def run(self) -> None:
        """Do every step.

        Raises:
            ActionError: an action failed, or a condition was not met in time.
        """
        witnessed: set[int] = set()
        for planned in self.plan.steps:
            due = self._due(planned)
            if ACTIONS[planned.step.action.kind].breaks and planned.step.index not in witnessed:
                together = self._together(planned)
                self._witness(together, due)
                witnessed.update(one.step.index for one in together)
            self.world.sleep_until(due)
            self._act(planned, due)

    def heal(self) -> None:
        """Take back every fault in force, the latest first; goes on when one cannot be taken back.

        Raises:
            ActionError: at least one could not be taken back.
        """
        failures = []
        while self.in_force:
            undo = self.in_force[-1].undone()
            self._tell("heal.started", {"action": undo.kind, "target": undo.label})
            try:
                effect = self.world.act(undo, self.emit)
            except LabctlError as error:
                self._tell("heal.failed", {"action": undo.kind, "target": undo.label, "error": str(error)})
                failures.append(f"{undo}: {error}")
            else:
                self._tell("heal.done", {**asdict(effect), "label": undo.label, "traits": undo.traits})
            # Only now: an interrupted healing is begun again.
            self.in_force.pop()
        if failures:
            raise ActionError("could not be healed: " + "; ".join(failures))

    def _due(self, planned: PlannedStep) -> int:
        step = planned.step
        if planned.due_ns is not None:
            return self.zero_ns + planned.due_ns
        if step.after is not None:
            about = {"condition": str(step.after), "step": step.index}
            self._tell("condition.started", about)
            measured = self.waiting.wait(step.after)
            self._tell(f"condition.{_word(measured)}", {**about, "measured": measured.values})
            if not measured.met:
                raise ActionError(
                    f"step {step.index + 1}: the condition ({step.after}) was not met: {measured.why}"
                )
        return self.world.now_ns() + step.plus_ns + planned.phase_ns

    def _together(self, first: PlannedStep) -> list[PlannedStep]:
        """The faults due so soon after the first that nobody could watch for each by itself."""
        steps = self.plan.steps[first.step.index :]
        group = [first]
        for before, planned in pairwise(steps):
            if before.due_ns is None or planned.due_ns is None or planned.due_ns - before.due_ns > WITNESS_NS:
                break
            if ACTIONS[planned.step.action.kind].breaks:
                group.append(planned)
        return group

    def _witness(self, faults: Sequence[PlannedStep], due: int) -> None:
        spacing = max(stream.flows * 1e9 / stream.rate_pps for stream in self.plan.streams)
        length = min(max(WITNESS_NS, int(WITNESS_PACKETS * spacing)), WITNESS_LONGEST_NS)
        self.world.sleep_until(due - WITNESS_CLOSE_NS - length)
        nodes = list(dict.fromkeys(node for fault in faults for node in fault.step.action.nodes))
        open_: dict[str, RunningWitness] = {}
        begin = self.world.now_ns()
        try:
            for node in nodes:
                open_[node] = self.world.witness(node, self.plan.streams)
            self.world.sleep_until(due - WITNESS_CLOSE_NS)
            watched = self.world.now_ns() - begin
            seen = {node: witness.seen() for node, witness in open_.items()}
            dropped = {node: witness.dropped for node, witness in open_.items()}
        except LabctlError as error:
            self._tell("witness.failed", {"nodes": nodes, "error": str(error)})
            return
        finally:
            for witness in open_.values():
                witness.close()
        delays = self._delays()
        for fault in faults:
            for node in fault.step.action.nodes:
                flows = {stream: sorted(numbers) for stream, numbers in seen[node].items()}
                data = {"step": fault.step.index, "node": node, "watched_ns": watched, "flows": flows}
                self._tell("witness", {**data, "delay_p99_ns": delays, "dropped": dropped[node]})

    def _delays(self) -> dict[str, int]:
        traffic = self.waiting.traffic
        if traffic is None:
            return {}
        end = self.world.now_ns()
        tallies = traffic.window(max(end - DELAY_WINDOW_NS, self.zero_ns), end)
        return {tally.stream.name: tally.delay_p99_ns for tally in tallies}

    def _act(self, planned: PlannedStep, due: int) -> None:
        action = planned.step.action
        about = {"step": planned.step.index, "action": action.kind, "target": action.label}
        self._tell(
            "action.started",
            {
                **about,
                "mode": action.mode,
                "traits": action.traits,
                "due_ns": due,
                "phase_ns": planned.phase_ns,
            },
        )
        fault = action if ACTIONS[action.kind].undo else None
        if fault is not None:
            # Before it is done: half a fault must be healed, too.
            self.in_force.append(fault)
        try:
            effect = self.world.act(action, self.emit)
        except LabctlError as error:
            self._tell("action.failed", {**about, "error": str(error)})
            raise ActionError(f"step {planned.step.index + 1}: {action} failed: {error}") from error
        if fault is None:
            self._taken_back(action)
        self._tell("action.done", {"step": planned.step.index, **asdict(effect)})

    def _taken_back(self, action: Action) -> None:
        """An action may take several faults back: a link both cut and made a black hole."""
        self.in_force = [fault for fault in self.in_force if not _undoes(action, fault)]

    def _tell(self, kind: str, data: dict[str, Any]) -> None:
        self.emit(Event(kind, self.world.now_ns(), data))


def _undoes(action: Action, fault: Action) -> bool:
    undo = fault.undone()
    return undo.kind == action.kind and sorted(undo.target) == sorted(action.target)


def _word(measured: Measured) -> str:
    return "met" if measured.met else "missed"
