"""The values of vars: whether one may be given, and what is wrong with it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from labctl.document.problems import shown
from labctl.roles.model import RoleVar, VarType

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["VAR_METHODS", "type_of", "value_fault"]

VAR_METHODS = frozenset({"get", "items", "keys", "values"})
"""What an expression may call of ``vars`` besides a var's name."""

_WORDS: Mapping[VarType, str] = {
    VarType.TEXT: "text",
    VarType.INT: "a whole number",
    VarType.NUMBER: "a number",
    VarType.BOOL: "true or false",
    VarType.LIST: "a list",
    VarType.MAPPING: "a mapping",
    VarType.ANY: "a value",
}


def type_of(default: object) -> VarType:
    """The type of a var that says nothing of it: that of its default."""
    if isinstance(default, bool):
        return VarType.BOOL
    for kind, types in (
        (VarType.INT, int),
        (VarType.NUMBER, float),
        (VarType.TEXT, str),
        (VarType.LIST, list),
        (VarType.MAPPING, dict),
    ):
        if isinstance(default, types):
            return kind
    return VarType.ANY


def value_fault(var: RoleVar, value: object) -> str:
    """What is wrong with a value for a var; empty if nothing is."""
    if not any(_is(kind, value) for kind in var.types):
        return f"expected {' or '.join(_WORDS[kind] for kind in var.types)}, not {shown(value)}"
    if var.choices and not any(_same(value, choice) for choice in var.choices):
        return f"expected one of {', '.join(str(choice) for choice in var.choices)}, not {shown(value)}"
    if var.pattern and isinstance(value, str) and not re.fullmatch(var.pattern, value):
        return f"expected text that matches {var.pattern}, not {shown(value)}"
    if isinstance(value, int | float) and not isinstance(value, bool):
        if var.least is not None and value < var.least:
            return f"expected at least {var.least:g}, not {shown(value)}"
        if var.most is not None and value > var.most:
            return f"expected at most {var.most:g}, not {shown(value)}"
    return ""


def _same(one: Any, other: Any) -> bool:  # noqa: ANN401 - whatever YAML can say
    """Equal, and a truth value is no number."""
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def _is(kind: VarType, value: object) -> bool:
    if kind is VarType.ANY:
        return True
    if isinstance(value, bool):
        return kind is VarType.BOOL
    types: Mapping[VarType, type | tuple[type, ...]] = {
        VarType.TEXT: str,
        VarType.INT: int,
        VarType.NUMBER: (int, float),
        VarType.LIST: list,
        VarType.MAPPING: dict,
    }
    return kind in types and isinstance(value, types[kind])
