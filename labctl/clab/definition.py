"""The definition: what a containerlab file says, as frozen data.

Both runtimes run the same rendered folder. This is what the embedded runtime reads of it; the
parser stands in :mod:`labctl.clab.parse`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["HOLDS", "Bind", "Cable", "CableEnd", "Definition", "NodeSpec"]

HOLDS = "labctl-holds"
"""Label of a node: interfaces that it takes up itself, later than its boot, separated by blanks."""

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
class NodeSpec:
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
        unsupported: what the file asks of the node that only containerlab can do, one line each.
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


@dataclass(frozen=True, slots=True)
class CableEnd:
    """One end of a cable. ``mac`` is empty where the runtime may choose."""

    node: str
    interface: str
    mac: str = ""


@dataclass(frozen=True, slots=True)
class Cable:
    """A veth pair between two nodes."""

    a: CableEnd
    b: CableEnd
    mtu: int = 1500


@dataclass(frozen=True, slots=True)
class Definition:
    """A whole containerlab file.

    Attributes:
        name: of the lab.
        path: the ``*.clab.yml`` itself, absolute; binds are relative to its folder.
        nodes: in the order of the file.
        cables: in the order of the file.
        unsupported: links that only containerlab can lay, one line each.
    """

    name: str
    path: Path
    nodes: tuple[NodeSpec, ...]
    cables: tuple[Cable, ...]
    unsupported: tuple[str, ...] = ()

    def node(self, name: str) -> NodeSpec:
        """The node of that name; KeyError if there is none."""
        for node in self.nodes:
            if node.name == name:
                return node
        raise KeyError(name)

    def cables_of(self, node: str) -> tuple[Cable, ...]:
        """Every cable with an end on ``node``."""
        return tuple(cable for cable in self.cables if node in (cable.a.node, cable.b.node))
