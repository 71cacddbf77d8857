"""Which roles there are: a role is a folder with a ``role.yml`` in one of the template folders.

Of ``role.yml`` the loader reads four keys, all of them optional; the rest is render's:

``extends``
    name of the role that this one is made from; what is said here wins over what it says.
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

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labctl.document.document import Document, read_document
from labctl.document.hints import nearest
from labctl.errors import InputError, Problem
from labctl.model.topology import Behaviour

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Role", "known_roles", "shipped_templates", "template_folders"]


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


def template_folders(document: Document, given: Sequence[Path] = ()) -> tuple[Path, ...]:
    """The user's template folders, absolute, the first on top.

    Args:
        document: a topology; its key ``templates`` names folders from where the file itself is.
        given: further ones, after ``--templates``; they lie over those.

    Returns:
        Folders that are there.

    Raises:
        InputError: one that is not.
    """
    problems = [
        Problem(f"--templates {folder}", 0, 0, "there is no such folder")
        for folder in given
        if not folder.is_dir()
    ]
    named = document.data.get("templates") if isinstance(document.data, dict) else None
    # What is neither is complained of with the rest of the file's shape.
    names = [named] if isinstance(named, str) else named if isinstance(named, list) else []
    beside = Path(document.file).resolve().parent
    folders = list(given)
    for index, name in enumerate(names):
        if not isinstance(name, str):
            continue
        folder = beside / name
        if "\0" in name or not folder.is_dir():
            place = ("templates",) if isinstance(named, str) else ("templates", index)
            neighbours = [each.name for each in folder.parent.glob("*/")] if "\0" not in name else []
            problems.append(
                document.problem(place, f"there is no folder {name!r}", nearest(folder.name, neighbours))
            )
        folders.append(folder)
    if problems:
        raise InputError(problems)
    return tuple(folder.resolve() for folder in folders)


def known_roles(folders: Sequence[Path] = ()) -> dict[str, Role]:
    """Every role of the given template folders and of ours.

    Args:
        folders: the user's template folders; a role found in an earlier one hides a later one's.

    Returns:
        Roles by name, in order of name, with what they extend merged in.

    Raises:
        InputError: a ``role.yml`` cannot be read or says what cannot be.
    """
    found: dict[str, _Found] = {}
    for folder in (*folders, shipped_templates()):
        for path in sorted(folder.glob("*/role.yml")):
            if path.parent.name not in found:
                found[path.parent.name] = _read(path)
    return {name: _role(name, found) for name in sorted(found)}


@dataclass(frozen=True, slots=True)
class _Found:
    """One ``role.yml`` by itself."""

    document: Document
    extends: str | None
    acts_as: str | None
    vars: Mapping[str, Any]
    node_keys: tuple[str, ...]


def _read(path: Path) -> _Found:
    document = read_document(path)
    data = document.data
    if not isinstance(data, dict):
        raise InputError([document.problem((), "expected a mapping: the keys of a role")])
    problems = []
    params = data.get("vars") or {}
    if not isinstance(params, dict):
        problems.append(document.problem(("vars",), "expected a mapping"))
    node_keys = data.get("node-keys") or []
    if not isinstance(node_keys, list) or not all(isinstance(key, str) for key in node_keys):
        problems.append(document.problem(("node-keys",), "expected a list of names"))
    known = [str(behaviour) for behaviour in Behaviour]
    acts_as = data.get("acts-as")
    if acts_as is not None and acts_as not in known:
        message = f"a role acts as one of {', '.join(known)}, not {acts_as!r}"
        problems.append(document.problem(("acts-as",), message, nearest(str(acts_as), known)))
    extends = data.get("extends")
    if extends is not None and not isinstance(extends, str):
        problems.append(document.problem(("extends",), "expected the name of a role"))
    if problems:
        raise InputError(problems)
    return _Found(document, extends, acts_as, params, tuple(node_keys))


def _role(name: str, found: Mapping[str, _Found]) -> Role:
    """Merge a role with what it extends, nearest first."""
    chain: list[str] = []
    following: str | None = name
    while following is not None:
        document = found[chain[-1] if chain else name].document
        if following in chain:
            raise InputError([document.problem(("extends",), f"role {following!r} extends itself")])
        if following not in found:
            message = f"there is no role {following!r}"
            raise InputError([document.problem(("extends",), message, nearest(following, found))])
        chain.append(following)
        following = found[following].extends
    params: dict[str, Any] = {}
    for ancestor in reversed(chain):
        params.update(found[ancestor].vars)
    keys = dict.fromkeys(key for ancestor in chain for key in found[ancestor].node_keys)
    return Role(name, _behaviour(chain, found), params, tuple(keys), Path(found[name].document.file).parent)


def _behaviour(chain: Sequence[str], found: Mapping[str, _Found]) -> Behaviour:
    known = {str(behaviour) for behaviour in Behaviour}
    for name in chain:
        said = found[name].acts_as or (name if name in known else None)
        if said is not None:
            return Behaviour(said)
    return Behaviour.HOST
