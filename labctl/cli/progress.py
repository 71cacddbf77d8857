"""What the user sees while a lab comes up or goes: a live view on a terminal, else plain lines."""

from __future__ import annotations

import contextlib
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from labctl.cli.console import is_live, say

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rich.console import RenderableType

    from labctl.events import Event, Listener

__all__ = ["Progress", "watching"]

STARTED, READY, STOPPED = "started", "ready", "stopped"
STYLE = {"waiting": "dim", STARTED: "yellow", READY: "green", STOPPED: "dim"}
PAUSE_S = 1.0
MAX_NAMED = 60
"""More nodes than these are counted, not named, in the live view."""


@dataclass
class Progress:
    """How far a lab is, gathered from its events. Also a listener.

    Attributes:
        verb: what is being done, such as ``starting``.
        lab: name of the lab; empty until the first event names it.
        runtime: name of the runtime; the same.
        reason: why that runtime.
        nodes: state of each node that has reported, by name.
        since: time.monotonic() of the start.
    """

    verb: str
    lab: str = ""
    runtime: str = ""
    reason: str = ""
    nodes: dict[str, str] = field(default_factory=dict)
    since: float = field(default_factory=time.monotonic)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, event: Event) -> None:
        """Take one event; events may come from several threads."""
        with self._lock:
            self._take(event)

    def _take(self, event: Event) -> None:
        subject, _, what = event.kind.partition(".")
        if subject == "lab":
            self.lab = str(event.data.get("lab", self.lab))
            self.runtime = str(event.data.get("runtime", self.runtime))
            self.reason = str(event.data.get("reason", self.reason))
            for name in event.data.get("nodes") or ():
                self.nodes.setdefault(str(name), "waiting")
            self.verb = what if what in ("starting", "stopping") else self.verb
        elif subject == "node" and what in (STARTED, READY, STOPPED):
            self.nodes[str(event.data["node"])] = what

    def count(self, *states: str) -> int:
        """How many nodes are in one of the states."""
        return sum(state in states for state in list(self.nodes.values()))

    def headline(self) -> str:
        """One line that says it all."""
        seconds = time.monotonic() - self.since
        total = len(self.nodes)
        where = f" on {self.runtime}" if self.runtime else ""
        what = f"{self.verb} {self.lab}{where}".strip()
        if not total:
            return f"{what}, {seconds:.1f} s"
        if self.verb == "stopping":
            return f"{what}: {self.count(STOPPED)} of {total} nodes gone, {seconds:.1f} s"
        started, ready = self.count(STARTED, READY), self.count(READY)
        return f"{what}: {started} of {total} nodes started, {ready} ready, {seconds:.1f} s"

    def __rich__(self) -> RenderableType:
        """The live view: the headline, and every node in the colour of its state."""
        from rich.console import Group
        from rich.padding import Padding
        from rich.text import Text

        with self._lock:
            nodes = dict(self.nodes)
        line = Text(self.headline(), style="bold")
        if len(nodes) > MAX_NAMED:
            waiting = [name for name, state in nodes.items() if state not in (READY, STOPPED)]
            more = f" and {len(waiting) - 8} more" if len(waiting) > 8 else ""  # noqa: PLR2004
            return Group(
                line, Text("  waiting for " + " ".join(waiting[:8]) + more if waiting else "", "yellow")
            )
        mark = {"waiting": "·", STARTED: "o", READY: "●", STOPPED: "-"}
        names = Text()
        for name, state in nodes.items():
            # A mark and its name stay together where the line is wrapped.
            names.append(f"{mark[state]}\N{NO-BREAK SPACE}{name}", style=STYLE[state]).append("  ")
        return Group(line, Padding(names, (0, 0, 0, 2)))


class _Lines:
    """Plain lines for logs: one a second at most, not one a node."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._told_s = 0.0

    def __call__(self, event: Event) -> None:
        self._progress(event)
        if event.kind in ("lab.starting", "lab.stopping"):
            where = f" on {self._progress.runtime}" if self._progress.runtime else ""
            say(f"{self._progress.verb} {self._progress.lab}{where}")
            self._told_s = time.monotonic()
        elif event.kind == "node.ready":
            ready, total, now = self._progress.count(READY), len(self._progress.nodes), time.monotonic()
            if now - self._told_s >= PAUSE_S and ready < total:
                self._told_s = now
                say(f"  {ready} of {total} nodes ready, {now - self._progress.since:.1f} s")


@contextlib.contextmanager
def watching(
    verb: str, *, nodes: Iterable[str] = (), quiet: bool = False
) -> Iterator[tuple[Listener, Progress]]:
    """Show progress while the block runs.

    Args:
        verb: what is being done, until an event says it better.
        nodes: those that run already.
        quiet: show nothing (somebody else's data goes where the view would).

    Yields:
        A listener for the events, and what it has gathered.
    """
    progress = Progress(verb, nodes=dict.fromkeys(nodes, READY))
    if quiet:
        yield progress, progress
    elif not is_live():
        yield _Lines(progress), progress
    else:
        from rich.live import Live

        from labctl.cli.console import console

        # Transient: what stays on the screen is what the command says at its end.
        with Live(progress, console=console(), refresh_per_second=12, transient=True):
            yield progress, progress
