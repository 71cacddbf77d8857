"""Every kind by its key in a scenario: found by the folders, so that a new one is a file; then users' own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from labctl.document.kinds import discover_kinds
from labctl.scenario.kinds import actions
from labctl.scenario.kinds.action import ActionKind
from labctl.scenario.kinds.conditions_known import CONDITIONS
from labctl.scenario.kinds.plugins import with_users_kinds

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ACTIONS", "CONDITIONS"]

ACTIONS: Mapping[str, ActionKind[Any]] = with_users_kinds(discover_kinds(actions, ActionKind), ActionKind)
"""What can be done to a lab in the timeline."""
