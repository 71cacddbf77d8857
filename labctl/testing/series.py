"""Whole series of runs on a fake lab: journals for tests of code that reads journals."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Interface, IPv6Interface
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labctl.errors import NodeError
from labctl.events import Event, silent
from labctl.journal.file import read_journal
from labctl.lab.loaded import LoadedLab
from labctl.model.lab import Endpoint, Lab, LinkPlan, NodePlan
from labctl.scenario.session import Series, run_series

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from labctl.events import Listener
    from labctl.lab.reservation import ForcedChange
    from labctl.scenario.model import Scenario
    from labctl.testing.backend import FakeBackend

__all__ = ["FakeSource", "fake_lab", "fake_loaded", "play"]


@dataclass
class FakeSource:
    """Hands out a backend, and remembers how often.

    Attributes:
        backend: always the same.
        fails: so many times the lab does not come up.
        opened: how often it came up.
        closed: how often it went down.
        forced: what somebody did to the lab by force since a run began.
    """

    backend: FakeBackend
    fails: int = 0
    opened: int = 0
    closed: int = 0
    forced: list[ForcedChange] = field(default_factory=list)

    def changes(self) -> tuple[ForcedChange, ...]:
        """What a test put into ``forced``, each once."""
        told, self.forced = tuple(self.forced), []
        return told

    def open(self, listen: Listener) -> FakeBackend:
        """Come up, or not."""
        if self.fails > 0:
            self.fails -= 1
            raise NodeError("gw1 did not become ready: no session to r1")
        self.opened += 1
        listen(Event("lab.up", self.backend.now, {"lab": "fake", "runtime": "fake"}))
        return self.backend

    def close(self, listen: Listener, *, keep: bool) -> None:
        """Go down, unless kept."""
        self.closed += not keep
        listen(Event("lab.down", self.backend.now, {"lab": "fake", "runtime": "fake"}))

    def save_logs(self, into: Path) -> None:
        """A line a node."""
        into.mkdir(parents=True, exist_ok=True)
        for node in self.backend.nodes:
            (into / f"{node}.log").write_text("all quiet\n")

    def about(self) -> dict[str, Any]:
        """A fake runtime."""
        return {"runtime": "fake"}


def fake_lab(names: Sequence[str], links: Sequence[tuple[str, str]] = ()) -> Lab:
    """A planned lab of hosts with addresses, and links by the names of their ends."""
    nodes = tuple(
        NodePlan(
            name=name,
            role="host",
            index=index,
            loopback4=IPv4Interface(f"10.255.0.{index + 1}/32"),
            loopback6=IPv6Interface(f"fd00::{index + 1:x}/128"),
        )
        for index, name in enumerate(names)
    )
    planned = tuple(
        LinkPlan(index, Endpoint(a, f"eth{index + 1}"), Endpoint(b, f"eth{index + 1}"))
        for index, (a, b) in enumerate(links)
    )
    return Lab("fake", nodes, planned)


def fake_loaded(names: Sequence[str]) -> LoadedLab:
    """:func:`fake_lab` as if a file had said so."""
    return LoadedLab(Path("fake.yml"), "", fake_lab(names))


def play(
    scenario: Scenario,
    backend: FakeBackend,
    out: Path,
    *,
    runs: int = 1,
    seed: int = 1,
    listen: Listener = silent,
    suspect: Callable[[Sequence[Event]], bool] = lambda _events: False,
    source: FakeSource | None = None,
    retries: int = 0,
    unclear: Callable[[Sequence[Event]], bool] = lambda _events: False,
) -> tuple[Event, ...]:
    """Run a scenario on a backend, and read its journal back."""
    series = Series(scenario, fake_loaded(backend.nodes), out, runs=runs, seed=seed, retries=retries)
    return read_journal(run_series(series, source or FakeSource(backend), listen, suspect, unclear))
