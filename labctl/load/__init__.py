"""YAML -> model: reports every problem at once, each with file:line:column and a hint. Starts nothing."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from labctl.load.topology import load_topology, read_topology

__all__ = ["load_topology", "read_topology"]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - a module's attribute
    """Load the topology loader, and pydantic with it, only when somebody loads a topology."""
    if name in __all__:
        return getattr(importlib.import_module("labctl.load.topology"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
