"""Roles: folders with a ``role.yml`` and the files of a node.

A role's files are found by their path: ``templates/router/etc/frr/frr.conf.j2`` becomes
``/etc/frr/frr.conf`` in every node of the role ``router``. A role that extends another has the
other's files and settings too, and its own over them. Several template folders lie over one
another like sheets of film: the first that has a file wins, file by file, ``role.yml`` too.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from labctl.document.document import read_document
from labctl.document.hints import nearest
from labctl.document.problems import problems_from
from labctl.errors import InputError, Problem

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from labctl.document.document import Document

__all__ = ["Role", "RoleFile", "load_role", "role_names"]

ROLE_FILE = "role.yml"
_SUFFIX = ".j2"
_LEFTOVERS = frozenset({"__pycache__", ".git", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".DS_Store"})

Word = Annotated[str, Field(min_length=1)]
Scalar = str | int | float | bool


class RoleText(BaseModel):
    """``role.yml`` as it is written; every key may be left out."""

    model_config = ConfigDict(extra="forbid", strict=True, populate_by_name=True)

    description: str = ""
    extends: Word | None = None
    acts_as: Word | None = Field(None, alias="acts-as")
    image: Word | None = None
    command: list[Word] | None = None
    capabilities: list[Annotated[str, Field(pattern=r"^[A-Z][A-Z_]*$")]] = []
    ready: bool | None = None
    sysctls: dict[Annotated[str, Field(pattern=r"^[a-z0-9_./-]+$")], Scalar] = {}
    env: dict[Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")], Scalar] = {}
    vars: dict[str, Any] = {}
    node_keys: list[Word] = Field([], alias="node-keys")
    when: dict[Word, Word] = {}


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
        lineage: the role itself, the one it extends, and so on.
        description: one line.
        image: container image; without a tag, labctl's version is the tag.
        command: words; run under the image's init.
        capabilities: without ``CAP_``.
        ready: whether its nodes have a readiness program.
        sysctls: name to value, in text.
        env: environment of the command.
        vars: defaults of a node's ``vars``.
        files: in the order of their targets.
    """

    name: str
    lineage: tuple[str, ...]
    description: str
    image: str
    command: tuple[str, ...]
    capabilities: tuple[str, ...]
    ready: bool
    sysctls: Mapping[str, str]
    env: Mapping[str, str]
    vars: Mapping[str, Any]
    files: tuple[RoleFile, ...]


def role_names(folders: Sequence[Path]) -> tuple[str, ...]:
    """Every role of the template folders, by name."""
    return tuple(sorted({path.parent.name for folder in folders for path in folder.glob(f"*/{ROLE_FILE}")}))


def load_role(name: str, folders: Sequence[Path]) -> Role:
    """Read a role and all that it extends.

    Args:
        name: of the role.
        folders: template folders; an earlier one lies over a later one.

    Returns:
        The role, with what it inherits filled in.

    Raises:
        InputError: there is no such role, or its ``role.yml`` says what cannot be.
    """
    chain = _lineage(name, folders)
    # From the ancestor down to the role itself: the later wins.
    texts = [text for _, text in reversed(chain)]
    lineage = tuple(role for role, _ in chain)
    return Role(
        name=name,
        lineage=lineage,
        description=chain[0][1].description,
        image=_last(text.image for text in texts) or "",
        command=tuple(_last(text.command for text in texts) or ()),
        capabilities=tuple(dict.fromkeys(word for text in texts for word in text.capabilities)),
        ready=bool(_last(text.ready for text in texts)),
        sysctls={key: _plain(value) for text in texts for key, value in text.sysctls.items()},
        env={key: _plain(value) for text in texts for key, value in text.env.items()},
        vars={key: value for text in texts for key, value in text.vars.items()},
        files=_files(lineage, folders, {key: value for text in texts for key, value in text.when.items()}),
    )


def _last(values: Any) -> Any:  # noqa: ANN401 - whatever the fields hold
    found = None
    for value in values:
        found = found if value is None else value
    return found


def _plain(value: Scalar) -> str:
    return str(int(value)) if isinstance(value, bool) else str(value)


def _lineage(name: str, folders: Sequence[Path]) -> list[tuple[str, RoleText]]:
    chain: list[tuple[str, RoleText]] = []
    wanted, asked_by = name, None
    while True:
        path = _first(f"{wanted}/{ROLE_FILE}", folders)
        if path is None:
            raise _no_such_role(wanted, folders, asked_by)
        document = read_document(path)
        text = _validated(document)
        chain.append((wanted, text))
        if text.extends is None:
            return chain
        if text.extends in (role for role, _ in chain):
            names = " -> ".join([*(role for role, _ in chain), text.extends])
            raise InputError([document.problem(("extends",), f"the role extends itself: {names}")])
        wanted, asked_by = text.extends, document


def _no_such_role(name: str, folders: Sequence[Path], asked_by: Document | None) -> InputError:
    hint = nearest(name, role_names(folders))
    if asked_by is not None:
        return InputError([asked_by.problem(("extends",), f"there is no role {name!r}", hint)])
    where = ", ".join(str(folder) for folder in folders)
    return InputError([Problem(where, 0, 0, f"there is no role {name!r}", hint)])


def _validated(document: Document) -> RoleText:
    try:
        return RoleText.model_validate(document.data)
    except ValidationError as error:
        raise InputError(problems_from(error, document, RoleText)) from error


def _first(relative: str, folders: Sequence[Path]) -> Path | None:
    return next((folder / relative for folder in folders if (folder / relative).is_file()), None)


def _files(
    lineage: tuple[str, ...], folders: Sequence[Path], when: Mapping[str, str]
) -> tuple[RoleFile, ...]:
    found: dict[PurePosixPath, RoleFile] = {}
    for role in lineage:
        for folder in folders:
            root = folder / role
            for path in sorted(root.rglob("*")):
                place = PurePosixPath(path.relative_to(root).as_posix())
                relative = str(place)
                if not path.is_file() or relative == ROLE_FILE or _ignored(place):
                    continue
                is_template = relative.endswith(_SUFFIX)
                target = PurePosixPath("/", relative.removesuffix(_SUFFIX))
                template = f"{role}/{relative}" if is_template else None
                found.setdefault(target, RoleFile(target, template, path, _condition(target, when)))
    return tuple(found[target] for target in sorted(found))


def _condition(target: PurePosixPath, when: Mapping[str, str]) -> str:
    """The expression for the file itself, or for the nearest folder that has one."""
    for place in (target, *target.parents):
        if str(place) in when:
            return when[str(place)]
    return ""


def _ignored(relative: PurePosixPath) -> bool:
    """What programs leave behind in a folder that people work in."""
    return bool(_LEFTOVERS.intersection(relative.parts)) or relative.name.endswith(("~", ".swp", ".pyc"))
