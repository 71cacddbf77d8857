"""The timeline: each step at its moment on the one clock.

Faults in force are remembered in order, so that :meth:`Timeline.heal` can take them back in reverse
whatever happened in between.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from labctl.errors import ActionError, LabctlError
from labctl.events import Event

if TYPE_CHECKING:
    from labctl.events import Listener
    from labctl.scenario.backend import LabBackend
    from labctl.scenario.kinds.action import Action
    from labctl.scenario.kinds.condition import Measured, Waiting
    from labctl.scenario.link_evidence import LinkEvidence
    from labctl.scenario.plan import Plan, PlannedStep

__all__ = ["Timeline", "action_started"]


@dataclass
class Timeline:
    """Carries out the steps of a plan.

    Attributes:
        plan: what is to be done.
        backend: the lab it is done to.
        waiting: how conditions are waited for.
        emit: told of everything.
        links: records the links of what is taken away.
        zero_ns: the moment that ``at:`` counts from.
        in_force: faults not yet taken back, oldest first.
        due_ns: when each step was due, by its index.
        half_done: whether an action that nothing takes back failed, or was interrupted, midway.
    """

    plan: Plan
    backend: LabBackend
    waiting: Waiting
    emit: Listener
    links: LinkEvidence
    zero_ns: int
    in_force: list[Action[Any]] = field(default_factory=list)
    due_ns: dict[int, int] = field(default_factory=dict)
    half_done: bool = False

    def run(self) -> None:
        """Do every step.

        Raises:
            ActionError: an action failed, or a condition was not met in time.
        """
        for planned in self.plan.steps:
            due = self.due_ns[planned.step.index] = self._due(planned)
            self.backend.sleep_until(due)
            self._act(planned, due)

    def heal(self) -> None:
        """Take back every fault in force, the latest first; goes on when one cannot be taken back.

        Raises:
            ActionError: at least one could not be taken back.
        """
        failures = []
        while self.in_force:
            undo = self.in_force[-1].undone()
            self._tell("heal.started", {"action": undo.name, "target": undo.label})
            try:
                effect = self.backend.act(undo, self.emit)
            except LabctlError as error:
                self._tell("heal.failed", {"action": undo.name, "target": undo.label, "error": str(error)})
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
        if step.since is not None:
            return self.due_ns[step.since] + step.plus_ns
        if step.after is not None:
            about = {"condition": str(step.after), "step": step.index}
            self._tell("condition.started", about)
            measured = step.after.wait(self.waiting)
            self._tell(f"condition.{_word(measured)}", {**about, "measured": measured.values})
            if not measured.met:
                raise ActionError(
                    f"step {step.index + 1}: the condition ({step.after}) was not met: {measured.why}"
                )
        return self.backend.now_ns() + step.plus_ns + planned.phase_ns

    def _act(self, planned: PlannedStep, due: int) -> None:
        action = planned.step.action
        about = {"step": planned.step.index, "action": action.name, "target": action.label}
        self._tell("action.started", action_started(planned, due))
        fault = action if action.kind.undo is not None else None
        if fault is not None:
            # Before it is done: half a fault must be healed, too.
            self.in_force.append(fault)
        self.links.before(planned.step)
        try:
            if action.kind.assess is not None:
                effect = action.kind.assess(action, self.waiting)
            else:
                self.half_done = fault is None
                effect = self.backend.act(action, self.emit)
                self.half_done = False
        except LabctlError as error:
            self._tell("action.failed", {**about, "error": str(error)})
            raise ActionError(f"step {planned.step.index + 1}: {action} failed: {error}") from error
        if fault is None:
            self._taken_back(action)
        self._tell("action.done", {"step": planned.step.index, **asdict(effect)})
        self.links.after(planned.step, effect)

    def _taken_back(self, action: Action[Any]) -> None:
        """An action may take several faults back: a link both cut and made a black hole."""
        self.in_force = [fault for fault in self.in_force if not action.takes_back(fault)]

    def _tell(self, kind: str, data: dict[str, Any]) -> None:
        self.emit(Event(kind, self.backend.now_ns(), data))


def action_started(planned: PlannedStep, due_ns: int) -> dict[str, Any]:
    """The data of ``action.started``: a step, and the moment at which it was due."""
    action = planned.step.action
    return {
        "step": planned.step.index,
        "action": action.name,
        "target": action.label,
        "mode": str(action.params),
        "traits": action.traits,
        "due_ns": due_ns,
        "phase_ns": planned.phase_ns,
    }


def _word(measured: Measured) -> str:
    return "met" if measured.met else "missed"
