"""One thing that a program did to a lab: when it took effect, and what it cost the traffic."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from labctl.api.durations import as_delta
from labctl.errors import ActionError

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta
    from types import TracebackType

    from labctl.api.traffic import MeasuredTraffic
    from labctl.fault.types import CarrierChange, Effect
    from labctl.scenario.kinds.action import Action
    from labctl.verdict.schema import FaultResult

__all__ = ["AppliedFault"]


class AppliedFault:
    """An action of a lab. A context manager: leaving it takes the fault back.

    What it cost the traffic can be asked for once that traffic has ended.
    """

    def __init__(self, done: Action[Any], undo: Callable[[AppliedFault], None]) -> None:
        """About to be done."""
        self.done = done
        self._undo = undo
        self.effect: Effect | None = None
        self.in_force = done.kind.undo is not None
        self.steps: list[tuple[MeasuredTraffic, int]] = []

    def __repr__(self) -> str:
        return f"<Fault {self.done}{'' if self.in_force else ', not in force'}>"

    @property
    def action(self) -> str:
        """What was done, as a scenario calls it."""
        return self.done.name

    @property
    def target(self) -> str:
        """Node, or both ends of a link."""
        return self.done.label

    @property
    def carriers(self) -> tuple[CarrierChange, ...]:
        """Each carrier change that was awaited at a peer."""
        return self._effect().carriers

    @property
    def window(self) -> timedelta:
        """From the first to the last carrier change at a peer."""
        effect = self._effect()
        return as_delta(effect.last_ns - effect.first_ns)

    @property
    def crossed(self) -> int:
        """Flows that were seen crossing the victim right before; -1 if nobody can say."""
        counts = [one.crossed for one in self.results()]
        return -1 if -1 in counts else sum(counts)

    @property
    def in_flight(self) -> int:
        """Packets lost on the victim's links or inside it when it failed."""
        return sum(one.in_flight for one in self.results())

    @property
    def convergence_loss(self) -> int:
        """Every other packet lost to it."""
        return sum(one.convergence_loss for one in self.results())

    @property
    def null(self) -> bool:
        """No flow crossed the victim and none was hit: it says nothing of the design."""
        return all(one.null for one in self.results())

    def results(self) -> tuple[FaultResult, ...]:
        """What the verdict says of it, of each traffic that flowed.

        Raises:
            ActionError: no traffic flowed, or it still does.
        """
        if not self.steps:
            raise ActionError(f"{self.done}: no traffic flowed when it was done")
        return tuple(traffic.fault(step) for traffic, step in self.steps)

    def undo(self) -> None:
        """Take it back; repeating it is no error.

        Raises:
            ActionError: it cannot be taken back.
        """
        if self.in_force:
            self._undo(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.undo()

    def _effect(self) -> Effect:
        if self.effect is None:
            raise ActionError(f"{self.done} was not done")
        return self.effect
