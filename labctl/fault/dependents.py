"""Dependents: nodes without power of their own (virtual machines), which fail and return with their host."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from labctl.clab.definition import Definition

__all__ = ["guests_of", "host_of"]

_HOST = "labctl-host"
"""Label of a node: the node whose power it lives on."""


def guests_of(definition: Definition, node: str) -> tuple[str, ...]:
    """The nodes that depend on a node's power, in the definition's order."""
    return tuple(spec.name for spec in definition.nodes if spec.labels.get(_HOST) == node)


def host_of(definition: Definition, node: str) -> str:
    """The node whose power a node depends on; empty where it has its own."""
    return definition.node(node).labels.get(_HOST, "")
