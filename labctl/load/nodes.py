"""``nodes:`` expanded: ranges and counts become nodes, later keys change what is there."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from labctl.load.names import label_fault, suggestion
from labctl.load.ranges import RangeError, expand
from labctl.model.topology import MAX_NODES, NODE_SETTINGS, NodeRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from labctl.document.document import Document
    from labctl.errors import Problem
    from labctl.load.schema import NodeModel
    from labctl.model.topology import Path

__all__ = ["ENOUGH", "NodeSection"]

ENOUGH = 100
"""After so many problems the rest of a section is not looked at: it might take minutes."""


class NodeSection:
    """Every node of a topology, by name, in the order in which the file first names them.

    Attributes:
        requests: by name.
        refused: names that were used and are no names; links to them are not reported again.
        problems: everything found wrong.
    """

    def __init__(self, document: Document) -> None:
        self.requests: dict[str, NodeRequest] = {}
        self.refused: set[str] = set()
        self.problems: list[Problem] = []
        self._document = document

    def add_all(self, models: Mapping[str, NodeModel | None]) -> None:
        """Take the whole section, key by key. None is a node of which nothing is known."""
        for key, model in models.items():
            if len(self.problems) >= ENOUGH:
                self._complain(key, "nodes from here on were not checked: fix the problems above first")
                break
            names = self._names(key, model)
            over = len(self.requests.keys() | set(names)) - MAX_NODES
            if over > 0:
                message = f"with {key!r} the lab has {MAX_NODES + over} nodes, expected at most {MAX_NODES}"
                self._complain(key, message)
                self.refused.update(names)
                continue
            twice = [name for name in names if not self._add(key, name, model)]
            if twice:
                first = self._document.position(self.requests[twice[0]].places["role"][:2], key=True).line
                more = f" and {len(twice) - 1} more are" if len(twice) > 1 else " is"
                hint = "to change a node of a range leave out its role"
                self._complain(key, f"node {twice[0]!r}{more} defined twice, first in line {first}", hint)

    def _names(self, key: str, model: NodeModel | None) -> tuple[str, ...]:
        pattern = key
        if model is not None and model.count is not None:
            if "[" in key:
                self._complain(key, f"{key!r} has a range and a count, expected one of them")
                return ()
            pattern = f"{key}[1-{model.count}]"
        try:
            names = expand(pattern, MAX_NODES)
        except RangeError as error:
            self._complain(key, str(error))
            self.refused.add(key)
            return ()
        for name in names:
            fault = label_fault(name, "node")
            if fault:
                self._complain(key, fault, suggestion(name))
                self.refused.update(names)
                return ()
        twice = (
            next((name for name in names if names.count(name) > 1), "")
            if len(set(names)) < len(names)
            else ""
        )
        if twice:
            self._complain(key, f"{key!r} names node {twice!r} twice")
        return tuple(dict.fromkeys(names))

    def _add(self, key: str, name: str, model: NodeModel | None) -> bool:
        """Make a node or change it; False if it has been made and is now made again."""
        path = ("nodes", key)
        request = self.requests.setdefault(name, NodeRequest(name, path=path))
        if model is None:
            self.requests[name] = self._broken(request, key)
            return True
        if model.role is not None and request.role:
            return False
        given: dict[str, tuple[Any, Path]] = {
            setting: (getattr(model, setting), (*path, setting)) for setting in ("role", "asn", "image")
        }
        for setting, family in (("loopback4", "ipv4"), ("loopback6", "ipv6")):
            value = None if model.loopback is None else getattr(model.loopback, family)
            given[setting] = (value, (*path, "loopback", family))
        given = {setting: each for setting, each in given.items() if each[0] is not None}
        for extra, value in (model.model_extra or {}).items():
            if extra in NODE_SETTINGS:
                self._misplaced(key, extra)
            else:
                given[extra] = (value, (*path, extra))
        for setting, (value, place) in given.items():
            request = request.with_given(setting, value, place)
        self.requests[name] = replace(
            request,
            params={**request.params, **model.vars},
            param_places={**request.param_places, **{var: (*path, "vars", var) for var in model.vars}},
        )
        return True

    def _misplaced(self, key: str, extra: str) -> None:
        """A key that we have a name for, where users write another: ``loopback4``."""
        hint = f"write loopback: {{ipv{extra[-1]}: ADDRESS}}" if extra.startswith("loopback") else ""
        path = ("nodes", key, extra)
        problem = self._document.problem(path, f"unknown key {extra!r}", hint, key=True)
        if problem not in self.problems:
            self.problems.append(problem)

    def _broken(self, request: NodeRequest, key: str) -> NodeRequest:
        """An entry that is not sound: what is wrong in it is told, a missing role is not one more."""
        path = ("nodes", key)
        raw = self._document.data["nodes"][key]
        keys = {extra: (*path, extra) for extra in (raw if isinstance(raw, dict) else ())}
        return replace(request, places={"role": path, **keys, **request.places})

    def _complain(self, key: str, message: str, hint: str = "") -> None:
        self.problems.append(self._document.problem(("nodes", key), message, hint, key=True))
