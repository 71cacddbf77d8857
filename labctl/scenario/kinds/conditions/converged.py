"""``converged``: BGP sessions stand, and routes have come to rest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from labctl.document.durations import format_duration
from labctl.document.entries import Duration, Entry, Names
from labctl.errors import ActionError
from labctl.scenario.kinds.condition import POLL_NS, Condition, ConditionKind, Measured
from labctl.scenario.kinds.frr import peers_of, runs_bgp
from labctl.scenario.kinds.node_command import shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labctl.scenario.backend import LabBackend
    from labctl.scenario.kinds.condition import Waiting

__all__ = ["KIND", "Converged"]

_TIMEOUT_S = 5.0
_QUIET_NS = 1_000_000_000


class ConvergedEntry(Entry):
    """``converged`` as a user writes it."""

    converged: Annotated[Names, Field(description="nodes whose sessions and routes must have come to rest")]
    for_: Annotated[Duration | None, Field(alias="for", description="how long nothing may change; 1s")] = None
    within: Annotated[Duration, Field(description="how long it may take")]


@dataclass(frozen=True, slots=True)
class Converged(Condition):
    """Every BGP session of the nodes is up, and none of their kernels' routes changes for a time.

    A node that runs no bgpd of FRR has no session that could be down: of it the routes count alone.

    Attributes:
        names: of nodes; empty for every node that has power.
        quiet_ns: how long nothing may change.
        within_ns: how long it may take until then.
    """

    kind: ClassVar[str] = "converged"

    names: tuple[str, ...]
    quiet_ns: int
    within_ns: int

    def wait(self, waiting: Waiting) -> Measured:
        """Poll all nodes until nothing has changed for long enough."""
        backend = waiting.backend
        begin = backend.now_ns()
        off = set(waiting.off())
        nodes = self.names or tuple(node for node in backend.nodes if node not in off)
        before: dict[str, bytes] = {}
        # Since when nothing is missing and nothing has changed; at the poll that saw it first.
        since: int | None = None
        while True:
            looked = backend.now_ns()
            missing, routes = self._look(backend, nodes)
            if missing:
                since = None
            elif since is None or routes != before:
                since = looked
            before = routes
            now = backend.now_ns()
            if since is not None and looked - since >= self.quiet_ns:
                return Measured(met=True, values={"took_ns": since - begin})
            if now - begin >= self.within_ns:
                if since is not None:
                    changed = f"routes changed {format_duration(now - since)} ago"
                    missing = {"lab": changed}
                return Measured(met=False, values={"took_ns": now - begin, "missing": missing})
            backend.sleep_until(now + POLL_NS)

    def _look(self, backend: LabBackend, nodes: tuple[str, ...]) -> tuple[dict[str, str], dict[str, bytes]]:
        """What is missing at each node, and the routes of each."""
        missing: dict[str, str] = {}
        routes: dict[str, bytes] = {}
        for node in nodes:
            try:
                down = [one for one in _peers(backend, node) if one[1] != "Established"]
                if down:
                    missing[node] = ", ".join(f"{label} is {state}" for label, state in down)
                routes[node] = _routes(backend, node)
            except ActionError as error:
                missing[node] = str(error)
        return missing, routes

    def nodes(self) -> Iterator[tuple[tuple[str | int, ...], str]]:
        """Those that it names."""
        for node in self.names:
            yield ("converged",), node

    def powered(self) -> tuple[str, ...]:
        """A node without power has no routes."""
        return self.names

    def __str__(self) -> str:
        names = ", ".join(self.names) or "all"
        quiet, within = format_duration(self.quiet_ns), format_duration(self.within_ns)
        return f"converged: {names} quiet for {quiet} within {within}"


def _peers(backend: LabBackend, node: str) -> list[tuple[str, str]]:
    if not runs_bgp(backend, node):
        return []
    return [(one.label, one.state) for one in peers_of(backend, node)]


def _routes(backend: LabBackend, node: str) -> bytes:
    text = b""
    for family in ("-4", "-6"):
        result = backend.execute(node, ["ip", family, "route", "show", "table", "all"], _TIMEOUT_S)
        if not result.ok:
            raise ActionError(f"ip route ended with {result.code}: {shown(result.stderr)}")
        # An expiry counts down, and is no change.
        text += b"\n".join(_steady(line) for line in sorted(result.stdout.splitlines()))
    return text


def _steady(line: bytes) -> bytes:
    words = line.split()
    if b"expires" in words:
        at = words.index(b"expires")
        del words[at : at + 2]
    return b" ".join(words)


def _read(entry: ConvergedEntry) -> Converged:
    return Converged(entry.converged, _QUIET_NS if entry.for_ is None else entry.for_, entry.within)


KIND = ConditionKind(
    name="converged",
    doc="every BGP session of the nodes is Established, and no route of their kernels has changed for"
    " `for` (1s)",
    example="{converged: all, for: 2s, within: 30s}",
    entry=ConvergedEntry,
    read=_read,
)
