"""What the template of the containerlab definition sees."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from labctl import __version__
from labctl.roles.expressions import holds
from labctl.roles.requirements import requirements_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from labctl.model.lab import Lab, NodePlan
    from labctl.model.routing import RoutingPlan
    from labctl.roles.model import Role

__all__ = ["binds_of", "definition_context", "with_tag"]


def definition_context(
    lab: Lab,
    roles: Mapping[str, Role],
    files: Mapping[str, Iterable[PurePosixPath]],
    routing: Mapping[str, RoutingPlan],
) -> dict[str, Any]:
    """What ``lab.clab.yml.j2`` may use, by name.

    Args:
        lab: the planned lab.
        roles: by name.
        files: for each node the absolute paths of its files in it.
        routing: by name of the node.

    Returns:
        ``lab``; ``roles``, the groups of the file; ``role_requires``, by name of the role; ``node_requires``,
        ``binds`` and ``deferred_up``, by name of the node; ``with_tag``.
    """
    return {
        "lab": lab,
        "roles": [roles[name] for name in sorted({node.role for node in lab.nodes})],
        "role_requires": {name: _role_requires(role) for name, role in roles.items()},
        "node_requires": {node.name: _node_requires(node, roles[node.role]) for node in lab.nodes},
        "binds": {node.name: binds_of(node.name, files[node.name]) for node in lab.nodes},
        "deferred_up": {node.name: routing[node.name].deferred_up for node in lab.nodes},
        "with_tag": with_tag,
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


def _role_requires(role: Role) -> str:
    """What every node of a role needs of a machine."""
    return requirements_text(each for each in role.requires if not each.when)


def _node_requires(node: NodePlan, role: Role) -> str:
    """What a node needs of a machine, where that is not what every node of its role needs; else empty."""
    given = {**role.vars, **node.params}
    if not any(each.when and holds(each.when, given) for each in role.requires):
        return ""
    return requirements_text(each for each in role.requires if holds(each.when, given))
