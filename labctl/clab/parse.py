"""A containerlab file -> :class:`~labctl.clab.definition.Definition`: ours, and those of others.

What the format says (containerlab 0.79): node over group over kind over defaults; maps merge, lists
of ``exec``, ``binds`` and the like add up; the text is put through envsubst, so that ``$$`` is a
dollar; binds are relative to the file; a link is ``endpoints: ["a:eth1", "b:eth1"]`` or the extended
form with ``type: veth``. What is sound there and beyond the embedded runtime is no error here: it is
kept under ``unsupported``, for :meth:`labctl.lab.runtime.Runtime.missing` to tell.
"""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labctl.clab.definition import Bind, Definition, NodeDefinition, digest_of
from labctl.clab.keys import IGNORED, KNOWN, merged, misspelt, unsupported
from labctl.clab.links import UnsupportedLinkError, read_link
from labctl.clab.substitution import UnclosedError, fill_in, magic
from labctl.document.document import Document, read_document
from labctl.document.hints import nearest
from labctl.errors import InputError, Problem

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from labctl.clab.links import Fault
    from labctl.document.document import Position
    from labctl.model.lab import Endpoint, LinkPlan

__all__ = ["definition_from", "is_definition", "parse_definition", "read_definition"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}\Z", re.ASCII)
_SYSCTL = re.compile(r"net(?:\.[A-Za-z0-9_/-]+)+\Z", re.ASCII)
_UNPRIVILEGED_DEFAULT = ("NET_ADMIN", "SYS_ADMIN", "SYS_PTRACE")
_BIND_PARTS = (2, 3)

Path_ = tuple[str | int, ...]


def is_definition(document: Document) -> bool:
    """Whether a file is a containerlab file: by its name, or by what stands in it.

    containerlab itself takes a file of any name. What tells it from a topology and from a scenario are the
    nodes, which stand under ``topology``.
    """
    if document.file.endswith((".clab.yml", ".clab.yaml")):
        return True
    data = document.data
    return isinstance(data, dict) and isinstance(data.get("topology"), dict) and "nodes" not in data


def read_definition(path: Path, *, name: str = "") -> Definition:
    """Read a containerlab file.

    Args:
        path: the file.
        name: of the lab, over that in the file.

    Returns:
        The definition, with absolute paths.

    Raises:
        InputError: every problem of the file at once.
    """
    return definition_from(read_document(path), path, name)


def definition_from(document: Document, path: Path, name: str = "") -> Definition:
    """The definition of a containerlab file that has been read.

    Args:
        document: what stands in it.
        path: the file: binds are relative to its folder.
        name: of the lab, over that in the file.

    Returns:
        The definition, with absolute paths.

    Raises:
        InputError: every problem of the file at once.
    """
    if "{{" in document.text:
        line = document.text[: document.text.index("{{")].count("\n") + 1
        hint = "render it first, or write {{ }} out"
        raise InputError([Problem(str(path), line, 1, "a Go template is not read here", hint)])

    def filled_in(text: str, place: Position) -> str:
        try:
            return fill_in(text, os.environ)
        except UnclosedError as error:
            raise InputError([Problem(document.file, place.line, place.column, str(error))]) from None

    return _Reader(document.mapped(filled_in), path.resolve(), name).read()


def parse_definition(path: Path) -> Definition:
    """:func:`read_definition` by the name that validation knows."""
    return read_definition(path)


