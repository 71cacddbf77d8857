"""What a topology gives to the vars of its roles: by node, by role, and to all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labctl.document.hints import nearest
from labctl.roles.variables import value_fault

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from labctl.document.document import Document
    from labctl.errors import Problem
    from labctl.load.schema import TopologyModel
    from labctl.model.topology import NodeRequest, Path
    from labctl.roles.model import Role

__all__ = ["check_role_vars"]


def check_role_vars(
    document: Document,
    nodes: Mapping[str, NodeRequest],
    roles: Mapping[str, Role],
    model: TopologyModel | None,
) -> list[Problem]:
    """Unknown vars, values that do not fit, and vars that need a value and have none.

    Args:
        document: for positions.
        nodes: every node as the user gave it, before its role's own values.
        roles: by name.
        model: the topology; None where its shape is wrong, and then only what nodes give is looked at.

    Returns:
        At most one problem for each value that stands in the file.
    """
    checker = _Checker(document)
    used = {name: role for name, node in nodes.items() if (role := roles.get(node.role)) is not None}
    for name, role in used.items():
        for var, value in nodes[name].params.items():
            checker.value(role, var, value, nodes[name].param_places[var])
    shared = model.defaults.vars if model and model.defaults else {}
    settings = {name: own.vars for name, own in (model.roles or {}).items()} if model else {}
    for role_name, values in settings.items():
        for var, value in values.items():
            if role_name in roles:
                checker.value(roles[role_name], var, value, ("roles", role_name, "vars", var))
    for var, value in shared.items():
        checker.shared(used.values(), var, value, ("defaults", "vars", var))
    if model is not None:
        for name, role in used.items():
            checker.complete(role, nodes[name], {*shared, *settings.get(role.name, ())})
    return checker.problems


class _Checker:
    def __init__(self, document: Document) -> None:
        self.problems: list[Problem] = []
        self._document = document
        self._told: set[Path] = set()

    def value(self, role: Role, var: str, value: object, path: Path) -> None:
        """A value for one role."""
        if var not in role.declared:
            message = f"role {role.name!r} has no var {var!r}"
            self._complain(path, message, nearest(var, role.declared), key=True)
            return
        fault = value_fault(role.declared[var], value)
        if fault:
            self._complain(path, f"var {var!r} of role {role.name!r}: {fault}")

    def shared(self, roles: Iterable[Role], var: str, value: object, path: Path) -> None:
        """A value for whichever role has such a var; one of them must."""
        used = tuple({role.name: role for role in roles}.values())
        having = [role for role in used if var in role.declared]
        for role in having:
            self.value(role, var, value, path)
        if used and not having:
            names = {name for role in used for name in role.declared}
            self._complain(path, f"no role of this lab has a var {var!r}", nearest(var, names), key=True)

    def complete(self, role: Role, node: NodeRequest, given: set[str]) -> None:
        """Whether a node has a value for every var of its role that needs one."""
        lacking = [
            name for name, var in role.declared.items() if var.required and name not in {*given, *node.params}
        ]
        if lacking:
            names = ", ".join(repr(name) for name in lacking)
            message = f"{node.name!r} gives no value for {names}, which role {role.name!r} needs under vars"
            self._complain(node.path, message, key=True)

    def _complain(self, path: Path, message: str, hint: str = "", *, key: bool = False) -> None:
        """One problem a value: a range may repeat it thousands of times."""
        if path in self._told:
            return
        self._told.add(path)
        self.problems.append(self._document.problem(path, message, hint, key=key))
