"""The embedded runtime: nodes are processes in namespaces of their own, with the host's own programs.

There is no engine and there are no images: a node runs FRR and whatever else this machine has installed. Its
file tree is the host's, read-only, with a writable layer of the node (:mod:`labctl.runtime.embedded.rootfs`).
:mod:`labctl.runtime.embedded.launcher` says what a boot does, in which order. Besides what
:mod:`labctl.lab.state` lists, a lab's folder holds::

    cgroup           where the nodes' control groups are (:mod:`labctl.lab.node_groups`)
    init/<node>      process id of PID 1, in the host's numbering
    scratch/         mount point where each node's root is built, in the node's own view
    definition.json  the definition, in a form that is fast to read
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from typing import TYPE_CHECKING, ClassVar

from labctl.errors import ActionError, NodeError
from labctl.events import Event
from labctl.lab import cleanup
from labctl.lab.definition_cache import definition_of, save_definition
from labctl.lab.exec_commands import run_exec_commands
from labctl.lab.node_groups import freezer_of
from labctl.lab.runtime import LOG_BYTES, ExecResult, NodeState, NodeStatus
from labctl.linux import processes
from labctl.linux.endings import end_inhabitants
from labctl.linux.netns import unpin
from labctl.runtime.embedded import boot_spec
from labctl.runtime.embedded.launcher_client import run_helper
from labctl.runtime.embedded.nsenter import ENTERING, clean_environment, enter_argv

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from labctl.clab.definition import Definition, NodeDefinition
    from labctl.events import Listener
    from labctl.lab.state import LabDir
    from labctl.runtime.embedded.launcher import VethSpec

__all__ = ["NetnsRuntime"]

_GONE_S = 10.0
_KILLED_S = 1.0


class NetnsRuntime:
    """Implements :class:`labctl.lab.runtime.Runtime` with nothing but the kernel."""

    name: ClassVar[str] = "netns"
    outside: ClassVar[frozenset[str]] = frozenset()

    def missing(self, definition: Definition | None = None) -> tuple[str, ...]:
        """What this machine lacks, one line each with its fix; empty when all is there."""
        return boot_spec.missing(definition)

    def up(self, lab: LabDir, definition: Definition, listen: Listener) -> None:
        """Boot every node and create every link.

        Raises:
            NodeError: a node did not start, or a command of its `exec` failed.
            HostError: this machine lacks something.
        """
        save_definition(lab, definition)
        pids = self._boot(lab, definition.nodes, boot_spec.veths(definition))
        for node in pids:
            listen(Event("node.started", data={"node": node}))
        run_exec_commands(self, lab, definition.nodes)

    def down(self, lab: LabDir, listen: Listener) -> None:
        """Kill every process of the lab, release its namespaces and mounts, remove its folders."""
        names = sorted(entry.name for entry in _entries(lab.netns))
        cleanup.sweep(lab)
        for node in names:
            listen(Event("node.stopped", data={"node": node}))

    def states(self, lab: LabDir) -> Mapping[str, NodeState]:
        """Every node of the definition, in its order."""
        return {node.name: self._state(lab, node.name) for node in definition_of(lab).nodes}

    def netns(self, lab: LabDir, node: str) -> Path:
        """Where the network namespace of a running node is pinned.

        Raises:
            ActionError: the node is off or missing.
        """
        self._init(lab, node)
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
        """Run a command in all of a node's namespaces, and wait for it.

        Raises:
            ActionError: the node is off or missing, or the time is over.
        """
        spec = _spec(lab, node)
        line = enter_argv(self._init(lab, node), spec, argv)
        child = subprocess.Popen(
            line,
            stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=ENTERING,
            start_new_session=True,
        )
        with child:
            try:
                out, err = child.communicate(stdin, timeout_s)
            except BaseException as error:
                # The group, since the command itself is a child of the one that entered.
                os.killpg(child.pid, signal.SIGKILL)
                # In a frozen node a killed process may keep its end of the pipes until the node thaws.
                with contextlib.suppress(subprocess.TimeoutExpired):
                    child.communicate(timeout=_KILLED_S)
                if not isinstance(error, subprocess.TimeoutExpired):
                    raise
                raise ActionError(f"{node}: {argv[0]} did not end within {timeout_s:g} s") from None
        code = child.returncode
        return ExecResult(128 - code if code < 0 else code, out, err)

    def shell_argv(self, lab: LabDir, node: str, argv: Sequence[str]) -> tuple[str, ...]:
        """The command line on the host that runs ``argv`` in the node on the caller's terminal."""
        spec = _spec(lab, node)
        environment = {**clean_environment(spec), "TERM": os.environ.get("TERM", "dumb")}
        return enter_argv(self._init(lab, node), spec, argv, environment)

    def logs(self, lab: LabDir, node: str) -> bytes:
        """What the node's PID 1 wrote since its last boot, both streams.

        Raises:
            ActionError: no such node.
        """
        _spec(lab, node)
        try:
            with (lab.logs / node).open("rb") as log:
                size = os.fstat(log.fileno()).st_size
                skipped = max(size - LOG_BYTES, 0)
                log.seek(skipped)
                text = log.read(LOG_BYTES)
        except FileNotFoundError:
            return b""
        return f"({skipped} bytes before this are left out)\n".encode() + text if skipped else text

    def kill(self, lab: LabDir, node: str) -> None:
        """Kill every process of the node; its network namespace stays if it is pinned elsewhere.

        Raises:
            ActionError: processes of the node would not die.
        """
        _spec(lab, node)
        space = processes.pinned(lab.netns / node)
        if space is None:
            return
        init = self._find_init(lab, node)
        frozen = freezer_of(init) if init else None
        left = end_inhabitants({space}, [init] if init else [], [frozen] if frozen else [], _GONE_S)
        if left:
            raise ActionError(f"{node}: processes {left} still run after {_GONE_S:g} s")
        unpin(lab.netns / node)

    def boot(self, lab: LabDir, node: str) -> None:
        """Start a node that is off, in fresh namespaces and without any link.

        Raises:
            ActionError: no such node.
            NodeError: it did not start.
        """
        spec = _spec(lab, node)
        if self._find_init(lab, node):
            return
        self.kill(lab, node)
        self._boot(lab, [spec], [])

    def _boot(
        self, lab: LabDir, nodes: Sequence[NodeDefinition], veths: Sequence[VethSpec]
    ) -> Mapping[str, int]:
        boot_spec.make_folders(lab)
        plan = boot_spec.plan(lab, nodes, veths)
        outcome = run_helper(plan)
        if outcome["failed"]:
            lines = (f"{node}: {why}" if node else why for node, why in outcome["failed"].items())
            raise NodeError("\n".join(lines))
        return outcome["started"]

    def _state(self, lab: LabDir, node: str) -> NodeState:
        init = self._find_init(lab, node)
        if init:
            freezer = freezer_of(init)
            frozen = processes.frozen(init) or (freezer is not None and freezer.wanted())
            return NodeState(NodeStatus.FROZEN if frozen else NodeStatus.RUNNING, init)
        pid = self._init_file(lab, node)
        if pid and processes.hidden(pid):
            return NodeState(NodeStatus.UNKNOWN)
        return NodeState(NodeStatus.MISSING if pid is None else NodeStatus.OFF)

    def _init(self, lab: LabDir, node: str) -> int:
        init = self._find_init(lab, node)
        if not init:
            _spec(lab, node)
            raise ActionError(f"node {node} of lab {lab.name} is {self._state(lab, node).status}")
        return init

    @staticmethod
    def _init_file(lab: LabDir, node: str) -> int | None:
        """The process id that the node's last boot wrote; 0 if it is none, None if it never booted."""
        try:
            return int((lab.path / "init" / node).read_text())
        except FileNotFoundError:
            return None
        except (OSError, ValueError):
            return 0

    def _find_init(self, lab: LabDir, node: str) -> int:
        """PID 1 of the node, or 0. A process id that another process has reused is no match."""
        pid = self._init_file(lab, node)
        if not pid:
            return 0
        space = processes.pinned(lab.netns / node)
        return pid if space and processes.namespace_of(pid, "net") == space else 0


def _spec(lab: LabDir, node: str) -> NodeDefinition:
    definition = definition_of(lab)
    try:
        return definition.node(node)
    except KeyError:
        import difflib  # noqa: PLC0415 - only for whoever mistyped

        near = difflib.get_close_matches(node, [each.name for each in definition.nodes], n=1)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        raise ActionError(f"lab {lab.name} has no node {node!r}{hint}") from None


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except FileNotFoundError:
        return []
