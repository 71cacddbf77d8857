"""The containerlab runtime: stock containerlab deploys and destroys, the Docker engine does the rest.

labctl calls containerlab only at the start and the end of a lab. In between containerlab does not act on the
lab: a second deploy would start nodes whose power is cut, and its own stop and start act on one node after
the other. Operations on a node (state, exec, logs, kill, boot) go to the engine, which finds a lab by its
labels.

The runtime does not trust containerlab's report of success: after each call it checks the containers, the
links and what is left on the host.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from labctl.clab.definition import digest_of
from labctl.document.files import read_text
from labctl.errors import ActionError, HostError, LabctlError, LabError, LabExistsError, NodeError
from labctl.events import Event
from labctl.lab.definition_cache import definition_of, save_definition
from labctl.lab.runtime import ExecResult, NodeState, NodeStatus
from labctl.linux import processes
from labctl.linux.netns import unpin
from labctl.runtime.containerlab import links
from labctl.runtime.containerlab.binary import Outcome, Program, find_program, stop_running
from labctl.runtime.containerlab.cleanup import Leftovers, remove_unmoved_links, unmoved_links
from labctl.runtime.containerlab.docker import Container, Engine
from labctl.runtime.containerlab.docker_http import EngineRefusedError, StreamTimeoutError
from labctl.runtime.containerlab.half_begun import end_half_begun

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from labctl.clab.definition import Definition
    from labctl.events import Listener
    from labctl.lab.state import LabDir

__all__ = ["ContainerlabRuntime"]

_DEPLOYED = "deployed"
_GONE_S = 10.0
_COMMAND_NOT_FOUND = 127
_OCI_FAILED = b"OCI runtime exec failed"


class ContainerlabRuntime:
    """Implements :class:`labctl.lab.runtime.Runtime` with containerlab and a Docker engine."""

    name: ClassVar[str] = "containerlab"
    outside: ClassVar[frozenset[str]] = frozenset({"bridge", "ovs-bridge", "host", "ext-container"})

    def __init__(self, engine: Engine | None = None) -> None:
        """Use that engine, or the one of ``$DOCKER_HOST``."""
        self.engine = engine or Engine()

    def missing(self, definition: Definition | None = None) -> tuple[str, ...]:
        """What this machine lacks, one line each with its fix; empty when all is there."""
        found = []
        if os.geteuid() != 0:
            found.append("root is needed to deploy with containerlab: use sudo")
        if find_program() is None:
            found.append("containerlab is not installed: see labctl doctor --for containerlab")
        try:
            self.engine.version()
        except LabctlError as error:
            return (*found, f"{error}: start one, or say where it is with DOCKER_HOST")
        images = {node.image for node in definition.nodes if node.image} if definition else set()
        found += [
            f"image {image} is not there: " + _image_fix(image)
            for image in sorted(images)
            if self.engine.image(image) is None
        ]
        return tuple(found)

    def up(self, lab: LabDir, definition: Definition, listen: Listener) -> None:
        """Deploy; on return every container runs and every link exists.

        Raises:
            NodeError: a node or a link is not there, or a command of a node's ``exec`` failed.
            LabExistsError: a lab of this name was deployed from another file.
            LabError: the file has been edited since it was read.
            HostError: this machine lacks something.
        """
        _check_unchanged(definition)
        stop_running(lab.path)
        there = self.engine.containers(lab.name)
        foreign = {container.topology for container in there} - {str(definition.path)}
        if foreign:
            raise LabExistsError(f"containerlab has a lab named {lab.name} up already, from {min(foreign)}")
        if there and self._deployed(lab):
            return
        if there:
            self.down(lab, listen)
        save_definition(lab, definition)
        outcome = _program(self.engine).run(_deploy_argv(lab, definition), lab.path, _patience_s(definition))
        if outcome.code != 0:
            raise NodeError(f"containerlab could not deploy {lab.name}: {outcome.summary()}")
        self._check(lab, definition, outcome)
        for node, first in links.twins(definition, lambda node: self.netns(lab, node)).items():
            self._boot_renumbered(lab, definition, node, first)
        (lab.path / _DEPLOYED).touch()
        for spec in definition.nodes:
            listen(Event("node.started", data={"node": spec.name}))

    def down(self, lab: LabDir, listen: Listener) -> None:
        """Take everything of the lab away, whatever state a killed deploy left it in.

        Raises:
            LabError: something is still there; the message names it.
            HostError: no engine answers, so that nobody knows whether containers are left.
        """
        killed = stop_running(lab.path)
        definition = _known(lab)
        containers = self._ours(lab, definition)
        nodes = [node.name for node in definition.nodes] if definition else []
        names = {f"clab-{lab.name}-{node}" for node in nodes} | {one.name for one in containers}
        left = Leftovers(lab.name, definition.path.parent if definition else None, tuple(sorted(names)))
        (lab.path / _DEPLOYED).unlink(missing_ok=True)
        outcome = self._destroy(lab, definition) if containers else None
        # A request that a killed deploy had sent is carried out all the same: look until all is quiet.
        resisting: tuple[str, ...] = ()
        while remaining := self._ours(lab, definition) or (killed and self._late(lab, definition)):
            resisting = self.engine.remove(remaining)
            if resisting:
                break
            killed = 0
        for pinned in lab.parked.iterdir() if lab.parked.is_dir() else ():
            unpin(pinned)
        left.remove()
        remove_unmoved_links()
        problems = (*resisting, *left.find(), *(f"link {name}" for name in unmoved_links()))
        if problems:
            reported = f" (containerlab: {outcome.summary()})" if outcome and outcome.errors else ""
            raise LabError(f"lab {lab.name}: still there: {', '.join(problems)}{reported}")
        for container in containers:
            listen(Event("node.stopped", data={"node": container.node}))

    def states(self, lab: LabDir) -> Mapping[str, NodeState]:
        """Every node of the definition, in its order."""
        containers = self._ours(lab, _known(lab))
        facts = self.engine.inspect(containers)
        found = {one.node: _state(facts.get(one.id)) for one in containers}
        missing = NodeState(NodeStatus.MISSING)
        return {node.name: found.get(node.name, missing) for node in definition_of(lab).nodes}

    def netns(self, lab: LabDir, node: str) -> Path:
        """The network namespace of a running node, by way of its PID 1.

        Raises:
            ActionError: the node is off or missing.
        """
        return Path(f"/proc/{self._running(lab, node)[1]}/ns/net")

    def exec(
        self,
        lab: LabDir,
        node: str,
        argv: Sequence[str],
        *,
        stdin: bytes | None = None,
        timeout_s: float | None = None,
    ) -> ExecResult:
        """Run a command in the node's container, and wait for it.

        Raises:
            ActionError: the node is off or missing, or the time is over.
        """
        container, _ = self._running(lab, node)
        exec_id = self.engine.exec_create(container, argv, stdin=stdin is not None)
        try:
            out, err = self.engine.exec_run(exec_id, stdin, timeout_s)
        except StreamTimeoutError:
            self._kill_exec(exec_id)
            raise ActionError(f"{node}: {argv[0]} did not end within {timeout_s:g} s") from None
        except EngineRefusedError as error:
            return ExecResult(_COMMAND_NOT_FOUND, b"", f"{error}\n".encode())
        code = self._exit_code(exec_id)
        if code in (_COMMAND_NOT_FOUND - 1, _COMMAND_NOT_FOUND) and out.startswith(_OCI_FAILED):
            return ExecResult(_COMMAND_NOT_FOUND, b"", out.replace(b"\r\n", b"\n"))
        return ExecResult(code, out, err)

    def shell_argv(self, lab: LabDir, node: str, argv: Sequence[str]) -> tuple[str, ...]:
        """The command line on the host that runs ``argv`` in the node on the caller's terminal."""
        container, _ = self._running(lab, node)
        terminal = ("-t", "-e", f"TERM={os.environ.get('TERM', 'dumb')}") if _on_a_terminal() else ()
        return ("docker", "-H", self.engine.http.url, "exec", "-i", *terminal, container.id, *argv)

    def logs(self, lab: LabDir, node: str) -> bytes:
        """What the node's PID 1 wrote since its last boot, both streams.

        Raises:
            ActionError: no such node.
        """
        container = self._container(lab, node)
        facts = self.engine.inspect([container]).get(container.id, {})
        # The engine keeps the output of every boot; what came after the last end is the last boot's.
        ended = str(facts.get("State", {}).get("FinishedAt", ""))
        running = bool(facts.get("State", {}).get("Running"))
        raw = self.engine.logs(container, _epoch(ended) if running else "")
        return raw.replace(b"\r\n", b"\n")

    def kill(self, lab: LabDir, node: str) -> None:
        """Kill every process of the node at once; its network namespace stays if it is pinned.

        Raises:
            ActionError: no such node, or the engine still holds it for running.
        """
        end_half_begun(lab.parked / node)
        container = self._container(lab, node)
        facts = self.engine.inspect([container]).get(container.id)
        if _state(facts).status in (NodeStatus.OFF, NodeStatus.MISSING):
            return
        policy = (facts or {}).get("HostConfig", {}).get("RestartPolicy", {}).get("Name", "no")
        if policy not in ("", "no"):
            self.engine.never_restart(container)
        # Not by way of the engine, which takes a tenth of a second: PID 1 takes all others with it.
        processes.end([_state(facts).init_pid], 0 if _paused(facts) else _GONE_S)
        if _paused(facts):
            self.engine.thaw(container)
        self._until(container, lambda state: state.status is NodeStatus.OFF, f"{node}: still runs")

    def boot(self, lab: LabDir, node: str) -> None:
        """Start a node that is off, in fresh namespaces and without any link.

        Raises:
            ActionError: no such node.
            NodeError: it did not start.
        """
        container = self._container(lab, node)
        if _state(self.engine.inspect([container]).get(container.id)).status is not NodeStatus.OFF:
            return
        try:
            self.engine.start(container)
        except EngineRefusedError as error:
            raise NodeError(f"{node}: {error}") from error
        self._until(container, lambda state: bool(state.init_pid), f"{node}: does not start")
        links.refresh_name(container.name, self.netns(lab, node))

    def _boot_renumbered(self, lab: LabDir, definition: Definition, node: str, first: int) -> None:
        """Boot a node again with new interface numbers: interfaces of a booted node are never renumbered."""
        ends = [end for link in definition.links_of(node) for end in link.ends]
        names = [end.interface for end in ends if end.node == node]
        old = os.open(self.netns(lab, node), os.O_RDONLY | os.O_CLOEXEC)
        try:
            self.kill(lab, node)
            self.boot(lab, node)
            links.renumber(Path(f"/proc/self/fd/{old}"), self.netns(lab, node), names, first)
        finally:
            os.close(old)

    def _until(self, container: Container, good: Callable[[NodeState], bool], complaint: str) -> None:
        deadline = time.monotonic() + _GONE_S
        while not good(_state(self.engine.inspect([container]).get(container.id))):
            if time.monotonic() > deadline:
                raise ActionError(f"the engine reports after {_GONE_S:g} s: {complaint}")
            time.sleep(0.005)

    def _deployed(self, lab: LabDir) -> bool:
        return (lab.path / _DEPLOYED).exists()

    def _ours(self, lab: LabDir, definition: Definition | None) -> tuple[Container, ...]:
        """The lab's containers, without those of a lab of the same name that was deployed elsewhere."""
        under = f"{lab.path}{os.sep}"
        own = str(definition.path) if definition else ""
        found = self.engine.containers(lab.name)
        return tuple(one for one in found if one.topology == own or one.topology.startswith(under))

    def _late(self, lab: LabDir, definition: Definition | None) -> tuple[Container, ...]:
        time.sleep(0.3)
        return self._ours(lab, definition)

    def _container(self, lab: LabDir, node: str) -> Container:
        found = self.engine.containers(lab.name, node)
        if found:
            return found[0]
        raise ActionError(f"node {node} of lab {lab.name} is {NodeStatus.MISSING}")

    def _running(self, lab: LabDir, node: str) -> tuple[Container, int]:
        container = self._container(lab, node)
        state = _state(self.engine.inspect([container]).get(container.id))
        if not state.init_pid:
            raise ActionError(f"node {node} of lab {lab.name} is {state.status}")
        return container, state.init_pid

    def _check(self, lab: LabDir, definition: Definition, outcome: Outcome) -> None:
        """Check that containers and links exist, whatever the exit code was."""
        if outcome.exec_failures:
            raise NodeError("\n".join(outcome.exec_failures))
        states = self.states(lab)
        wrong = [
            f"{node.name}: {states[node.name].status} after deploy: {self._last_words(lab, node.name)}"
            for node in definition.nodes
            if node.kind not in self.outside and states[node.name].status is not NodeStatus.RUNNING
        ]
        wrong = wrong or links.not_laid(definition, lambda node: self.netns(lab, node))
        if wrong:
            raise NodeError("\n".join([*wrong, *outcome.errors]))

    def _last_words(self, lab: LabDir, node: str) -> str:
        with contextlib.suppress(LabctlError):
            lines = self.logs(lab, node).decode(errors="replace").split("\n")
            return next((line.strip() for line in reversed(lines) if line.strip()), "it wrote nothing")
        return "there is no container"

    def _destroy(self, lab: LabDir, definition: Definition | None) -> Outcome | None:
        """Let containerlab take down what it made; what it leaves is removed by the caller."""
        if definition is None or not definition.path.exists():
            return None
        # Without --cleanup: with it and no container left, the next best clab-* folder would go.
        argv = ["destroy", "--topo", str(definition.path), "--name", lab.name]
        try:
            return _program(self.engine).run(argv, lab.path, _patience_s(definition))
        except HostError:
            return None

    def _exit_code(self, exec_id: str) -> int:
        deadline = time.monotonic() + _GONE_S
        state = self.engine.exec_state(exec_id)
        while state["Running"] and time.monotonic() < deadline:  # its streams end a little before it does
            time.sleep(0.002)
            state = self.engine.exec_state(exec_id)
        code = state["ExitCode"]
        if code is None:
            raise ActionError("the engine does not know how the command ended")
        return int(code)

    def _kill_exec(self, exec_id: str) -> None:
        with contextlib.suppress(LabctlError):
            pid = int(self.engine.exec_state(exec_id)["Pid"])
            if pid:
                processes.end([pid], _GONE_S)


