"""Roles found, read and merged: the one place that knows what ``role.yml`` means.

A role is a folder with a ``role.yml``; its files are found by their path:
``templates/router/etc/frr/frr.conf.j2`` becomes ``/etc/frr/frr.conf`` in every node of the role ``router``. A
role that extends another has the other's files and settings too, and its own over them. Several template
folders lie over one another: the first that has a file wins, file by file, ``role.yml`` too.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import ValidationError

from labctl.document.document import read_document
from labctl.document.hints import nearest
from labctl.document.problems import problems_from
from labctl.errors import InputError, Problem
from labctl.linux.features import FEATURES
from labctl.model.topology import Behaviour
from labctl.roles.expressions import FILE_NAMES, VAR_NAMES, expression_faults
from labctl.roles.folders import inside, shipped_templates
from labctl.roles.model import Role, RoleFile, RoleVar
from labctl.roles.schema import RoleText
from labctl.roles.variables import value_fault

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from labctl.document.document import Document
    from labctl.roles.schema import RequirementText, VarText

__all__ = ["load_role", "load_roles", "role_names"]

ROLE_FILE = "role.yml"
_SUFFIX = ".j2"
_LEFTOVERS = frozenset({"__pycache__", ".git", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".DS_Store"})
_Setting = TypeVar("_Setting")


def role_names(folders: Sequence[Path]) -> tuple[str, ...]:
    """Every role of the template folders, by name."""
    return tuple(sorted({path.parent.name for folder in folders for path in folder.glob(f"*/{ROLE_FILE}")}))


def load_roles(folders: Sequence[Path] = ()) -> Mapping[str, Role]:
    """Every role of the given template folders and of ours.

    All roles that the given folders have a part in are read at once, so that every mistake in them is told.
    Ours are read when they are asked for: a lab uses a few of them.

    Args:
        folders: the user's template folders; an earlier one lies over a later one, ours below all.

    Returns:
        Roles by name, in order of name.

    Raises:
        InputError: every problem of every role of the given folders.
    """
    library = _Library((*folders, shipped_templates()))
    problems: list[Problem] = []
    for name in library:
        try:
            if any((folder / name).is_dir() for folder in folders):
                _ = library[name]
        except InputError as error:
            problems += error.problems
    if problems:
        raise InputError(problems)
    return library


def load_role(name: str, folders: Sequence[Path]) -> Role:
    """One role, and all that it extends.

    Args:
        name: of the role.
        folders: all template folders, ours among them; an earlier one lies over a later one.

    Returns:
        The role, with what it inherits filled in.

    Raises:
        InputError: there is no such role, or every problem of its ``role.yml`` or of those it extends.
    """
    return _Library(folders).read(name)


@dataclass(frozen=True, slots=True)
class _Written:
    """One ``role.yml`` by itself, and the files in the same folder."""

    name: str
    document: Document
    text: RoleText
    files: tuple[RoleFile, ...]


class _Library(Mapping[str, Role]):
    """The roles of template folders by name; each ``role.yml`` is read once, when it is first wanted."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self.folders = tuple(folders)
        self._names = dict.fromkeys(role_names(folders))
        self._read: dict[str, _Written] = {}
        self._roles: dict[str, Role] = {}

    def __getitem__(self, name: str) -> Role:
        if name not in self._names:
            raise KeyError(name)
        if name not in self._roles:
            self._roles[name] = self.read(name)
        return self._roles[name]

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def read(self, name: str) -> Role:
        """A role with all that it inherits."""
        chain = self._lineage(name)
        role = _merged(chain)
        problems = list(_problems(chain, role))
        if problems:
            raise InputError(problems)
        return role

    def _lineage(self, name: str) -> list[_Written]:
        chain = [self._written(name, None)]
        while (wanted := chain[-1].text.extends) is not None:
            if wanted in (each.name for each in chain):
                names = " -> ".join([*(each.name for each in chain), wanted])
                message = f"the role extends itself: {names}"
                raise InputError([chain[-1].document.problem(("extends",), message)])
            chain.append(self._written(wanted, chain[-1].document))
        return chain

    def _written(self, name: str, asked_by: Document | None) -> _Written:
        if name not in self._read:
            path = _first(f"{name}/{ROLE_FILE}", self.folders)
            if path is None:
                raise self._no_such_role(name, asked_by)
            document = read_document(path)
            self._read[name] = _Written(name, document, _validated(document), _own_files(name, self.folders))
        return self._read[name]

    def _no_such_role(self, name: str, asked_by: Document | None) -> InputError:
        hint = nearest(name, role_names(self.folders))
        if asked_by is not None:
            return InputError([asked_by.problem(("extends",), f"there is no role {name!r}", hint)])
        where = ", ".join(str(folder) for folder in self.folders)
        return InputError([Problem(where, 0, 0, f"there is no role {name!r}", hint)])


def _validated(document: Document) -> RoleText:
    try:
        return RoleText.model_validate(document.data)
    except ValidationError as error:
        raise InputError(problems_from(error, document, RoleText)) from error


