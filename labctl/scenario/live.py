"""The backend of a real lab: a runtime, the faults and the probe, behind the interface of backend.py."""

from __future__ import annotations

import contextlib
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labctl import fault
from labctl.errors import ActionError, LabctlError, LabExistsError, LabNotFoundError
from labctl.events import now_ns
from labctl.lab.definition_cache import definition_of, plan_of
from labctl.lab.lifecycle import bring_up, open_lab, take_down
from labctl.lab.readiness import not_ready_reason
from labctl.lab.reservation import reserve
from labctl.lab.state import LabDir
from labctl.output_file import write_output
from labctl.probe import start_traffic
from labctl.scenario import ping
from labctl.scenario.adopt import refuse_faulty
from labctl.scenario.live_watch import LiveWatch
from labctl.scenario.plan import address_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from labctl.events import Listener
    from labctl.fault.types import Effect
    from labctl.lab.loaded import LoadedLab
    from labctl.lab.reservation import ForcedChange, Reservation
    from labctl.lab.runtime import ExecResult, Runtime
    from labctl.model.lab import Lab
    from labctl.probe.types import Stream
    from labctl.scenario.backend import RunningTraffic, RunningWatch, Victim
    from labctl.scenario.kinds.action import Action

__all__ = ["LiveBackend", "LiveSource", "backend_of"]

LOOK_TIMEOUT_S = 5.0
"""A look at a routing table that takes longer has failed."""

READ_BYTES = 64 << 20
"""A file of a node that is longer is not read: a node can write without end."""

_DEAD = {"dead", "linkdown"}


@dataclass(frozen=True)
class LiveBackend:
    """A lab that runs on this machine.

    Attributes:
        runtime: that runs it.
        folder: its state.
        lab: as planned: for addresses.
        asked: nodes that have a ready program.
    """

    runtime: Runtime
    folder: LabDir
    lab: Lab
    asked: frozenset[str]

    @property
    def nodes(self) -> tuple[str, ...]:
        """Every node, in topology order."""
        return tuple(node.name for node in self.lab.nodes)

    def now_ns(self) -> int:
        """CLOCK_MONOTONIC."""
        return now_ns()

    def sleep_until(self, t_ns: int) -> None:
        """Sleep; wakes up within some 0.1 ms of the moment on an idle machine."""
        while (left := t_ns - now_ns()) > 0:
            time.sleep(left / 1e9)

    def unready(self, node: str) -> str:
        """Ask the node's own ready program."""
        return not_ready_reason(self.runtime, self.folder, node, ask=node in self.asked)

    def paths(self, node: str, to: str) -> int:
        """Count next hops that are neither dead nor without carrier."""
        address = address_of(self.lab, to, 4)
        argv = ["ip", "-json", "-4", "route", "show", "to", "match", address]
        result = self.runtime.exec(self.folder, node, argv, timeout_s=LOOK_TIMEOUT_S)
        if not result.ok:
            raise ActionError(
                f"{node}: ip route ended with {result.code}: {result.stderr.decode(errors='replace')}"
            )
        hops = most_specific(json.loads(result.stdout or b"[]"))
        return sum(not _DEAD.intersection(hop.get("flags", [])) for hop in hops)

    def address(self, node: str, family: int) -> str:
        """As planned."""
        try:
            return address_of(self.lab, node, family)
        except KeyError as error:
            raise ActionError(str(error.args[0])) from error

    def execute(self, node: str, argv: Sequence[str], timeout_s: float) -> ExecResult:
        """Through the runtime, as ``labctl exec``."""
        return self.runtime.exec(self.folder, node, list(argv), timeout_s=timeout_s)

    def read(self, node: str, path: str) -> bytes:
        """By head, in the node."""
        argv = ["head", "-c", str(READ_BYTES + 1), path]
        result = self.runtime.exec(self.folder, node, argv, timeout_s=LOOK_TIMEOUT_S)
        if not result.ok:
            raise ActionError(f"{node}: {result.stderr.decode(errors='replace').strip()}")
        if len(result.stdout) > READ_BYTES:
            raise ActionError(f"{node}: {path} is longer than {READ_BYTES >> 20} MiB")
        return result.stdout

    def first_reply(self, node: str, to: str, within_ns: int) -> int | None:
        """By ping, which takes an identifier of its own: for the overlay that is another flow."""
        return ping.first_reply(self.runtime, self.folder, node, address_of(self.lab, to, 4), within_ns)

    def start_traffic(self, streams: Sequence[Stream]) -> RunningTraffic:
        """Senders and receivers in the nodes' network namespaces."""
        return start_traffic(self._netns, streams)

    def watch(
        self, victims: Sequence[Victim], traffic: RunningTraffic, streams: Sequence[Stream]
    ) -> RunningWatch:
        """Rings at the far ends of the victims' links."""
        return LiveWatch(self.runtime, self.folder, victims, traffic.session, streams)

    def act(self, action: Action[Any], listen: Listener) -> Effect:
        """As its kind does it."""
        return action.kind.act(self, action, listen)

    def undo_all(self, listen: Listener) -> None:
        """Take back whatever the lab's state says is in force."""
        fault.undo_all(self.runtime, self.folder, listen)

    def logs(self, into: Path) -> None:
        """Write what every node has said since it last booted, one file a node."""
        into.mkdir(parents=True, exist_ok=True)
        for node in self.nodes:
            try:
                text = self.runtime.logs(self.folder, node)
            except (LabctlError, OSError) as error:
                text = f"no log could be had: {error}\n".encode()
            write_output(into / f"{node}.log", text)

    def _netns(self, node: str) -> Path:
        return self.runtime.netns(self.folder, node)


