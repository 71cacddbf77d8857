"""Every kind by its key in a scenario: found by the folders, so that a new one is a file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from labctl.document.kinds import discover_kinds
from labctl.scenario.kinds import actions
from labctl.scenario.kinds.action import ActionKind

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ACTIONS"]

ACTIONS: Mapping[str, ActionKind[Any]] = discover_kinds(actions, ActionKind)
"""What can be done to a lab in the timeline."""
