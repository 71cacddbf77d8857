"""Kinds of entries: one kind a file, found by the folder, and the model that a user's file is held against.

An entry is written flat (``{loss: all, packets: 3}``): one key names the kind, the others are its options.
Every kind has a model of its own; the model of the section has all keys of all kinds, and an entry must have
the key of exactly one kind and no option of another one.
"""

from __future__ import annotations

import importlib
import pkgutil
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Protocol, TypeVar, Union, get_args, get_origin

from pydantic import Field, PrivateAttr, ValidationError, create_model, model_validator
from pydantic.fields import FieldInfo

from labctl.document.entries import Entry

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from types import ModuleType

    from pydantic import ModelWrapValidatorHandler

__all__ = ["FlatEntry", "Kind", "discover_kinds", "flat_model"]


class Kind(Protocol):
    """What every kind of entry has.

    Attributes:
        name: its key in the file.
        doc: one line for people: when it holds, or what it does.
        example: an entry as a user writes it.
        entry: the model of an entry; one of its fields has the alias ``name``.
    """

    @property
    def name(self) -> str: ...  # noqa: D102 - see the attributes
    @property
    def doc(self) -> str: ...  # noqa: D102
    @property
    def example(self) -> str: ...  # noqa: D102
    @property
    def entry(self) -> type[Entry]: ...  # noqa: D102


_Kind = TypeVar("_Kind", bound=Kind)


def discover_kinds(package: ModuleType, of: type[_Kind], beside: Collection[str] = ()) -> Mapping[str, _Kind]:
    """Every kind in the modules of a package, by its key, in the order of the keys.

    Args:
        package: where to look. Each module has ``KIND``.
        of: what ``KIND`` must be.
        beside: modules of the package that hold no kind.

    Raises:
        TypeError: a module has no ``KIND``, or one whose key is not the module's name.
    """
    found: dict[str, _Kind] = {}
    for module in pkgutil.iter_modules(package.__path__):
        if module.name in beside:
            continue
        kind = getattr(importlib.import_module(f"{package.__name__}.{module.name}"), "KIND", None)
        if not isinstance(kind, of):
            raise TypeError(f"{package.__name__}.{module.name} has no KIND that is a {of.__name__}")
        if kind.name != module.name.replace("_", "-"):
            raise TypeError(f"{package.__name__}.{module.name} holds the kind {kind.name!r}")
        found[kind.name] = kind
    return found


class FlatEntry(Entry):
    """An entry of exactly one of several kinds."""

    _kind: str = PrivateAttr("")
    _params: Entry = PrivateAttr()

    @property
    def kind(self) -> str:
        """The key of its kind."""
        return self._kind

    @property
    def params(self) -> Entry:
        """The same entry by the model of its kind."""
        return self._params


def flat_model(
    name: str, doc: str, kinds: Mapping[str, Kind], base: type[FlatEntry] = FlatEntry
) -> type[FlatEntry]:
    """One model that takes an entry of any of these kinds.

    Args:
        name: of the model, as the JSON Schema shows it.
        doc: what an entry is, for the JSON Schema.
        kinds: by their keys.
        base: the model of what every entry may have, whatever its kind.

    Raises:
        TypeError: two kinds give the same option different types.
    """
    common = frozenset(_plain(field).alias or key for key, field in base.model_fields.items())

    def one_kind(
        cls: type[FlatEntry],
        value: Any,  # noqa: ANN401 - whatever the file holds
        handler: ModelWrapValidatorHandler[FlatEntry],
    ) -> FlatEntry:
        del cls
        entry = handler(value)
        if not isinstance(value, dict):
            return entry
        given = {key: one for key, one in value.items() if one is not None and key not in common}
        chosen = [key for key in kinds if key in given]
        if len(chosen) != 1:
            raise ValueError(f"exactly one of {', '.join(kinds)} was expected, not {_words(chosen)}")
        kind = kinds[chosen[0]]
        own = _keys(kind)
        if extra := sorted(given.keys() - own.keys()):
            verb = "does" if len(extra) == 1 else "do"
            raise ValueError(f"{_words(extra)} {verb} not belong to {kind.name}")
        entry._kind, entry._params = kind.name, _params(kind, given)  # noqa: SLF001 - of this module's own class
        return entry

    fields: dict[str, Any] = {}
    for key, owners in _owners(kinds).items():
        first = _plain(_keys(kinds[owners[0]])[key])
        about = first.description if key in kinds else f"{', '.join(owners)}: {first.description}"
        annotation: Any = first.annotation
        for constraint in first.metadata:
            annotation = Annotated[annotation, constraint]
        fields[f"key_{key.replace('-', '_')}"] = (
            annotation | None,
            Field(None, alias=key, description=about),
        )
    return create_model(
        name,
        __base__=base,
        __doc__=doc,
        # pydantic takes its own decorator's proxies here, whatever its annotation says.
        __validators__={"one_kind": model_validator(mode="wrap")(one_kind)},  # type: ignore[dict-item]
        **fields,
    )


def _owners(kinds: Mapping[str, Kind]) -> dict[str, list[str]]:
    """Which kinds have a key; one key has one type in all of them, so that a word means one thing."""
    owners: dict[str, list[str]] = {}
    shapes: dict[str, tuple[object, list[object]]] = {}
    for kind in kinds.values():
        for key, field in _keys(kind).items():
            plain = _plain(field)
            shape = (plain.annotation, list(plain.metadata))
            if shapes.setdefault(key, shape) != shape:
                raise TypeError(f"{kind.name} gives {key!r} another type than {owners[key][0]}")
            owners.setdefault(key, []).append(kind.name)
    return owners


def _params(kind: Kind, given: Mapping[str, Any]) -> Entry:
    try:
        return kind.entry.model_validate(given)
    except ValidationError as error:
        # Every value has been taken already: what is left are missing keys, and rules over several keys.
        missing = [str(one["loc"][0]) for one in error.errors() if one["type"] == "missing"]
        if missing:
            raise ValueError(f"{kind.name} needs {', '.join(missing)}") from None
        raise ValueError(str(error.errors()[0]["msg"]).removeprefix("Value error, ")) from None


def _keys(kind: Kind) -> dict[str, FieldInfo]:
    """The fields of a kind's entry by their keys in the file."""
    return {_plain(field).alias or name: field for name, field in kind.entry.model_fields.items()}


def _plain(field: FieldInfo) -> FieldInfo:
    """A field as it is if it must be given: an option that may be left out has the type of its values."""
    members = [one for one in get_args(field.annotation) if one is not type(None)]
    if get_origin(field.annotation) not in (Union, UnionType) or len(members) != 1:
        return field
    inner = FieldInfo.from_annotation(members[0])
    inner.metadata = [*inner.metadata, *field.metadata]
    inner.description = field.description or inner.description
    inner.alias = field.alias or inner.alias
    return inner


def _words(words: Iterable[str]) -> str:
    return ", ".join(words) or "none"