class _Reader:
    """One reading of one file; collects every problem."""

    def __init__(self, document: Document, path: Path, name: str) -> None:
        self.document = document
        self.path = path
        self.name = name
        self.lab = name
        self.problems: list[Problem] = []

    def read(self) -> Definition:
        data = self.document.data
        if not isinstance(data, dict):
            raise InputError([self.document.problem((), "expected a containerlab file: name and topology")])
        self.lab = name = self.name or self._lab_name(data)
        topology = data.get("topology")
        if not isinstance(topology, dict) or not isinstance(topology.get("nodes"), dict):
            self._problem(("topology",), "expected `topology:` with `nodes:` in it")
            raise InputError(self.problems)
        self._known_keys((), data, KNOWN["top"])
        self._known_keys(("topology",), topology, KNOWN["topology"])
        nodes = tuple(self._node(topology, str(key)) for key in topology["nodes"])
        links, beyond = self._links(topology, {node.name: node.kind for node in nodes})
        if self.problems:
            raise InputError(self.problems)
        nodes = tuple(_with_interfaces(node, links) for node in nodes)
        return Definition(name, self.path, nodes, links, beyond, digest_of(self.document.text))

    def _lab_name(self, data: Mapping[str, Any]) -> str:
        name = data.get("name")
        if not isinstance(name, str) or not _NAME.match(name):
            message = f"{name!r} is not a name for a lab, expected letters, digits, '-', '_', '.'"
            self._problem(("name",), message if name is not None else "the lab has no `name:`")
            return "lab"
        return name

    def _node(self, topology: Mapping[str, Any], name: str) -> NodeDefinition:
        here = ("topology", "nodes", name)
        if not _NAME.match(name):
            message = f"{name!r} is not a name for a node, expected letters, digits, '-', '_', '.'"
            self.problems.append(self.document.problem(here, message, key=True))
        layers = self._layers(topology, name, here)
        whole = merged([layer for _, layer in layers])
        kind = str(whole.get("kind") or "linux").lower()
        caps = tuple(str(cap) for cap in self._list(here, whole, "cap-add"))
        if _text(whole.get("privileged", True)) != "false":
            # containerlab's own default is a privileged container: what nodes use of that in practice.
            caps += tuple(cap for cap in _UNPRIVILEGED_DEFAULT if cap not in caps)
        return NodeDefinition(
            name=name,
            kind=kind,
            image=str(whole.get("image") or ""),
            entrypoint=self._words(here, whole, "entrypoint"),
            cmd=self._words(here, whole, "cmd"),
            binds=self._binds(here, name, whole),
            env={key: _text(value) for key, value in self._map(here, whole, "env").items()},
            sysctls=self._sysctls(here, whole),
            cap_add=caps,
            exec=self._commands(here, name, whole),
            labels={key: _text(value) for key, value in self._map(here, whole, "labels").items()},
            unsupported=tuple(
                f"{self._place(layers, key)}: node {name}: {why}"
                for key in whole
                if (why := unsupported(key, whole[key]))
            ),
            place=self._place(layers[-1:], ""),
        )

    def _place(self, layers: Sequence[tuple[Path_, Mapping[str, Any]]], key: str) -> str:
        """Where the strongest of the layers has a key, or where the last of them begins."""
        here = next((path for path, layer in reversed(layers) if layer.get(key) is not None), None)
        at = self.document.position((*here, key) if here else layers[-1][0], key=True)
        return f"{self.document.file}:{at.line}:{at.column}"

    def _layers(
        self, topology: Mapping[str, Any], name: str, here: Path_
    ) -> list[tuple[Path_, Mapping[str, Any]]]:
        """Defaults, kind, group, node: from the weakest to the strongest."""
        own = self._mapping(here, topology["nodes"][name])
        defaults = self._mapping(("topology", "defaults"), topology.get("defaults"))
        groups = self._mapping(("topology", "groups"), topology.get("groups"))
        kinds = self._mapping(("topology", "kinds"), topology.get("kinds"))

        def layer_of(section: str, all_of: Mapping[str, Any], wanted: str) -> Mapping[str, Any]:
            return self._mapping(("topology", section, wanted), all_of.get(wanted))

        # GetNodeKind and GetNodeGroup of containerlab's types/topology.go: the kind asks the node's own group
        # and that of the defaults, the group asks the kind.
        of_groups = (str(each.get("group") or "") for each in (own, defaults))
        kind = next(
            (
                str(layer["kind"])
                for layer in (own, *(layer_of("groups", groups, each) for each in of_groups), defaults)
                if layer.get("kind")
            ),
            "linux",
        )
        kind_layer = layer_of("kinds", kinds, kind)
        group = str(own.get("group") or kind_layer.get("group") or defaults.get("group") or "")
        if own.get("group") and groups and group not in groups and not own.get("kind"):
            self._problem((*here, "group"), f"unknown group {group!r}", nearest(group, groups))
        layers: list[tuple[Path_, Mapping[str, Any]]] = [
            (("topology", "defaults"), defaults),
            (("topology", "kinds", kind), kind_layer),
            (("topology", "groups", group), layer_of("groups", groups, group)),
            (here, {**own, "kind": kind}),
        ]
        for place, layer in layers:
            self._known_keys(place, layer, KNOWN["node"])
        return layers

    def _links(
        self, topology: Mapping[str, Any], nodes: Mapping[str, str]
    ) -> tuple[tuple[LinkPlan, ...], tuple[str, ...]]:
        found: list[LinkPlan] = []
        beyond: list[str] = []
        taken: dict[Endpoint, int] = {}
        links = topology.get("links") or []
        if not isinstance(links, list):
            self._problem(("topology", "links"), "expected a list of links")
            return (), ()
        for number, link in enumerate(links):
            here = ("topology", "links", number)
            faults: list[Fault] = []
            try:
                read = read_link(link, len(found), nodes, faults)
            except UnsupportedLinkError as error:
                read = None
                at = self.document.position(here)
                beyond.append(f"{self.document.file}:{at.line}:{at.column}: link {number + 1}: {error}")
            self.problems += [self.document.problem((*here, *p), m, h) for p, m, h in faults]
            for end in read.ends if read else ():
                if end in taken:
                    self._problem(here, f"{end} is an end of link {taken[end] + 1} already")
                taken[end] = number
            found += [read] if read else []
        return tuple(found), tuple(beyond)

    def _binds(self, here: Path_, node: str, whole: Mapping[str, Any]) -> tuple[Bind, ...]:
        """One bind for each target: of several layers the strongest one's."""
        found: dict[str, Bind] = {}
        for text in self._list(here, whole, "binds"):
            bind = self._bind(here, node, text)
            if bind is not None:
                found[bind.target] = bind
        return tuple(found.values())

    def _bind(self, here: Path_, node: str, text: Any) -> Bind | None:  # noqa: ANN401 - as it stands in YAML
        parts = str(text).split(":")
        if len(parts) not in _BIND_PARTS or not parts[0] or not parts[1].startswith("/"):
            self._problem(
                (*here, "binds"), f"{text!r} is no bind, expected source:/target or source:/target:ro"
            )
            return None
        source = magic(parts[0], self.lab, node, self.path.parent)
        options = parts[2].split(",") if len(parts) == _BIND_PARTS[1] else []
        try:
            expanded = Path(source).expanduser()
        except RuntimeError:
            self._problem((*here, "binds"), f"{text!r}: there is no user {source.partition('/')[0]!r} here")
            return None
        return Bind(self.path.parent / expanded, parts[1], "ro" in options)

    def _sysctls(self, here: Path_, whole: Mapping[str, Any]) -> dict[str, str]:
        found = {}
        for key, value in self._map(here, whole, "sysctls").items():
            if not _SYSCTL.match(key) or ".." in key.replace("/", "."):
                self._problem(
                    (*here, "sysctls", key), f"sysctl {key!r} is not of the node's own, expected net.*"
                )
                continue
            found[key] = _text(value)
        return found

    def _words(self, here: Path_, whole: Mapping[str, Any], key: str) -> tuple[str, ...]:
        try:
            return tuple(shlex.split(_text(whole.get(key) or "")))
        except ValueError as error:
            self._problem((*here, key), f"{key} cannot be split into words: {error}")
            return ()

    def _commands(self, here: Path_, node: str, whole: Mapping[str, Any]) -> tuple[str, ...]:
        """What is run in the node once it is up: each a command that can be split into words."""
        found = []
        for command in self._list(here, whole, "exec"):
            try:
                words = shlex.split(command) if isinstance(command, str) else []
            except ValueError as error:
                self._problem((*here, "exec"), f"{command!r} cannot be split into words: {error}")
                continue
            if not words or not words[0]:
                self._problem(
                    (*here, "exec"), f"{command!r} is no command, expected a program and its arguments"
                )
                continue
            found.append(magic(command, self.lab, node, self.path.parent))
        return tuple(found)

    def _list(self, here: Path_, whole: Mapping[str, Any], key: str) -> Sequence[Any]:
        value = whole.get(key) or []
        if not isinstance(value, list):
            self._problem((*here, key), f"expected a list under {key}")
            return []
        return value

    def _map(self, here: Path_, whole: Mapping[str, Any], key: str) -> Mapping[str, Any]:
        value = whole.get(key) or {}
        if not isinstance(value, dict):
            self._problem((*here, key), f"expected names and values under {key}")
            return {}
        return {str(name): each for name, each in value.items()}

    def _mapping(self, here: Path_, value: Any) -> Mapping[str, Any]:  # noqa: ANN401 - as it stands in YAML
        if value is None or isinstance(value, dict):
            return value or {}
        self._problem(here, "expected keys and values")
        return {}

    def _known_keys(self, here: Path_, layer: Mapping[str, Any], known: frozenset[str]) -> None:
        for key in layer:
            near = misspelt(str(key), known | IGNORED)
            if near:
                message = f"unknown key {str(key)!r}"
                problem = self.document.problem((*here, key), message, f"did you mean {near!r}?", key=True)
                self.problems.append(problem)

    def _problem(self, path: Sequence[str | int], message: str, hint: str = "") -> None:
        self.problems.append(self.document.problem(path, message, hint))


def _with_interfaces(node: NodeDefinition, links: Sequence[LinkPlan]) -> NodeDefinition:
    """A bridge must know which interfaces it joins; other nodes are told by the file, if they care."""
    if node.kind != "bridge":
        return node
    ends = [end.interface for link in links for end in link.ends if end.node == node.name]
    return NodeDefinition(
        name=node.name,
        kind=node.kind,
        env={"LABCTL_INTERFACES": " ".join(ends)},
        cap_add=node.cap_add,
        place=node.place,
    )


def _text(value: Any) -> str:  # noqa: ANN401 - a scalar of YAML
    return str(value).lower() if isinstance(value, bool) else str(value)
