"""A runtime in memory: tests of the layers above run against it, with failures as they script them.

It keeps to the contract of :mod:`labctl.lab.runtime` as far as a lab without processes can: nodes
run, are killed and boot; links have carrier or not; commands return what the test configured.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from labctl.clab.definition import READY_PROGRAM, Definition
from labctl.errors import ActionError, LabctlError, LabNotFoundError
from labctl.events import Event
from labctl.lab.definition_cache import save_definition
from labctl.lab.runtime import ExecResult, NodeState, NodeStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from labctl.events import Listener
    from labctl.lab.state import LabDir

__all__ = ["Call", "FakeRuntime"]

Answer = ExecResult | LabctlError
"""What a command does: ends, or fails to be run."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call that was made: the method, the lab, the node (or nothing), the words of a command."""

    method: str
    lab: str
    node: str = ""
    argv: tuple[str, ...] = ()


@dataclass
class _FakeNode:
    pid: int
    status: NodeStatus = NodeStatus.RUNNING
    boots: int = 1
    log: bytes = b""


@dataclass
class _FakeLab:
    definition: Definition
    nodes: dict[str, _FakeNode]
    cut: set[int] = field(default_factory=set)


@dataclass
class FakeRuntime:
    """Implements :class:`labctl.lab.runtime.Runtime` in memory.

    Attributes:
        calls: every call, in order.
        lacks: what :meth:`missing` says.
        failures: by method, or by method and node (``"boot r1"``): raised by the next call, once.
        answers: by the words of a command, or by those after the node's name (``("r1", "true")``):
            what it does. A command without an answer ends with 127, except READY_PROGRAM, which
            ends with 0.
    """

    name: ClassVar[str] = "fake"
    outside: ClassVar[frozenset[str]] = frozenset({"host"})

    calls: list[Call] = field(default_factory=list)
    lacks: tuple[str, ...] = ()
    failures: dict[str, LabctlError] = field(default_factory=dict)
    answers: dict[tuple[str, ...], Answer | Callable[[bytes | None], ExecResult]] = field(
        default_factory=dict
    )
    _labs: dict[str, _FakeLab] = field(default_factory=dict)
    _last_pid: int = 1000

    def missing(self, definition: Definition | None = None) -> tuple[str, ...]:
        """What the test says that the machine lacks."""
        del definition
        return self.lacks

    def up(self, lab: LabDir, definition: Definition, listen: Listener) -> None:
        """Every node runs."""
        self._call("up", lab)
        save_definition(lab, definition)
        made = _FakeLab(definition, {})
        self._labs[lab.name] = made
        for node in definition.nodes:
            self._fail("up", node.name)
            made.nodes[node.name] = _FakeNode(self._pid(), log=_boot_log(node.name))
            listen(Event("node.started", data={"node": node.name}))

    def down(self, lab: LabDir, listen: Listener) -> None:
        """Nothing is there any more; again is no error."""
        self._call("down", lab)
        gone = self._labs.pop(lab.name, None)
        for node in gone.nodes if gone else ():
            listen(Event("node.stopped", data={"node": node}))

    def states(self, lab: LabDir) -> Mapping[str, NodeState]:
        """Every node of the definition, in its order."""
        self._call("states", lab)
        there = self._lab(lab)
        missing = NodeState(NodeStatus.MISSING)
        return {
            spec.name: _state(there.nodes[spec.name]) if spec.name in there.nodes else missing
            for spec in there.definition.nodes
        }

    def netns(self, lab: LabDir, node: str) -> Path:
        """Where the namespace of a running node would be; there is none."""
        self._call("netns", lab, node)
        self._running(lab, node)
        return lab.netns / node

    def exec(
        self,
        lab: LabDir,
        node: str,
        argv: Sequence[str],
        *,
        stdin: bytes | None = None,
        timeout_s: float | None = None,
    ) -> ExecResult:
        """Answer as the test said."""
        del timeout_s
        words = tuple(argv)
        self._call("exec", lab, node, words)
        self._running(lab, node)
        answer = self.answers.get((node, *words), self.answers.get(words))
        if answer is None:
            ready = words == (READY_PROGRAM,)
            return ExecResult(0, b"", b"") if ready else ExecResult(127, b"", b"no such command\n")
        if isinstance(answer, LabctlError):
            raise answer
        return answer if isinstance(answer, ExecResult) else answer(stdin)

    def shell_argv(self, lab: LabDir, node: str, argv: Sequence[str]) -> tuple[str, ...]:
        """A command line that says what would be run."""
        self._call("shell_argv", lab, node, tuple(argv))
        self._running(lab, node)
        return ("echo", lab.name, node, *argv)

    def logs(self, lab: LabDir, node: str) -> bytes:
        """What a node says at boot, its name and how often it has booted."""
        self._call("logs", lab, node)
        return self._node(lab, node).log

    def kill(self, lab: LabDir, node: str) -> None:
        """The node is off; again is no error."""
        self._call("kill", lab, node)
        there = self._node(lab, node)
        there.status, there.pid = NodeStatus.OFF, 0

    def boot(self, lab: LabDir, node: str) -> None:
        """The node runs; again is no error."""
        self._call("boot", lab, node)
        there = self._node(lab, node)
        if there.status is NodeStatus.OFF:
            there.status, there.pid = NodeStatus.RUNNING, self._pid()
            there.boots += 1
            there.log = _boot_log(node)

    def freeze(self, lab: LabDir, node: str) -> None:
        """What a fault would do to the node's processes from outside."""
        self._running(lab, node).status = NodeStatus.FROZEN

    def set_cut(self, lab: LabDir, link: int, *, cut: bool) -> None:
        """What a fault would do to a link from outside, by its place in the definition."""
        change = self._lab(lab).cut.add if cut else self._lab(lab).cut.discard
        change(link)

    def carrier(self, lab: LabDir, node: str, interface: str) -> bool:
        """Whether an end of a link has carrier: both nodes have power, and the link is whole."""
        there = self._lab(lab)
        for number, link in enumerate(there.definition.links):
            ends = (link.a, link.b)
            if any((end.node, end.interface) == (node, interface) for end in ends):
                powered = all(there.nodes[end.node].status is not NodeStatus.OFF for end in ends)
                return powered and number not in there.cut
        raise ActionError(f"{node} has no interface {interface}")

    def _call(self, method: str, lab: LabDir, node: str = "", argv: tuple[str, ...] = ()) -> None:
        self.calls.append(Call(method, lab.name, node, argv))
        self._fail(method)
        if node:
            self._fail(method, node)

    def _fail(self, *words: str) -> None:
        failure = self.failures.pop(" ".join(words), None)
        if failure is not None:
            raise failure

    def _lab(self, lab: LabDir) -> _FakeLab:
        try:
            return self._labs[lab.name]
        except KeyError:
            raise LabNotFoundError(f"no lab named {lab.name!r} is known on this machine") from None

    def _node(self, lab: LabDir, node: str) -> _FakeNode:
        try:
            return self._lab(lab).nodes[node]
        except KeyError:
            raise ActionError(f"lab {lab.name} has no node {node!r}") from None

    def _running(self, lab: LabDir, node: str) -> _FakeNode:
        there = self._node(lab, node)
        if there.status is NodeStatus.OFF:
            raise ActionError(f"node {node} of lab {lab.name} is off")
        return there

    def _pid(self) -> int:
        self._last_pid += 1
        return self._last_pid


def _state(node: _FakeNode) -> NodeState:
    return NodeState(node.status, node.pid)


def _boot_log(node: str) -> bytes:
    return f"{node} boots\n".encode()
