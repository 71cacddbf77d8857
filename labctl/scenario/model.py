"""What a scenario is, once read and checked: frozen data, durations in nanoseconds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from labctl.document.durations import format_duration

if TYPE_CHECKING:
    from pathlib import Path

    from labctl.errors import Problem
    from labctl.scenario.kinds.action import Action
    from labctl.scenario.kinds.condition import Condition

__all__ = [
    "DEFAULT_SETTLE_NS",
    "Collection",
    "Expectation",
    "Scenario",
    "Step",
    "TrafficSpec",
]

DEFAULT_SETTLE_NS = 5_000_000_000
"""Watched after the last step before anything is healed: longer than a BGP hold time of 3 s."""


@dataclass(frozen=True, slots=True)
class Step:
    """One action at its moment. An entry of the timeline with several targets, or with ``for``, is several.

    Attributes:
        index: 0-based place among the steps of the run.
        action: what is done.
        at_ns: moment after the zero of the timeline; None if it waits for something.
        after: the condition that it waits for, or None.
        plus_ns: time between what it waits for and the action.
        since: index of the step of the same entry whose moment ``plus_ns`` counts from; None for the first
            step of an entry.
        entry: 0-based place of the entry in the file's timeline; as ``index`` if not given.
        word: the key of the entry's kind; the action's own if not given.
    """

    index: int
    action: Action[Any]
    at_ns: int | None = None
    after: Condition | None = None
    plus_ns: int = 0
    since: int | None = None
    entry: int = -1
    word: str = ""

    def __post_init__(self) -> None:
        if self.entry < 0:
            object.__setattr__(self, "entry", self.index)
        if not self.word:
            object.__setattr__(self, "word", self.action.name)

    def __str__(self) -> str:
        if self.at_ns is not None:
            return f"{self.action} at {format_duration(self.at_ns)}"
        if self.since is not None:
            return f"{self.action} {format_duration(self.plus_ns)} after step {self.since + 1}"
        return f"{self.action} {format_duration(self.plus_ns)} after ({self.after})"


@dataclass(frozen=True, slots=True)
class TrafficSpec:
    """Streams as the user asks for them; see :class:`labctl.probe.types.Stream` for the units.

    Attributes:
        families: 4, 6 or both; with both there is one stream each, of the full rate and flows.
        addresses: pattern of the flows' destinations (see :mod:`labctl.scenario.addresses`); empty
            for the destination's loopback address.
        source_address, destination_address: addresses of the two nodes to go between; empty for
            their loopback addresses.
        pair: the name that a user gave to two of them, one in each direction; empty for one alone.
        entry: 0-based place of its entry among those of the file; -1 if it comes from none.
    """

    name: str
    source: str
    destination: str
    proto: str = "udp"
    rate_pps: float = 1000.0
    flows: int = 1
    size: int = 128
    families: tuple[int, ...] = (4,)
    addresses: str = ""
    source_address: str = ""
    destination_address: str = ""
    pair: str = ""
    entry: int = -1

    def chosen_by(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """Those of its streams that a user names, by themselves or by its pair; no names are all."""
        if not names or self.name in names or self.pair in names:
            return self.stream_names
        return tuple(name for name in self.stream_names if name in names)

    @property
    def stream_names(self) -> tuple[str, ...]:
        """Names of the streams that it becomes."""
        if len(self.families) == 1:
            return (self.name,)
        return tuple(f"{self.name}-v{family}" for family in self.families)


@dataclass(frozen=True, slots=True)
class Collection:
    """A file of JSON lines in a node that goes into the journal."""

    node: str
    file: str


@dataclass(frozen=True, slots=True)
class Expectation:
    """What must hold, judged from the journal alone.

    Attributes:
        kind: a key of :data:`labctl.verdict.expectations.EXPECTATIONS`.
        streams: names of streams; empty for all.
        packets: for losses: at most so many a run, over these streams together.
        at_least: for losses: at least so many a run; None if not asked.
        longest_ns: for outages and delays: no longer than this ...
        quantile: ... for this share of the flows that crossed the victim, over all faults and runs.
        off_path: it is about the flows that do not cross what is taken away.
        bound: share of fail-overs that may miss it at most, with 95 % confidence; 0 if not asked.
        text: as the user wrote it.
    """

    kind: str
    streams: tuple[str, ...] = ()
    packets: int = 0
    longest_ns: int = 0
    quantile: float = 1.0
    bound: float = 0.0
    text: str = ""
    off_path: bool = False
    at_least: int | None = None


@dataclass(frozen=True, slots=True)
class Scenario:
    """A whole scenario.

    Attributes:
        name: as given.
        path: its file, as the user gave it.
        text: the file itself.
        topology: path of the topology, resolved against the scenario's folder.
        sets: ``key=value`` for the topology, as ``--set`` would give them.
        settle_ns: watched after the last step before faults still in force are healed.
        warnings: what the file says that labctl will not take for ever, such as a key's former name.
    """

    name: str
    path: Path
    text: str
    topology: Path
    traffic: tuple[TrafficSpec, ...]
    steady: tuple[Condition, ...] = ()
    timeline: tuple[Step, ...] = ()
    expect: tuple[Expectation, ...] = ()
    sets: tuple[str, ...] = ()
    settle_ns: int = DEFAULT_SETTLE_NS
    collect: tuple[Collection, ...] = ()
    warnings: tuple[Problem, ...] = ()
