"""``power-off``: a node loses its power."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from labctl.document.entries import Entry
from labctl.fault.power import power_off
from labctl.fault.types import PowerMode
from labctl.scenario.kinds.action import Action, ActionKind, Power
from labctl.scenario.kinds.actions import power_on
from labctl.scenario.kinds.targets import NodeTargets

if TYPE_CHECKING:
    from labctl.events import Listener
    from labctl.fault.types import Effect
    from labctl.scenario.kinds.action import LabInUse

__all__ = ["KIND", "Mode", "PowerOff"]

Mode = Annotated[PowerMode, Field(description="how power is lost: cut, graceful or freeze")]


class PowerOffEntry(Entry):
    """``power-off`` as a user writes it."""

    nodes: Annotated[NodeTargets, Field(alias="power-off", description="nodes whose power is cut")]
    mode: Mode | None = None


@dataclass(frozen=True, slots=True)
class PowerOff:
    """How power is lost."""

    mode: PowerMode = PowerMode.CUT

    def __str__(self) -> str:
        return self.mode.value


def _read(entry: PowerOffEntry) -> tuple[Action[PowerOff], ...]:
    params = PowerOff(entry.mode or PowerMode.CUT)
    return tuple(Action(KIND, (node,), params) for node in entry.nodes)


def _act(lab: LabInUse, action: Action[PowerOff], listen: Listener) -> Effect:
    return power_off(lab.runtime, lab.folder, action.target[0], action.params.mode, listen)


KIND: ActionKind[PowerOff] = ActionKind(
    name="power-off",
    doc="the node loses its power: all links lose carrier at once and all processes are killed. With "
    "`mode: graceful` its stop program runs first, with `mode: freeze` its processes stop and its"
    " links keep carrier",
    example="{power-off: gw1, mode: cut}",
    entry=PowerOffEntry,
    read=_read,
    act=_act,
    undo=power_on.KIND,
    # A frozen node keeps its links up.
    silent=lambda params: params.mode is PowerMode.FREEZE,
    power=lambda _params: Power.OFF,
)
