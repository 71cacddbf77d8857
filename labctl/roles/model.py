"""What a role is, with everything that it inherits: frozen data."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from labctl.model.topology import Behaviour

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path, PurePosixPath

    from labctl.roles.requirements import Requirement

__all__ = ["Role", "RoleFile", "RoleVar", "Trait", "VarType"]


class Trait(StrEnum):
    """What labctl must know of a role beyond what it acts as.

    ``forwards``: its nodes pass on packets of others, although they are planned for as hosts. A link to such
    a node is cut at the other end, so that the node sees what a router would see: no carrier.
    """

    FORWARDS = "forwards"


class VarType(StrEnum):
    """What a var may be given."""

    TEXT = "text"
    INT = "int"
    NUMBER = "number"
    BOOL = "bool"
    LIST = "list"
    MAPPING = "mapping"
    ANY = "any"


@dataclass(frozen=True, slots=True)
class RoleVar:
    """A value that a role's templates need, and that a topology may give.

    Attributes:
        types: any of these will do.
        default: where a topology gives none; of no meaning where it must give one.
        required: whether a topology must give one.
        doc: one line.
        choices: the only values; empty for any of the types.
        pattern: a regular expression that the whole of a text must match; empty for any text.
        least, most: bounds of a number, both allowed; None without one.
        formerly: the name that it had; topologies may still give it, and the user is told.
    """

    types: tuple[VarType, ...] = (VarType.ANY,)
    default: Any = None
    required: bool = False
    doc: str = ""
    choices: tuple[Any, ...] = ()
    pattern: str = ""
    least: float | None = None
    most: float | None = None
    formerly: str = ""


@dataclass(frozen=True, slots=True)
class RoleFile:
    """One file that every node of a role gets.

    Attributes:
        target: absolute path in the node.
        template: name of the template relative to the template folders; None if it is copied.
        source: the file that it comes from.
        when: an expression of what templates see; empty if every node of the role gets the file.
    """

    target: PurePosixPath
    template: str | None
    source: Path
    when: str = ""


@dataclass(frozen=True, slots=True)
class Role:
    """A role with everything that it inherits.

    Attributes:
        name: of its folder.
        acts_as: how its nodes are planned for, and what faults and drawings take them for.
        lineage: the role itself, the one it extends, and so on.
        declared: the vars of its nodes, by name.
        node_keys: further keys that its nodes may have in a topology.
        traits: what else labctl must know of it.
        requires: what a machine must have to run its nodes from its own files.
        purpose: what ``labctl doctor --for`` calls the labs that the role is made for; empty for any lab.
        description: one line.
        image: container image; without a tag, labctl's version is the tag.
        command: words; run under the image's init.
        capabilities: without ``CAP_``.
        ready: whether its nodes have a readiness program.
        sysctls: name to value, in text.
        env: environment of the command.
        files: in the order of their targets.
    """

    name: str
    acts_as: Behaviour = Behaviour.HOST
    lineage: tuple[str, ...] = ()
    declared: Mapping[str, RoleVar] = field(default_factory=dict)
    node_keys: tuple[str, ...] = ()
    traits: frozenset[Trait] = frozenset()
    requires: tuple[Requirement, ...] = ()
    purpose: str = ""
    description: str = ""
    image: str = ""
    command: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()
    ready: bool = False
    sysctls: Mapping[str, str] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    files: tuple[RoleFile, ...] = ()

    @property
    def vars(self) -> dict[str, Any]:
        """The defaults of the vars that have one."""
        return {name: var.default for name, var in self.declared.items() if not var.required}
