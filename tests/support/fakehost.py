"""A lab in a program's hands that is a fake one: what is done to it is remembered."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from labctl.api.lab import RunningLab
from labctl.testing.series import fake_loaded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from labctl.lab.reservation import ForcedChange
    from labctl.testing.backend import FakeBackend

NODES = ("h1", "h2", "gw1", "gw2")


@dataclass
class FakeHost:
    """Implements :class:`labctl.api.host.LabHost`."""

    runtime: str = "fake"
    told: list[str] = field(default_factory=list)
    forced: list[ForcedChange] = field(default_factory=list)

    @contextlib.contextmanager
    def reserved(self, holder: str) -> Iterator[Callable[[], Sequence[ForcedChange]]]:
        self.told.append(f"hold: {holder}")
        yield lambda: tuple(self.forced)
        self.told.append("release")

    @contextlib.contextmanager
    def changing(self, action: str, target: str) -> Iterator[None]:
        self.told.append(f"change: {action} {target}")
        yield

    def about(self) -> dict[str, Any]:
        return {"runtime": "fake"}

    def log(self, node: str) -> str:
        return f"{node} says nothing of note\n"

    def take_down(self) -> None:
        self.told.append("down")


def fake_running(
    backend: FakeBackend, *, ours: bool = True, keep: bool = False
) -> tuple[RunningLab, FakeHost]:
    """A lab of the nodes of a backend, and what it runs on."""
    host = FakeHost()
    return RunningLab(backend, fake_loaded(backend.nodes), host, ours=ours, keep=keep), host
