"""``links:`` expanded: each with each, or pair by pair; overrides change what is there."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from labctl.document.hints import nearest
from labctl.load.names import interface_fault
from labctl.load.nodes import ENOUGH
from labctl.load.ranges import RangeError, expand
from labctl.model.topology import MAX_LINKS, MAX_NODES, EndpointRequest, Given, LinkRequest, Path

if TYPE_CHECKING:
    from collections.abc import Sequence

    from labctl.document.document import Document
    from labctl.errors import Problem
    from labctl.load.nodes import NodeSection
    from labctl.load.schema import LinkModel

__all__ = ["LinkSection"]

_AT_ENDS = ("ipv4", "ipv6", "mac")
_NAMED = 3
_HINTS = 20


@dataclass(frozen=True, slots=True)
class _Side:
    """What stands at one end of an entry: node names, and the interface if it is named."""

    names: tuple[str, ...]
    interface: Given | None
    path: Path
    text: str


class LinkSection:
    """Every link of a topology, in order.

    Attributes:
        requests: in the order of the file.
        problems: everything found wrong.
    """

    def __init__(self, document: Document, nodes: NodeSection, default_mtu: int) -> None:
        self.requests: list[LinkRequest] = []
        self.problems: list[Problem] = []
        self._document = document
        self._nodes = nodes
        self._default_mtu = default_mtu
        self._hints_left = _HINTS
        self._between: dict[frozenset[str], list[int]] = {}

    def add(self, index: int, link: tuple[str, str] | LinkModel) -> None:
        """Take one entry of the section."""
        path: Path = ("links", index)
        if len(self.problems) > ENOUGH:
            return
        if len(self.problems) == ENOUGH:
            self._complain(path, "links from here on were not checked: fix the problems above first")
            return
        if isinstance(link, tuple):
            self._add(path, (link[0], (*path, 0)), (link[1], (*path, 1)), None)
        else:
            self._add(path, (link.a, (*path, "a")), (link.b, (*path, "b")), link)

    def _add(self, path: Path, a: tuple[str, Path], b: tuple[str, Path], model: LinkModel | None) -> None:
        left, right = self._side(*a), self._side(*b)
        if left is None or right is None:
            return
        pairs = self._pairs(path, left, right, paired=model is not None and model.pair)
        own = [pair for pair in pairs if pair[0] == pair[1]]
        if own:
            more = f" and {len(own) - 1} more such" if len(own) > 1 else ""
            self._complain(b[1], f"a link from {own[0][0]!r} to itself{more}")
            return
        if model is not None and model.override:
            self._override(path, left, right, pairs, model)
            return
        single = len(pairs) == 1
        if model is not None and not single and self._gives_ends(path, model, len(pairs)):
            return
        for first, second in pairs:
            bare = LinkRequest(EndpointRequest(first), EndpointRequest(second), self._default_mtu, path)
            self._between.setdefault(frozenset((first, second)), []).append(len(self.requests))
            self.requests.append(_settled(bare, left, right, model, path))

    def _side(self, text: str, path: Path) -> _Side | None:
        expression, colon, interface = text.partition(":")
        fault = interface_fault(interface) if colon else ""
        if fault:
            self._complain(path, fault)
        try:
            names = expand(expression, MAX_NODES)
        except RangeError as error:
            self._complain(path, str(error))
            return None
        unknown = [name for name in names if name not in self._nodes.requests]
        if unknown:
            self._unknown([name for name in unknown if not self._is_refused(name, expression)], path)
            return None
        if fault:
            return None
        return _Side(names, Given(interface, path) if colon else None, path, expression)

    def _is_refused(self, name: str, expression: str) -> bool:
        return name in self._nodes.refused or expression in self._nodes.refused

    def _unknown(self, names: Sequence[str], path: Path) -> None:
        if not names:
            return
        shown = ", ".join(repr(name) for name in names[:_NAMED])
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        noun = "nodes" if len(names) > 1 else "node"
        # To look for the nearest of thousands of names takes a while: not thousands of times.
        self._hints_left -= 1
        hint = nearest(names[0], self._nodes.requests) if self._hints_left >= 0 else ""
        self._complain(path, f"unknown {noun} {shown}{more}", hint)

    def _pairs(self, path: Path, left: _Side, right: _Side, *, paired: bool) -> list[tuple[str, str]]:
        if paired:
            if len(left.names) != len(right.names):
                message = (
                    f"pair: {left.text!r} names {len(left.names)} nodes and {right.text!r} "
                    f"{len(right.names)}, expected as many"
                )
                self._complain((*path, "pair"), message, key=True)
                return []
            return list(zip(left.names, right.names, strict=True))
        count = len(left.names) * len(right.names)
        if count + len(self.requests) > MAX_LINKS:
            total = count + len(self.requests)
            message = f"with these {count} the lab has {total} links, expected at most {MAX_LINKS}"
            self._complain(path, message)
            return []
        return list(itertools.product(left.names, right.names))

    def _gives_ends(self, path: Path, model: LinkModel, count: int) -> bool:
        """Complain of addresses given to several links at once."""
        given = [key for key in _AT_ENDS if getattr(model, key) is not None]
        for key in given:
            message = f"{key} is given for {count} links, expected one link"
            self._complain((*path, key), message, "give it in an override of one link", key=True)
        return bool(given)

    def _override(
        self, path: Path, left: _Side, right: _Side, pairs: list[tuple[str, str]], model: LinkModel
    ) -> None:
        found: list[int] = []
        for first, second in pairs:
            between = self._matching(first, second, left, right)
            if not between:
                message = f"there is no link between {first!r} and {second!r} above to change"
                self._complain(path, message, "leave out override to add one")
            found.extend(between)
        if len(found) > 1 and self._gives_ends(path, model, len(found)):
            return
        for number in found:
            old = self.requests[number]
            turned = old.a.node not in left.names
            a, b = (right, left) if turned else (left, right)
            self.requests[number] = _settled(old, a, b, model, path, turned=turned)

    def _matching(self, first: str, second: str, left: _Side, right: _Side) -> list[int]:
        """Links between two nodes; of parallel ones that whose interface is named, if one is."""
        between = self._between.get(frozenset((first, second)), [])
        named = {
            (name, side.interface.value) for name, side in ((first, left), (second, right)) if side.interface
        }
        exact = [
            number
            for number in between
            if named & {(end.node, end.interface) for end in self.requests[number].ends}
        ]
        return exact or between

    def _complain(self, path: Path, message: str, hint: str = "", *, key: bool = False) -> None:
        self.problems.append(self._document.problem(path, message, hint, key=key))


def _settled(
    link: LinkRequest,
    a: _Side,
    b: _Side,
    model: LinkModel | None,
    path: Path,
    *,
    turned: bool = False,
) -> LinkRequest:
    """A link with an entry's settings; ``turned``: the entry names its ends the other way."""
    ends = [
        end if side.interface is None else end.with_given("interface", side.interface.value, side.path)
        for end, side in ((link.a, a), (link.b, b))
    ]
    if model is None:
        return replace(link, a=ends[0], b=ends[1])
    for key in _AT_ENDS:
        values: tuple[Any, Any] | None = getattr(model, key)
        for at, value in enumerate(values or ()):
            if value is not None:
                end = 1 - at if turned else at
                kept = value.lower() if key == "mac" else value
                ends[end] = ends[end].with_given(key, kept, (*path, key, at))
    return replace(link, a=ends[0], b=ends[1], mtu=link.mtu if model.mtu is None else model.mtu)
