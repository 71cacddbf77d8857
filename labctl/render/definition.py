"""What the template of the containerlab definition sees."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from labctl import __version__
from labctl.model.lab import Endpoint, Lab
from labctl.roles.expressions import holds
from labctl.roles.requirements import requirements_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from labctl.roles.model import Role

__all__ = ["NodeShape", "binds_of", "definition_context", "with_tag"]


@dataclass(frozen=True, slots=True)
class NodeShape:
    """What the definition must know of a rendered node.

    Attributes:
        targets: absolute paths of its files in the node.
        held: interfaces that it takes up itself, later than its boot.
    """

    targets: tuple[PurePosixPath, ...]
    held: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RoleEntry:
    """A role as a group of the definition."""

    name: str
    image: str
    command: tuple[str, ...]
    capabilities: tuple[str, ...]
    sysctls: Mapping[str, str]
    env: Mapping[str, str]
    ready: bool
    acts_as: str
    traits: str
    requires: str


@dataclass(frozen=True, slots=True)
class NodeEntry:
    """A node of the definition.

    Attributes:
        name, role: as planned.
        image: empty where it has its role's.
        interfaces: what it waits for at boot.
        binds: ``source:target[:ro]``.
        held: interfaces that it takes up itself, later than the others.
        host: the node whose power it lives on; empty where it has its own.
        requires: where it needs other things of a machine than every node of its role; else empty.
    """

    name: str
    role: str
    image: str
    interfaces: tuple[str, ...]
    binds: tuple[str, ...]
    held: tuple[str, ...]
    host: str = ""
    requires: str = ""


@dataclass(frozen=True, slots=True)
class LinkEnd:
    """One end of a link."""

    node: str
    interface: str
    mac: str


@dataclass(frozen=True, slots=True)
class LinkEntry:
    """A link of the definition; ``mtu`` in bytes of IP packet."""

    mtu: int
    ends: tuple[LinkEnd, LinkEnd]


def definition_context(
    lab: Lab, roles: Mapping[str, Role], shapes: Mapping[str, NodeShape]
) -> dict[str, Any]:
    """The names that ``lab.clab.yml.j2`` may use: ``lab``, ``roles``, ``nodes`` and ``links``.

    Args:
        lab: the planned lab.
        roles: by name.
        shapes: by name of the node.
    """
    macs = {Endpoint(node.name, port.name): port.mac for node in lab.nodes for port in node.interfaces}
    return {
        "lab": lab,
        "roles": [_role_entry(roles[name]) for name in sorted({node.role for node in lab.nodes})],
        "nodes": [
            NodeEntry(
                name=node.name,
                role=node.role,
                image=with_tag(node.image) if node.image else "",
                interfaces=tuple(port.name for port in node.interfaces),
                binds=binds_of(node.name, shapes[node.name].targets),
                held=shapes[node.name].held,
                host=str(node.params.get("host", "")) if node.acts_as == "guest" else "",
                requires=_requires(roles[node.role], node.params),
            )
            for node in lab.nodes
        ],
        "links": [
            LinkEntry(
                link.mtu,
                (
                    LinkEnd(link.a.node, link.a.interface, macs[link.a]),
                    LinkEnd(link.b.node, link.b.interface, macs[link.b]),
                ),
            )
            for link in lab.links
        ],
    }


def binds_of(node: str, targets: Iterable[PurePosixPath]) -> tuple[str, ...]:
    """The binds that bring a node's files into it.

    A folder right under ``/etc`` is bound as a whole: the node sees there what was rendered, and
    nothing of its image. Any other file is bound by itself. ``/etc/labctl`` cannot be written to.

    Args:
        node: its name, which is the name of its folder too.
        targets: absolute paths in the node.

    Returns:
        ``source:target[:ro]``, sources relative to the definition's folder, in order.
    """
    mounts = dict.fromkeys(_mount_point(target) for target in targets)
    return tuple(
        f"{node}{mount}:{mount}" + (":ro" if mount == "/etc/labctl" else "") for mount in sorted(mounts)
    )


def _mount_point(target: PurePosixPath) -> str:
    parts = target.parts
    in_folder_of_etc = parts[1] == "etc" and len(parts) > 3  # noqa: PLR2004 - /, etc, folder, file
    return str(PurePosixPath(*parts[:3])) if in_folder_of_etc else str(target)


def with_tag(image: str) -> str:
    """An image reference with labctl's version as its tag where it has none."""
    has_tag = ":" in image.rpartition("/")[2] or "@" in image
    return image if has_tag else f"{image}:{__version__}"


def _role_entry(role: Role) -> RoleEntry:
    return RoleEntry(
        role.name,
        with_tag(role.image) if role.image else "",
        role.command,
        role.capabilities,
        role.sysctls,
        role.env,
        role.ready,
        role.acts_as,
        " ".join(sorted(role.traits)),
        requirements_text(each for each in role.requires if not each.when),
    )


def _requires(role: Role, params: Mapping[str, Any]) -> str:
    """What a node needs, where that is not what every node of its role needs."""
    given = {**role.vars, **params}
    if not any(each.when and holds(each.when, given) for each in role.requires):
        return ""
    return requirements_text(each for each in role.requires if holds(each.when, given))
