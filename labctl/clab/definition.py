"""The definition: the content of a containerlab file, as frozen data.

Both runtimes run the same rendered folder. The classes hold what they read of it, and of files of other
authors; :mod:`labctl.clab.parse` is the parser. Links and endpoints are the model's classes.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from labctl.model.lab import LinkPlan

__all__ = ["DEFERRED_UP", "Bind", "Definition", "NodeDefinition", "digest_of"]

DEFERRED_UP = "labctl-holds"
"""Label of a node: interfaces that it sets up itself, later than its boot, separated by blanks."""

READY_PROGRAM = "/etc/labctl/ready"
"""In a node: exits 0 when the node is ready, else prints in one line what is missing."""

STOP_PROGRAM = "/etc/labctl/stop"
"""In a node: an orderly shutdown (say goodbye, stop the daemons); run by a graceful power-off."""


@dataclass(frozen=True, slots=True)
class Bind:
    """A file or folder of the host inside a node."""

    source: Path
    target: str
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class NodeDefinition:
    """One node of a definition, defaults, kind and group merged in.

    Attributes:
        name: as in the file.
        kind: containerlab's kind; ``linux`` for all of ours.
        image: container image reference (the embedded runtime uses the host's own files).
        entrypoint: words; empty for the image's own.
        cmd: words; empty for the image's own.
        binds: with absolute sources.
        env: environment of PID 1.
        sysctls: applied in the node's network namespace before any interface is there.
        cap_add: capability names without ``CAP_``.
        exec: commands that run once after the links are there.
        labels: ours begin with ``labctl-``; ``labctl-role``, ``labctl-ready`` (``1`` when the
            node has :data:`READY_PROGRAM`).
        unsupported: what the file asks of the node that only containerlab can do: one line each, with place.
        place: of the node in a file of another author, ``file:line:column``.
    """

    name: str
    kind: str = "linux"
    image: str = ""
    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    binds: tuple[Bind, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    sysctls: Mapping[str, str] = field(default_factory=dict)
    cap_add: tuple[str, ...] = ()
    exec: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    unsupported: tuple[str, ...] = ()
    place: str = ""


def digest_of(text: str) -> str:
    """Identifies a version of a file: the SHA-256 of its text."""
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Definition:
    """A whole containerlab file.

    Attributes:
        name: of the lab.
        path: the ``*.clab.yml`` itself, absolute; binds are relative to its folder.
        nodes: in the order of the file.
        links: veth pairs between nodes, in the order of the file.
        unsupported: links that only containerlab can make, one line each, with its place.
        digest: of the text that was read, see :func:`digest_of`; empty for a definition that was not
            read from a file.
    """

    name: str
    path: Path
    nodes: tuple[NodeDefinition, ...]
    links: tuple[LinkPlan, ...]
    unsupported: tuple[str, ...] = ()
    digest: str = ""

    def node(self, name: str) -> NodeDefinition:
        """The node of that name; KeyError if there is none."""
        for node in self.nodes:
            if node.name == name:
                return node
        raise KeyError(name)

    def links_of(self, node: str) -> tuple[LinkPlan, ...]:
        """Every link with an end on ``node``."""
        return tuple(link for link in self.links if node in (link.a.node, link.b.node))
