"""Builds the :class:`Effect` of an action from the observed carrier changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labctl.events import now_ns
from labctl.fault.types import Effect

if TYPE_CHECKING:
    from labctl.fault.types import CarrierChange

__all__ = ["effect_of"]


def effect_of(action: str, target: str, requested_ns: int, seen: tuple[CarrierChange, ...] = ()) -> Effect:
    """The effect of an action that has just been completed.

    Args:
        action: see :class:`Effect`.
        target: node or link.
        requested_ns: when it was asked for.
        seen: every carrier change that was awaited.

    Returns:
        The effect; ``detail`` has ``window_ns``, and ``unseen`` where a peer did not tell.
    """
    done = now_ns()
    times = [change.t_ns for change in seen if change.t_ns]
    first, last = (min(times), max(times)) if times else (done, done)
    effect = Effect(action, target, requested_ns, first, last, done, seen)
    effect.detail["window_ns"] = last - first
    unseen = [f"{change.node}:{change.interface}" for change in seen if not change.t_ns]
    if unseen:
        effect.detail["unseen"] = ",".join(unseen)
    return effect
