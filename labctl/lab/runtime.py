"""The protocol between a definition and a running lab: one interface, three implementations.

The runtimes ``netns`` (embedded), ``containerlab`` and ``fake`` implement it. Every operation of a user on a
lab goes through :class:`Runtime`. Faults and probes take a node's namespaces from here
and work from outside, the same for every runtime.

A node *boots* in a fresh set of namespaces each time. Its links outlive it: at power-off
:mod:`labctl.fault.power` pins the old network namespace, and at power-on it moves the interfaces from
there into the fresh one. The node's own boot program waits for the interfaces that it expects.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from labctl.clab.definition import Definition
    from labctl.events import Listener
    from labctl.lab.state import LabDir

__all__ = ["LOG_BYTES", "ExecResult", "NodeState", "NodeStatus", "Runtime"]


class NodeStatus(StrEnum):
    """What a node is doing; ``unknown`` to who may not look, since that takes root."""

    RUNNING = "running"
    FROZEN = "frozen"
    OFF = "off"
    MISSING = "missing"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class NodeState:
    """One node as the runtime sees it now.

    Attributes:
        status: see :class:`NodeStatus`.
        init_pid: process id, in the host's numbering, of the node's PID 1; 0 if not running.
    """

    status: NodeStatus
    init_pid: int = 0


LOG_BYTES = 16 << 20
"""Of a node's log no more than so much of its end is read: a node can write faster than anybody can read."""


@dataclass(frozen=True, slots=True)
class ExecResult:
    """What a command in a node did: its own exit code and both streams, untouched."""

    code: int
    stdout: bytes
    stderr: bytes

    @property
    def ok(self) -> bool:
        """Whether the command ended with 0."""
        return self.code == 0


class Runtime(Protocol):
    """Starts and stops the nodes of a definition.

    Every method may be called again with the same effect, from any half-made state that a
    killed labctl left behind. None of them prints; progress goes to the listener.
    """

    name: ClassVar[str]

    outside: ClassVar[frozenset[str]]
    """Kinds of nodes that are the machine's own, such as a bridge: they do not boot, none is waited for."""

    def missing(self, definition: Definition | None = None) -> tuple[str, ...]:
        """What this machine lacks, one line each with its fix; empty when all is there."""

    def up(self, lab: LabDir, definition: Definition, listen: Listener) -> None:
        """Boot every node and create every link. Does not wait for readiness.

        Raises:
            NodeError: a node did not start; what was made is taken down by the caller.
        """

    def down(self, lab: LabDir, listen: Listener) -> None:
        """Take everything of the lab away: processes, containers, links, namespaces, mounts."""

    def states(self, lab: LabDir) -> Mapping[str, NodeState]:
        """Every node of the definition, in its order."""

    def netns(self, lab: LabDir, node: str) -> Path:
        """A path that setns() can open: the network namespace of a running node.

        Raises:
            ActionError: the node is off or missing.
        """

    def exec(
        self,
        lab: LabDir,
        node: str,
        argv: Sequence[str],
        *,
        stdin: bytes | None = None,
        timeout_s: float | None = None,
    ) -> ExecResult:
        """Run a command in all of a node's namespaces, and wait for it.

        Raises:
            ActionError: the node is off or missing, or the time is over.
        """

    def shell_argv(self, lab: LabDir, node: str, argv: Sequence[str]) -> tuple[str, ...]:
        """The command line on the host that runs ``argv`` in the node on the caller's terminal."""

    def logs(self, lab: LabDir, node: str) -> bytes:
        """What the node's PID 1 wrote since its last boot, both streams: the last :data:`LOG_BYTES` of it."""

    def kill(self, lab: LabDir, node: str) -> None:
        """Kill every process of the node at once; its network namespace stays if it is pinned."""

    def boot(self, lab: LabDir, node: str) -> None:
        """Start a node that is off, in fresh namespaces and without any link."""
