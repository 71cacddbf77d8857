"""Kinds of the user's own, by the entry point group ``labctl.kinds`` of an installed package.

An entry point is named as the kind is in a scenario, and leads to the kind or to a module that has it as
``KIND``. It is code that labctl runs as root: whoever installs a package trusts it.
"""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, TypeVar

from labctl.errors import HostError
from labctl.scenario.kinds.action import ActionKind
from labctl.scenario.kinds.condition import ConditionKind

if TYPE_CHECKING:
    from collections.abc import Mapping
    from importlib.metadata import EntryPoint

__all__ = ["GROUP", "with_users_kinds"]

GROUP = "labctl.kinds"

_Kind = TypeVar("_Kind", ActionKind[Any], ConditionKind)


def with_users_kinds(shipped: Mapping[str, _Kind], of: type[_Kind]) -> Mapping[str, _Kind]:
    """The kinds that come with labctl, and the users' own after them.

    Args:
        shipped: by name.
        of: what is looked for; kinds of the other sort are passed over.

    Raises:
        HostError: an entry point cannot be loaded, leads to no kind, has another name than its kind, or the
            name of a kind that is there already; names the package.
    """
    found = dict(shipped)
    for entry in sorted(entry_points(group=GROUP), key=lambda one: one.name):
        kind = _loaded(entry)
        if not isinstance(kind, of):
            continue
        if entry.name in found:
            raise HostError(f"{_named(entry)}: a kind of that name is there already")
        found[entry.name] = kind
    return found


def _loaded(entry: EntryPoint) -> ActionKind[Any] | ConditionKind:
    try:
        loaded = entry.load()
    except Exception as error:
        # Whatever somebody else's module raises: it is theirs, and told in one line.
        raise HostError(f"{_named(entry)} cannot be loaded: {type(error).__name__}: {error}") from error
    kind = getattr(loaded, "KIND", loaded)
    if not isinstance(kind, ActionKind | ConditionKind):
        raise HostError(f"{_named(entry)} leads to no ActionKind and no ConditionKind: {entry.value}")
    if kind.name != entry.name:
        raise HostError(f"{_named(entry)} leads to the kind {kind.name!r}: both must have one name")
    return kind


def _named(entry: EntryPoint) -> str:
    package = f" of the package {entry.dist.name}" if entry.dist is not None else ""
    return f"the kind {entry.name!r}{package}"