def backend_of(folder: LabDir, lab: Lab) -> LiveBackend:
    """The backend of a lab that is up.

    Args:
        folder: its state.
        lab: as planned.

    Raises:
        LabNotFoundError: there is none.
    """
    runtime, folder = open_lab(folder.name, folder.root)
    ready = {spec.name for spec in definition_of(folder).nodes if spec.labels.get("labctl-ready") == "1"}
    return LiveBackend(runtime, folder, lab, frozenset(ready))


def most_specific(routes: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The next hops of the longest of the prefixes that match, as ``ip -json route`` tells of them."""
    if not routes:
        return []
    longest = max(_length(route) for route in routes)
    found = [route for route in routes if _length(route) == longest]
    return [hop for route in found for hop in route.get("nexthops", [route])]


def _length(route: Mapping[str, Any]) -> int:
    prefix = str(route.get("dst", "default"))
    if prefix == "default":
        return 0
    return int(prefix.partition("/")[2] or 32)


@dataclass
class LiveSource:
    """Brings the lab of a scenario up on this machine, or takes the one that runs already.

    Attributes:
        loaded: the lab.
        runtime_name: ``auto``, ``netns`` or ``containerlab``.
        timeout_s: for all nodes to become ready.
    """

    loaded: LoadedLab
    runtime_name: str = "auto"
    timeout_s: float = 120.0
    backend: LiveBackend | None = None
    ours: bool = True
    held: Reservation | None = None

    @contextlib.contextmanager
    def reserved(self, holder: str) -> Iterator[None]:
        """Hold the lab for a series, whether it is up or not.

        Args:
            holder: who, as others read it.

        Raises:
            LabBusyError: another run holds it, or somebody changes it at this moment.
            LabExistsError: a lab of that name is up, and it is another one.
            LabError: it is up, and a fault is in force.
        """
        self.held = reserve(LabDir(self.loaded.lab.name), holder)
        try:
            running = self._running()
            if running is not None:
                refuse_faulty(*open_lab(running.name))
            yield
        finally:
            self.held.release()
            self.held = None

    def changes(self) -> tuple[ForcedChange, ...]:
        """See :class:`labctl.scenario.session.LabSource`."""
        return self.held.changes() if self.held is not None else ()

    def open(self, listen: Listener) -> LiveBackend:
        """See :class:`labctl.scenario.session.LabSource`."""
        folder = self._running()
        self.ours = folder is None
        if folder is None:
            folder = bring_up(self.loaded, runtime=self.runtime_name, timeout_s=self.timeout_s, listen=listen)
        self.backend = backend_of(folder, self.loaded.lab)
        return self.backend

    def close(self, listen: Listener, *, keep: bool) -> None:
        """See :class:`labctl.scenario.session.LabSource`."""
        backend, self.backend = self.backend, None
        if backend is not None and self.ours and not keep:
            take_down(backend.folder, listen)

    def save_logs(self, into: Path) -> None:
        """See :class:`labctl.scenario.session.LabSource`."""
        if self.backend is not None:
            self.backend.logs(into)

    def about(self) -> dict[str, Any]:
        """See :class:`labctl.scenario.session.LabSource`."""
        if self.backend is None:
            return {}
        if self.loaded.definition is None:
            path = Path(self.backend.folder.record().definition)
            definition = path.read_text(encoding="utf-8", errors="replace")
        else:
            definition = self.loaded.text
        return {
            "runtime": self.backend.runtime.name,
            "already_running": not self.ours,
            "definition": definition,
        }

    def _running(self) -> LabDir | None:
        """The lab of that name, if it is up and was planned exactly as this one.

        Raises:
            LabExistsError: one of that name is up, and it is another one.
            LabError: what is kept of that one is damaged.
        """
        lab = self.loaded.lab
        folder = LabDir(lab.name)
        try:
            record = folder.record()
        except LabNotFoundError:
            return None
        if record.phase == "up" and plan_of(folder) == lab:
            return folder
        raise LabExistsError(
            f"a lab named {lab.name!r} is there already, made from {record.topology}, and it is not the"
            f" same: take it down with labctl down {lab.name}"
        )
