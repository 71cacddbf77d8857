"""Vars of roles that have a better name by now; see :mod:`labctl.document.renamed`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labctl.document.renamed import with_renamed_keys

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from labctl.document.document import Document
    from labctl.document.tree import Value
    from labctl.errors import Problem
    from labctl.roles.model import Role

__all__ = ["with_current_vars"]


def with_current_vars(document: Document, roles: Mapping[str, Role]) -> tuple[Document, tuple[Problem, ...]]:
    """A topology with every renamed var of a role under its current name.

    Args:
        document: the topology, its variables filled in.
        roles: by name; which var was called what stands in their ``formerly``.

    Returns:
        The document, and a warning for each old name in it.

    Raises:
        InputError: the old name and the new one stand side by side.
    """
    return with_renamed_keys(document, _places(document.root, roles))


def _places(root: Value, roles: Mapping[str, Role]) -> Iterator[tuple[Value, Mapping[str, str]]]:
    """Every mapping of vars, with the old and new names that the roles in question know."""
    shared: dict[str, str] = {}
    for node in _children(root, "nodes").values():
        entry = node.entries.get("role")
        role = roles.get(str(entry.value.scalar)) if entry else None
        if role is not None:
            renamed = _renamed(role)
            shared.update(renamed)
            yield from _vars_of(node, renamed)
    for name, settings in _children(root, "roles").items():
        if name in roles:
            yield from _vars_of(settings, _renamed(roles[name]))
    defaults = root.entries.get("defaults")
    if defaults is not None:
        yield from _vars_of(defaults.value, shared)


def _vars_of(holder: Value, names: Mapping[str, str]) -> Iterator[tuple[Value, Mapping[str, str]]]:
    entry = holder.entries.get("vars")
    if entry is not None and names:
        yield entry.value, names


def _renamed(role: Role) -> Mapping[str, str]:
    # A role of the user's own may have a var that happens to be called as one of ours was.
    names = {var.formerly: name for name, var in role.declared.items() if var.formerly}
    return {old: new for old, new in names.items() if old not in role.declared}


def _children(root: Value, section: str) -> Mapping[str, Value]:
    entry = root.entries.get(section)
    return {} if entry is None else {name: child.value for name, child in entry.value.entries.items()}