def _state(facts: Mapping[str, Any] | None) -> NodeState:
    if facts is None:
        return NodeState(NodeStatus.MISSING)
    state = facts["State"]
    pid = int(state.get("Pid") or 0)
    if not state.get("Running") or not pid:
        return NodeState(NodeStatus.OFF)
    frozen = bool(state.get("Paused")) or processes.frozen(pid)
    return NodeState(NodeStatus.FROZEN if frozen else NodeStatus.RUNNING, pid)


def _on_a_terminal() -> bool:
    """The engine refuses a terminal for a command whose input or output is none."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def _epoch(moment: str) -> str:
    """Seconds and nanoseconds since the epoch of one of the engine's UTC moments; empty for never."""
    seconds, _, fraction = moment.removesuffix("Z").partition(".")
    if not seconds or seconds.startswith("0001-"):
        return ""
    whole = datetime.fromisoformat(seconds).replace(tzinfo=UTC).timestamp()
    return f"{whole:.0f}.{fraction:0<9}"


def _paused(facts: Mapping[str, Any] | None) -> bool:
    return bool(facts and facts["State"].get("Paused"))


def _known(lab: LabDir) -> Definition | None:
    try:
        return definition_of(lab)
    except LabctlError:
        return None


def _program(engine: Engine) -> Program:
    path = find_program()
    if path is None:
        raise HostError("containerlab is not installed: see labctl doctor --for containerlab")
    return Program(path, engine.http.url)


def _check_unchanged(definition: Definition) -> None:
    """Containerlab reads the file itself: what it would deploy must be what everybody else was told of."""
    if definition.digest and digest_of(read_text(definition.path)) != definition.digest:
        raise LabError(f"{definition.path} has been edited since it was read: start again")


def _deploy_argv(lab: LabDir, definition: Definition) -> list[str]:
    workers = str(max(4, 2 * (os.cpu_count() or 1)))
    argv = ["deploy", "--topo", str(definition.path), "--name", lab.name, "--format", "json"]
    return [*argv, "--max-workers", workers]


def _patience_s(definition: Definition) -> float:
    """Seconds after which a containerlab hangs rather than works: 30 nodes take about 10."""
    return 60.0 + 5.0 * len(definition.nodes)


def _image_fix(image: str) -> str:
    repository = image.partition(":")[0]
    ours = repository.removeprefix("labctl/")
    return f"labctl images build {ours}" if ours != repository else f"docker pull {image}"
