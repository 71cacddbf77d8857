"""Waiting for conditions. A condition that is tried again says so each time: a retry hides no loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from labctl.errors import ActionError
from labctl.scenario.model import Condition, EcmpPaths, FirstReply, Loss, Ready, Wait

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from labctl.scenario.backend import LabBackend, RunningTraffic

__all__ = ["Measured", "Waiting"]

POLL_NS = 100_000_000
"""Between two looks at a node: each costs a few ms of processor on the machine under test."""


@dataclass(frozen=True, slots=True)
class Measured:
    """How a condition ended.

    Attributes:
        met: whether it holds.
        values: plain JSON, for the journal.
    """

    met: bool
    values: dict[str, Any]

    @property
    def why(self) -> str:
        """What is missing, in one line."""
        missing = self.values.get("missing")
        if isinstance(missing, dict):
            return "; ".join(f"{node}: {text}" for node, text in missing.items())
        told = {"lost": "packets lost", "silent": "streams silent", "paths": "paths"}
        return ", ".join(f"{self.values[key]} {words}" for key, words in told.items() if key in self.values)


@dataclass(frozen=True, slots=True)
class Waiting:
    """Everything that it takes to wait for conditions.

    Attributes:
        backend: the lab.
        traffic: what flows; None before it was started.
        off: nodes without power, asked again at every look: nobody waits for those to be ready
            unless they are named.
        retried: told of every loss window that missed and is tried again.
    """

    backend: LabBackend
    traffic: RunningTraffic | None
    off: Callable[[], Collection[str]]
    retried: Callable[[dict[str, Any]], None]

    def wait(self, condition: Condition) -> Measured:
        """Wait until a condition holds or its time is over."""
        if isinstance(condition, Ready):
            return self._ready(condition)
        if isinstance(condition, EcmpPaths):
            return self._ecmp_paths(condition)
        if isinstance(condition, Loss):
            return self._loss(condition)
        if isinstance(condition, FirstReply):
            return self._first_reply(condition)
        self._let_time_pass(condition)
        return Measured(met=True, values={})

    def _let_time_pass(self, condition: Wait) -> None:
        self.backend.sleep_until(self.backend.now_ns() + condition.for_ns)

    def _ready(self, condition: Ready) -> Measured:
        start = self.backend.now_ns()
        off = set(self.off())
        waiting = list(condition.nodes or (node for node in self.backend.nodes if node not in off))
        while True:
            missing = {node: text for node in waiting if (text := self.backend.unready(node))}
            took = self.backend.now_ns() - start
            if not missing:
                return Measured(met=True, values={"took_ns": took})
            if took >= condition.within_ns:
                return Measured(met=False, values={"took_ns": took, "missing": missing})
            # A node that was ready once is not asked again: one look less at a busy machine.
            waiting = list(missing)
            self.backend.sleep_until(self.backend.now_ns() + POLL_NS)

    def _ecmp_paths(self, condition: EcmpPaths) -> Measured:
        start = self.backend.now_ns()
        while True:
            try:
                paths = self.backend.paths(condition.node, condition.to)
            except ActionError:
                paths = 0
            took = self.backend.now_ns() - start
            if paths >= condition.paths or took >= condition.within_ns:
                return Measured(met=paths >= condition.paths, values={"took_ns": took, "paths": paths})
            self.backend.sleep_until(self.backend.now_ns() + POLL_NS)

    def _first_reply(self, condition: FirstReply) -> Measured:
        answer = self.backend.first_reply(condition.source, condition.to, condition.within_ns)
        if answer is None:
            return Measured(met=False, values={"missing": {condition.to: "no answer"}})
        return Measured(met=True, values={"answer_ns": answer})

    def _loss(self, condition: Loss) -> Measured:
        if self.traffic is None:
            raise ActionError("a loss condition needs running traffic")
        begin = self.backend.now_ns()
        while True:
            start = self.backend.now_ns()
            end = start + condition.for_ns
            self.backend.sleep_until(end)
            tallies = [
                tally
                for tally in self.traffic.window(start, end)
                if not condition.streams or tally.stream.name in condition.streams
            ]
            lost = sum(tally.lost for tally in tallies)
            sent = sum(tally.sent for tally in tallies)
            values: dict[str, Any] = {
                "sent": sent,
                "lost": lost,
                "from_ns": start,
                "to_ns": end,
                "delay_p99_ns": {tally.stream.name: tally.delay_p99_ns for tally in tallies},
            }
            silent = [tally.stream.name for tally in tallies if tally.sent == 0]
            if lost <= condition.packets and not silent:
                return Measured(met=True, values=values)
            if silent:
                values["silent"] = silent
            if self.backend.now_ns() - begin >= condition.within_ns:
                return Measured(met=False, values=values)
            self.retried(values)
