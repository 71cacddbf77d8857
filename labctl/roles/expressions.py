"""What ``when:`` says: whether it can be read, names only what there is, and holds of given vars."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jinja2
from jinja2 import nodes
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from labctl.document.hints import nearest
from labctl.roles.variables import VAR_METHODS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

__all__ = ["FILE_NAMES", "FILTERS", "TESTS", "VAR_NAMES", "expression_faults", "holds"]

FILE_NAMES = frozenset(
    {
        *("lab", "node", "role", "vars", "ports", "host_routes", "exits4", "exits6", "sides", "groups"),
        *("sessions", "networks", "deferred_up", "gated"),
        "held",  # of templates that users have: deferred_up up to 0.2
    }
)
"""What an expression about a file may name: all that templates see."""

VAR_NAMES = frozenset({"vars"})
"""What an expression about a requirement may name: it is asked before anything is planned."""

FILTERS = frozenset({"yaml", "shell", "quote"})
"""Filters of templates besides Jinja's own."""

TESTS = frozenset({"of_role"})
"""Tests of templates besides Jinja's own."""

Fault = tuple[str, str]
"""A message, and a hint."""

_ENVIRONMENT = ImmutableSandboxedEnvironment(undefined=jinja2.StrictUndefined)
_KNOWN_FILTERS = FILTERS | set(_ENVIRONMENT.filters)
_KNOWN_TESTS = TESTS | set(_ENVIRONMENT.tests)


def expression_faults(expression: str, names: Collection[str], declared: Collection[str]) -> Iterator[Fault]:
    """Everything that an expression names and that is not there, or why it cannot be read.

    Args:
        expression: as in ``{% if ... %}``.
        names: that it may use.
        declared: vars of the role, and keys of its nodes.
    """
    try:
        parser = Parser(_ENVIRONMENT, expression, state="variable")
        parsed = parser.parse_expression()
        if not parser.stream.eos:
            yield f"{expression!r}: cannot be read from {parser.stream.current.value!r} on", ""
            return
    except jinja2.TemplateSyntaxError as error:
        yield f"{expression!r}: {error.message}", ""
        return
    whole = nodes.Output([parsed])
    for found in whole.find_all(nodes.Name):
        if found.name not in names and found.name not in _ENVIRONMENT.globals:
            yield f"unknown name {found.name!r}", nearest(found.name, names)
    yield from _unknown("filter", (each.name for each in whole.find_all(nodes.Filter)), _KNOWN_FILTERS)
    yield from _unknown("test", (each.name for each in whole.find_all(nodes.Test)), _KNOWN_TESTS)
    for name in _vars_in(whole):
        if name not in declared and name not in VAR_METHODS:
            yield f"unknown var {name!r}", nearest(name, declared)


def _unknown(what: str, used: Iterable[str], known: Collection[str]) -> Iterator[Fault]:
    for name in used:
        if name not in known:
            yield f"unknown {what} {name!r}", nearest(name, known)


def _vars_in(whole: nodes.Node) -> Iterator[str]:
    for dotted in whole.find_all(nodes.Getattr):
        if _is_vars(dotted.node):
            yield dotted.attr
    for item in whole.find_all(nodes.Getitem):
        if _is_vars(item.node) and isinstance(item.arg, nodes.Const) and isinstance(item.arg.value, str):
            yield item.arg.value


def _is_vars(node: nodes.Node) -> bool:
    return isinstance(node, nodes.Name) and node.name == "vars"


def holds(expression: str, variables: Mapping[str, Any]) -> bool:
    """Whether an expression of ``vars`` is true of a node; in doubt it is.

    Args:
        expression: checked by :func:`expression_faults`; empty for what always holds.
        variables: of the node.
    """
    if not expression:
        return True
    try:
        return bool(_ENVIRONMENT.compile_expression(expression)(vars=variables))
    except (jinja2.TemplateError, ArithmeticError, LookupError, TypeError, ValueError):
        return True
