"""The labels that labctl writes into a definition, and what a running lab knows of a node by them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labctl.model.topology import Behaviour
from labctl.roles.model import Trait
from labctl.roles.requirements import parse_requirements

if TYPE_CHECKING:
    from labctl.clab.definition import NodeDefinition
    from labctl.roles.requirements import Requirement

__all__ = ["ACTS_AS", "REQUIRES", "ROLE", "TRAITS", "acts_as", "forwards", "is_end_system", "requirements"]

ROLE = "labctl-role"
"""Name of the role's folder: for people to read; nothing hangs on it."""

ACTS_AS = "labctl-acts-as"
"""What the node was planned as: a :class:`labctl.model.topology.Behaviour`."""

TRAITS = "labctl-traits"
"""What else must be known of it: :class:`labctl.roles.model.Trait`, separated by blanks."""

REQUIRES = "labctl-requires"
"""What a machine must have to run the node from its own files; see :mod:`labctl.roles.requirements`."""

_BRIDGES = frozenset({"bridge", "ovs-bridge"})


def acts_as(spec: NodeDefinition) -> Behaviour | None:
    """What a node acts as; None for one of somebody else's file, of which it is not known."""
    said = spec.labels.get(ACTS_AS, "")
    if said in list(Behaviour):
        return Behaviour(said)
    return Behaviour.SWITCH if spec.kind in _BRIDGES else None


def forwards(spec: NodeDefinition) -> bool:
    """Whether a node passes on packets of others, as far as is known."""
    traits = spec.labels.get(TRAITS, "").split()
    return acts_as(spec) in (Behaviour.ROUTER, Behaviour.GATEWAY) or Trait.FORWARDS in traits


def is_end_system(spec: NodeDefinition) -> bool:
    """Whether a node is known to be where traffic begins and ends, and to pass on none."""
    return acts_as(spec) in (Behaviour.HOST, Behaviour.GUEST) and not forwards(spec)


def requirements(spec: NodeDefinition) -> tuple[Requirement, ...]:
    """What the node's label says that a machine must have."""
    return parse_requirements(spec.labels.get(REQUIRES, ""))
