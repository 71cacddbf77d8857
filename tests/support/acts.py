"""Actions of a timeline by the words of a scenario, for tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from labctl.fault.types import PowerMode
from labctl.scenario.kinds.action import Action, NoParams
from labctl.scenario.kinds.actions.fence import Fence
from labctl.scenario.kinds.actions.kill import Kill
from labctl.scenario.kinds.actions.link_blackhole import Blackhole
from labctl.scenario.kinds.actions.overlay import OverlayChange
from labctl.scenario.kinds.actions.power_off import PowerOff
from labctl.scenario.kinds.registry import ACTIONS

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["act"]

_PARAMS: dict[str, Callable[[str], Any]] = {
    "power-off": lambda mode: PowerOff(PowerMode(mode or "cut")),
    "fence": Fence,
    "kill": Kill,
    "overlay": OverlayChange,
    "link-blackhole": Blackhole,
}


def act(kind: str, target: tuple[str, ...] = (), said: str = "") -> Action[Any]:
    """An action.

    Args:
        kind: the key in a timeline.
        target: as of :class:`~labctl.scenario.kinds.action.Action`.
        said: what it takes besides, in text: how power is lost, a process, who asks, a command.
    """
    params = _PARAMS[kind](said) if kind in _PARAMS else NoParams()
    return Action(ACTIONS[kind], target, params)
