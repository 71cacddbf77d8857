"""The Docker engine under containerlab: finds a lab's containers by their labels and acts on them."""

from __future__ import annotations

import contextlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from labctl.runtime.containerlab.docker_http import EngineHttp, EngineRefusedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["LAB_LABEL", "NODE_LABEL", "TOPOLOGY_LABEL", "Container", "Engine"]

LAB_LABEL = "containerlab"
NODE_LABEL = "clab-node-name"
TOPOLOGY_LABEL = "clab-topo-file"
PARALLEL = 8

_NOT_FOUND = 404
_CONFLICT = 409


@dataclass(frozen=True, slots=True)
class Container:
    """One container of a lab.

    Attributes:
        id: the engine's own.
        name: without the leading slash.
        node: name of the node in the definition.
        topology: the definition that it was made from.
        labels: every label.
    """

    id: str
    name: str
    node: str
    topology: str
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Engine:
    """The calls of a Docker engine that a lab needs."""

    http: EngineHttp = field(default_factory=EngineHttp)

    def version(self) -> str:
        """The engine's version.

        Raises:
            HostError: no engine answers.
        """
        return str(self.http.json("GET", "/version")["Version"])

    def image(self, reference: str) -> dict[str, Any] | None:
        """What the engine knows of an image; None if it does not hold it."""
        try:
            facts: dict[str, Any] = self.http.json("GET", f"/images/{reference}/json")
        except EngineRefusedError as error:
            if error.status == _NOT_FOUND:
                return None
            raise
        return facts

    def containers(self, lab: str, node: str = "") -> tuple[Container, ...]:
        """Every container of a lab (or of one node of it), whatever its state, by name."""
        labels = [f"{LAB_LABEL}={lab}"] + ([f"{NODE_LABEL}={node}"] if node else [])
        found = self.http.json("GET", "/containers/json", {"all": "1", "filters": {"label": labels}})
        return tuple(sorted((_container(entry) for entry in found), key=lambda one: one.name))

    def inspect(self, containers: Iterable[Container]) -> dict[str, dict[str, Any]]:
        """What the engine knows of each, by container id; one that is gone meanwhile is left out."""
        wanted = list(containers)
        with ThreadPoolExecutor(PARALLEL) as pool:
            answers = list(pool.map(self._inspect, wanted))
        return {one.id: answer for one, answer in zip(wanted, answers, strict=True) if answer}

    def _inspect(self, container: Container) -> dict[str, Any] | None:
        try:
            answer: dict[str, Any] = self.http.json("GET", f"/containers/{container.id}/json")
        except EngineRefusedError as error:
            if error.status == _NOT_FOUND:
                return None
            raise
        return answer

    def remove(self, containers: Iterable[Container]) -> tuple[str, ...]:
        """Kill and remove; returns one line for each that could not be removed."""
        with ThreadPoolExecutor(PARALLEL) as pool:
            return tuple(answer for answer in pool.map(self._remove, list(containers)) if answer)

    def _remove(self, container: Container) -> str:
        try:
            self.http.request("DELETE", f"/containers/{container.id}", {"force": "1", "v": "1"})
        except EngineRefusedError as error:
            # A conflict: somebody else, such as a containerlab that was killed, removes it right now.
            return "" if error.status in (_NOT_FOUND, _CONFLICT) else f"{container.name}: {error}"
        return ""

    def start(self, container: Container) -> None:
        """Start one that does not run; no error if it does."""
        self.http.request("POST", f"/containers/{container.id}/start")

    def thaw(self, container: Container) -> None:
        """Resume a paused container; no error if it is not paused."""
        with contextlib.suppress(EngineRefusedError):
            self.http.request("POST", f"/containers/{container.id}/unpause")

    def never_restart(self, container: Container) -> None:
        """Take its restart policy away: power that is cut stays cut."""
        self.http.json("POST", f"/containers/{container.id}/update", RestartPolicy={"Name": "no"})

    def logs(self, container: Container, since: str) -> bytes:
        """What it wrote; the raw stream of the engine, which is plain if it has a terminal.

        Args:
            container: which one.
            since: seconds since the epoch with fraction, in text; empty for all.
        """
        query = {"stdout": "1", "stderr": "1"} | ({"since": since} if since else {})
        return self.http.request("GET", f"/containers/{container.id}/logs", query)

    def exec_create(self, container: Container, argv: Sequence[str], *, stdin: bool) -> str:
        """Prepare a command; returns its id."""
        made = self.http.json(
            "POST",
            f"/containers/{container.id}/exec",
            Cmd=list(argv),
            AttachStdin=stdin,
            AttachStdout=True,
            AttachStderr=True,
        )
        return str(made["Id"])

    def exec_run(self, exec_id: str, stdin: bytes | None, timeout_s: float | None) -> tuple[bytes, bytes]:
        """Run a prepared command to its end: its stdout and stderr.

        Raises:
            StreamTimeoutError: it did not end in time; it still runs.
        """
        return self.http.stream(f"/exec/{exec_id}/start", {"Detach": False, "Tty": False}, stdin, timeout_s)

    def exec_state(self, exec_id: str) -> Mapping[str, Any]:
        """``Running``, ``ExitCode`` and ``Pid`` (in the host's numbering) of a command."""
        state: Mapping[str, Any] = self.http.json("GET", f"/exec/{exec_id}/json")
        return state


def _container(entry: Mapping[str, Any]) -> Container:
    labels = entry.get("Labels") or {}
    return Container(
        id=entry["Id"],
        name=(entry.get("Names") or ["/" + entry["Id"][:12]])[0].lstrip("/"),
        node=labels.get(NODE_LABEL, ""),
        topology=labels.get(TOPOLOGY_LABEL, ""),
        labels=labels,
    )
