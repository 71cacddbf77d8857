"""``power-cycle``: a node loses its power, and has it back after the time that ``for`` says."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from labctl.document.entries import Entry
from labctl.fault.types import PowerMode
from labctl.scenario.kinds.action import Action, ActionKind
from labctl.scenario.kinds.actions import power_off
from labctl.scenario.kinds.actions.power_off import Mode, PowerOff
from labctl.scenario.kinds.targets import NodeTargets

__all__ = ["KIND"]


class PowerCycleEntry(Entry):
    """``power-cycle`` as a user writes it."""

    nodes: Annotated[
        NodeTargets, Field(alias="power-cycle", description="nodes that lose their power for a time")
    ]
    mode: Mode | None = None


def _read(entry: PowerCycleEntry) -> tuple[Action[PowerOff], ...]:
    """Power-offs: the journal and every verdict have one word for the loss of power."""
    params = PowerOff(entry.mode or PowerMode.CUT)
    return tuple(Action(power_off.KIND, (node,), params) for node in entry.nodes)


KIND: ActionKind[PowerOff] = ActionKind(
    name="power-cycle",
    doc="`power-off`, and `power-on` after the time that `for` says",
    example="{power-cycle: gw1, for: 3s}",
    entry=PowerCycleEntry,
    read=_read,
    act=power_off.KIND.act,
    for_needed=True,
)
