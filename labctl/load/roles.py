"""Which roles there are: a role is a folder with a ``role.yml`` in one of the template folders.

Of ``role.yml`` the loader reads three keys, all of them optional; the rest is render's:

``acts-as``
    ``host``, ``router``, ``gateway`` or ``switch``: how a node of the role is planned for. A role
    that bears one of these four names acts as itself, any other as a host.
``vars``
    defaults of the node's ``vars``.
``node-keys``
    names of further keys that a node of the role may have in a topology; what the user gives
    there is found among the node's params.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from labctl.errors import InputError
from labctl.load.document import Document, read_document
from labctl.load.hints import nearest
from labctl.model.topology import Behaviour

__all__ = ["Role", "known_roles", "shipped_templates"]


@dataclass(frozen=True, slots=True)
class Role:
    """What the loader knows of a role.

    Attributes:
        name: of its folder.
        behaviour: how its nodes are planned for.
        vars: defaults of a node's ``vars``.
        node_keys: further keys that a node may have.
        folder: the role's folder; None for a role made up by a test.
    """

    name: str
    behaviour: Behaviour
    vars: Mapping[str, Any] = field(default_factory=dict)
    node_keys: tuple[str, ...] = ()
    folder: Path | None = None


def shipped_templates() -> Path:
    """The template folder that comes with labctl."""
    package = Path(__file__).resolve().parent.parent
    inside = package / "templates"
    return inside if inside.is_dir() else package.parent / "templates"


def known_roles(folders: Sequence[Path] = ()) -> dict[str, Role]:
    """Every role of the given template folders and of ours.

    Args:
        folders: the user's template folders; a role found in an earlier one hides a later one's.

    Returns:
        Roles by name, in order of name.

    Raises:
        InputError: a ``role.yml`` cannot be read or says what cannot be.
    """
    roles: dict[str, Role] = {}
    for folder in (*folders, shipped_templates()):
        for path in sorted(folder.glob("*/role.yml")):
            name = path.parent.name
            if name not in roles:
                roles[name] = _read_role(name, path)
    return dict(sorted(roles.items()))


def _read_role(name: str, path: Path) -> Role:
    document = read_document(path)
    data = document.data
    if not isinstance(data, dict):
        raise InputError([document.problem((), "expected a mapping: the keys of a role")])
    params = data.get("vars") or {}
    if not isinstance(params, dict):
        raise InputError([document.problem(("vars",), "expected a mapping")])
    node_keys = data.get("node-keys") or []
    if not isinstance(node_keys, list) or not all(isinstance(key, str) for key in node_keys):
        raise InputError([document.problem(("node-keys",), "expected a list of names")])
    return Role(
        name=name,
        behaviour=_behaviour(name, data.get("acts-as"), document),
        vars=params,
        node_keys=tuple(node_keys),
        folder=path.parent,
    )


def _behaviour(name: str, given: object, document: Document) -> Behaviour:
    known = [str(behaviour) for behaviour in Behaviour]
    if given is None:
        return Behaviour(name) if name in known else Behaviour.HOST
    if given not in known:
        message = f"a role acts as one of {', '.join(known)}, not {given!r}"
        raise InputError([document.problem(("acts-as",), message, nearest(str(given), known))])
    return Behaviour(str(given))
