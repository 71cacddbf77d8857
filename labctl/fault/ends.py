"""Resolves link ends of a running lab: which link a user names, and which namespace holds its ends now."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from labctl.errors import ActionError
from labctl.lab.definition_cache import definition_of
from labctl.linux import processes

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from labctl.clab.definition import Definition
    from labctl.lab.runtime import Runtime
    from labctl.lab.state import LabDir
    from labctl.model.lab import Endpoint, LinkPlan

__all__ = ["far_ends", "known_node", "label", "link_between", "own_ends", "place"]


def label(link: LinkPlan) -> str:
    """The name of a link in the registry and in effects."""
    return f"{link.a}-{link.b}"


def known_node(lab: LabDir, node: str) -> Definition:
    """The lab's definition, which is checked to have that node.

    Raises:
        ActionError: it has not; names the nearest.
    """
    definition = definition_of(lab)
    names = [spec.name for spec in definition.nodes]
    if node not in names:
        near = difflib.get_close_matches(node, names, n=1)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        raise ActionError(f"lab {lab.name} has no node {node!r}{hint}")
    return definition


def link_between(lab: LabDir, a: str, b: str) -> LinkPlan:
    """The one link between two ends.

    Args:
        lab: the lab.
        a: a node, or ``node:interface``.
        b: the other, in the same way.

    Raises:
        ActionError: there is none, or several; they are listed.
    """
    node_a, _, interface_a = a.partition(":")
    node_b, _, interface_b = b.partition(":")
    definition = known_node(lab, node_a)
    known_node(lab, node_b)
    between = [
        link
        for link in definition.links
        if _fits(link.a, link.b, (node_a, interface_a), (node_b, interface_b))
        or _fits(link.b, link.a, (node_a, interface_a), (node_b, interface_b))
    ]
    if len(between) == 1:
        return between[0]
    if between:
        listed = ", ".join(label(link) for link in between)
        raise ActionError(f"several links join {a} and {b}: name the interface, one of {listed}")
    others = sorted({end.node for end in far_ends(definition, node_a)})
    raise ActionError(f"no link joins {a} and {b}; {node_a} has links to: {', '.join(others) or 'nobody'}")


def _fits(one: Endpoint, other: Endpoint, a: tuple[str, str], b: tuple[str, str]) -> bool:
    return _is(one, a) and _is(other, b)


def _is(end: Endpoint, wanted: tuple[str, str]) -> bool:
    return end.node == wanted[0] and wanted[1] in ("", end.interface)


def own_ends(definition: Definition, node: str) -> tuple[Endpoint, ...]:
    """Every link end on a node."""
    return tuple(end for link in definition.links for end in link.ends if end.node == node)


def far_ends(definition: Definition, node: str, *, but: Iterable[str] = ()) -> tuple[Endpoint, ...]:
    """The other end of every link of a node, less those to itself and those labelled ``but``."""
    left_out = set(but)
    return tuple(
        link.b if link.a.node == node else link.a
        for link in definition.links_of(node)
        if link.a.node != link.b.node and label(link) not in left_out
    )


def place(runtime: Runtime, lab: LabDir, node: str) -> Path | None:
    """The namespace that holds a node's links: its own, or where they are parked; None if neither exists."""
    try:
        return runtime.netns(lab, node)
    except ActionError:
        parked = lab.parked / node
        return parked if processes.pinned(parked) else None