def _merged(chain: Sequence[_Written]) -> Role:
    """A role of what it and its ancestors say, the nearest first in ``chain``."""
    # From the ancestor down to the role itself: the later wins.
    texts = [each.text for each in reversed(chain)]
    lineage = tuple(each.name for each in chain)
    when = {key: value for text in texts for key, value in text.when.items()}
    return Role(
        name=lineage[0],
        acts_as=_last(text.acts_as for text in texts) or Behaviour.HOST,
        lineage=lineage,
        declared=_declared(texts),
        node_keys=tuple(dict.fromkeys(key for text in texts for key in text.node_keys)),
        traits=frozenset(trait for text in texts for trait in text.traits),
        requires=tuple(dict.fromkeys(each.requirement() for text in texts for each in text.requires)),
        purpose=_last(text.purpose for text in texts) or "",
        description=texts[-1].description,
        image=_last(text.image for text in texts) or "",
        command=tuple(_last(text.command for text in texts) or ()),
        capabilities=tuple(dict.fromkeys(word for text in texts for word in text.capabilities)),
        ready=bool(_last(text.ready for text in texts)),
        sysctls={key: _plain(value) for text in texts for key, value in text.sysctls.items()},
        env={key: _plain(value) for text in texts for key, value in text.env.items()},
        files=_files((each.files for each in chain), when),
    )


def _declared(texts: Iterable[RoleText]) -> dict[str, RoleVar]:
    declared: dict[str, RoleVar] = {}
    for text in texts:
        for name, var in text.vars.items():
            declared[name] = _var(declared.get(name), var)
    return declared


def _var(inherited: RoleVar | None, text: VarText) -> RoleVar:
    """A var; a role that says nothing of its type changes the default of what it inherits."""
    own = text.var()
    if inherited is None or text.type is not None:
        return own
    default, required = (inherited.default, inherited.required) if own.required else (own.default, False)
    return replace(
        inherited,
        default=default,
        required=required,
        doc=own.doc or inherited.doc,
        choices=own.choices or inherited.choices,
        pattern=own.pattern or inherited.pattern,
        least=inherited.least if own.least is None else own.least,
        most=inherited.most if own.most is None else own.most,
    )


def _problems(chain: Sequence[_Written], role: Role) -> Iterator[Problem]:
    """What is wrong with what a role itself says, given what it inherits."""
    document, text = chain[0].document, chain[0].text
    known = {*role.declared, *role.node_keys}
    formerly = {var.formerly: name for name, var in role.declared.items() if var.formerly}
    for name in text.vars:
        var = role.declared[name]
        if name in formerly:
            message = f"var {name!r} of an inherited role is called {formerly[name]!r} now"
            yield document.problem(("vars", name), message, key=True)
        fault = "" if var.required else value_fault(var, var.default)
        if fault:
            yield document.problem(("vars", name, "default"), f"default of var {name!r}: {fault}")
    targets = {str(place) for file in role.files for place in (file.target, *file.target.parents)}
    for path, expression in text.when.items():
        if path not in targets:
            message = f"no node of the role has {path!r}"
            yield document.problem(("when", path), message, nearest(path, targets), key=True)
        for message, hint in expression_faults(expression, FILE_NAMES, known):
            yield document.problem(("when", path), message, hint)
    for index, required in enumerate(text.requires):
        yield from _requirement_problems(document, ("requires", index), required, known)


def _requirement_problems(
    document: Document, path: tuple[str | int, ...], required: RequirementText, known: Collection[str]
) -> Iterator[Problem]:
    for index, feature in enumerate(required.kernel):
        if feature not in FEATURES:
            message = f"unknown feature of the kernel {feature!r}"
            yield document.problem((*path, "kernel", index), message, nearest(feature, FEATURES))
    for message, hint in expression_faults(required.when or "true", VAR_NAMES, known):
        yield document.problem((*path, "when"), message, hint)


def _last(values: Iterable[_Setting | None]) -> _Setting | None:
    found = None
    for value in values:
        found = found if value is None else value
    return found


def _plain(value: Any) -> str:  # noqa: ANN401 - a scalar of YAML
    if isinstance(value, bool):
        return str(int(value))
    return str(value)


def _first(relative: str, folders: Sequence[Path]) -> Path | None:
    return next((folder / relative for folder in folders if (folder / relative).is_file()), None)


def _own_files(role: str, folders: Sequence[Path]) -> tuple[RoleFile, ...]:
    """The files that stand in a role's own folders; the first folder that has one wins."""
    found: dict[PurePosixPath, RoleFile] = {}
    for folder in folders:
        root = folder / role
        contained = inside(root, folder)
        for at, _, names in os.walk(root):
            below = os.path.relpath(at, root)
            for name in names:
                place = PurePosixPath(below, name)
                relative = str(place)
                source = Path(at, name)
                if relative == ROLE_FILE or _ignored(place) or not source.is_file():
                    continue
                # No folder below is a link: os.walk follows none.
                if not (inside(source, folder) if source.is_symlink() else contained):
                    problem = f"leads out of its template folder, to {source.resolve()}"
                    raise InputError([Problem(str(source), 0, 0, problem)])
                is_template = relative.endswith(_SUFFIX)
                target = PurePosixPath("/", relative.removesuffix(_SUFFIX))
                template = f"{role}/{relative}" if is_template else None
                found.setdefault(target, RoleFile(target, template, source))
    return tuple(found.values())


def _files(own: Iterable[Sequence[RoleFile]], when: Mapping[str, str]) -> tuple[RoleFile, ...]:
    """The files of a role and of those it extends, the nearest first."""
    found: dict[PurePosixPath, RoleFile] = {}
    for files in own:
        for file in files:
            if file.target not in found:
                condition = _condition(file.target, when) if when else ""
                found[file.target] = replace(file, when=condition) if condition else file
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
