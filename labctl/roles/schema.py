"""``role.yml`` as it is written, as pydantic models: what validates is what editors are told."""

from __future__ import annotations

import re
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from labctl.linux.features import FEATURES
from labctl.model.topology import Behaviour
from labctl.roles.model import RoleVar, Trait, VarType
from labctl.roles.requirements import KINDS, Requirement
from labctl.roles.variables import type_of

__all__ = ["RequirementText", "RoleText", "VarText", "json_schema"]

Word = Annotated[str, Field(min_length=1)]
Scalar = str | int | float | bool
_NOT_IN_LABELS = r"^[^;\n]+$"

_DECLARATION = frozenset({"type", "default", "doc", "choices", "pattern", "least", "most", "formerly"})


def _listed(given: object) -> object:
    return given if isinstance(given, list) else [given]


def _declared(given: object) -> object:
    """``a: 1`` is short for ``a: {default: 1}``; so is a mapping that declares nothing."""
    declares = isinstance(given, dict) and not _DECLARATION.isdisjoint(given)
    return given if declares else {"default": given}


def _compiled(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"{pattern!r} is no regular expression: {error}") from error
    return pattern


class _RolePart(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class VarText(_RolePart):
    """A var as it is declared."""

    type: Annotated[list[Annotated[VarType, Field(strict=False)]], BeforeValidator(_listed)] | None = Field(
        default=None, description="text, int, number, bool, list, mapping or any; or a list of them"
    )
    default: Any = Field(default=None, description="without one, a topology must give the var")
    doc: str = Field(default="", description="one line")
    choices: list[Scalar] = Field(default=[], description="the only values")
    pattern: Annotated[str, AfterValidator(_compiled)] = Field(
        default="", description="a regular expression for the whole of a text"
    )
    least: int | float | None = Field(default=None, description="the smallest number allowed")
    most: int | float | None = Field(default=None, description="the greatest number allowed")
    formerly: str = Field(default="", description="the name that it had, which topologies may still give")

    def var(self) -> RoleVar:
        """What it declares."""
        required = "default" not in self.model_fields_set
        types = tuple(self.type) if self.type else (VarType.ANY if required else type_of(self.default),)
        return RoleVar(
            types,
            self.default,
            required,
            self.doc,
            tuple(self.choices),
            self.pattern,
            self.least,
            self.most,
            self.formerly,
        )


class RequirementText(_RolePart):
    """What a machine must have to run the role's nodes from its own files: things of one kind."""

    programs: list[Annotated[str, Field(pattern=r"^[A-Za-z0-9_.+-]+$")]] = Field(
        default=[], description="on the path of nodes"
    )
    files: list[Annotated[str, Field(pattern=r"^(/|labctl/)[^\s;(]*$")]] = Field(
        default=[], description="absolute; such as begin with labctl/ are labctl's own"
    )
    libraries: list[Annotated[str, Field(pattern=r"^[A-Za-z0-9_.+-]+$")]] = Field(
        default=[], description="such as libbpf.so.1"
    )
    modules: list[Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_.]*$")]] = Field(
        default=[], description="of labctl's own Python, which nodes use"
    )
    kernel: list[Word] = Field(default=[], description=f"features: {', '.join(FEATURES)}")
    packages: list[Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9+.-]+$")]] = Field(
        default=[], description="of Debian and Ubuntu, that bring them"
    )
    fix: Annotated[str, Field(pattern=_NOT_IN_LABELS)] | None = Field(
        default=None, description="what to do, where no package helps"
    )
    why: str = Field(default="", description="what for, in a few words")
    when: Word | None = Field(default=None, description="an expression of vars; for every node without one")

    @model_validator(mode="after")
    def _of_one_kind(self) -> Self:
        kinds = [kind for kind in KINDS if getattr(self, kind)]
        if len(kinds) != 1:
            raise ValueError(
                f"expected one of {', '.join(KINDS)}" + (f", not {' and '.join(kinds)}" if kinds else "")
            )
        if bool(self.packages) == (self.fix is not None):
            raise ValueError("expected one of packages, fix: what brings it")
        return self

    def requirement(self) -> Requirement:
        """What it requires."""
        kind = next(kind for kind in KINDS if getattr(self, kind))
        return Requirement(
            kind, tuple(getattr(self, kind)), tuple(self.packages), self.fix or "", self.why, self.when or ""
        )


class RoleText(_RolePart):
    """A role; every key may be left out."""

    description: str = Field(default="", description="one line")
    extends: Word | None = Field(default=None, description="another role, whose files and settings it has")
    acts_as: Annotated[Behaviour, Field(strict=False)] | None = Field(
        default=None, alias="acts-as", description="how its nodes are planned for"
    )
    traits: list[Annotated[Trait, Field(strict=False)]] = Field(
        default=[], description="forwards: passes on packets of others, although it acts as a host"
    )
    image: Word | None = Field(
        default=None, description="container image; without a tag, of labctl's version"
    )
    command: list[Word] | None = Field(default=None, description="words; runs under tini")
    capabilities: list[Annotated[str, Field(pattern=r"^[A-Z][A-Z_]*$")]] = Field(
        default=[], description="without CAP_"
    )
    ready: bool | None = Field(default=None, description="whether /etc/labctl/ready says when it is ready")
    requires: list[RequirementText] = Field(default=[], description="what a machine must have for its nodes")
    purpose: Word | None = Field(default=None, description="what `labctl doctor --for` calls such labs")
    sysctls: dict[Annotated[str, Field(pattern=r"^[a-z0-9_./-]+$")], Scalar] = Field(
        default={}, description="set before any interface is there"
    )
    env: dict[Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")], Scalar] = Field(
        default={}, description="environment of the command"
    )
    vars: dict[Word, Annotated[VarText, BeforeValidator(_declared)]] = Field(
        default={}, description="name: default, or {type, default, doc, choices}"
    )
    node_keys: list[Word] = Field(
        default=[], alias="node-keys", description="further keys of a node in a topology"
    )
    when: dict[Word, Word] = Field(
        default={}, description="path in a node: an expression; files that only some nodes get"
    )


def json_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of ``role.yml``."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **RoleText.model_json_schema()}
