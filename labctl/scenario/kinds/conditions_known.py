"""Every condition by its key in a scenario, and the model of an entry of any of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labctl.document.kinds import discover_kinds, flat_model
from labctl.scenario.kinds import conditions
from labctl.scenario.kinds.condition import ConditionKind
from labctl.scenario.kinds.plugins import with_users_kinds

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["CONDITIONS", "ConditionEntry"]

CONDITIONS: Mapping[str, ConditionKind] = with_users_kinds(
    discover_kinds(conditions, ConditionKind), ConditionKind
)
"""What can be waited for."""

ConditionEntry = flat_model("ConditionEntry", f"Exactly one of {', '.join(CONDITIONS)}.", CONDITIONS)
"""One entry of ``steady``, what a step waits for, or what a ``check`` wants."""
