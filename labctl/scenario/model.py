"""What a scenario is, once read and checked: frozen data, durations in nanoseconds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from labctl.document.durations import format_duration

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from labctl.errors import Problem

__all__ = [
    "ACTIONS",
    "DEFAULT_SETTLE_NS",
    "Action",
    "ActionKind",
    "Collection",
    "Condition",
    "EcmpPaths",
    "Expectation",
    "FirstReply",
    "Loss",
    "Ready",
    "Scenario",
    "Step",
    "TrafficSpec",
    "Wait",
]

DEFAULT_SETTLE_NS = 5_000_000_000
"""Watched after the last step before anything is healed: longer than a BGP hold time of 3 s."""


@dataclass(frozen=True, slots=True)
class ActionKind:
    """What the scenario language knows of one kind of action.

    Attributes:
        name: the key in the timeline.
        on_link: whether its target is a link (two ends) or one node.
        undo: the action that takes it back; empty for an action that takes something back itself.
        silent: the peers are not told: carrier stays.
        passing: it takes something away that comes back by itself: there is nothing to take back.
        needs: what it does besides its target; the key of that word, empty if nothing.
    """

    name: str
    on_link: bool
    undo: str = ""
    silent: bool = False
    passing: bool = False
    needs: str = ""

    @property
    def breaks(self) -> bool:
        """Whether it takes something away: a fail-over is counted for it."""
        return bool(self.undo) or self.passing


ACTIONS: Mapping[str, ActionKind] = {
    kind.name: kind
    for kind in (
        ActionKind("power-off", on_link=False, undo="power-on"),
        ActionKind("power-on", on_link=False),
        # A power-off that a node's cluster manager asks for.
        ActionKind("fence", on_link=False, undo="power-on", needs="for"),
        ActionKind("link-cut", on_link=True, undo="link-restore"),
        ActionKind("link-blackhole", on_link=True, undo="link-restore", silent=True),
        ActionKind("link-restore", on_link=True),
        ActionKind("node-blackhole", on_link=False, undo="node-restore", silent=True),
        ActionKind("node-restore", on_link=False),
        # A process comes back by its node's own supervisor.
        ActionKind("kill", on_link=False, silent=True, passing=True, needs="process"),
        ActionKind("gateway-drain", on_link=False, undo="gateway-undrain", silent=True),
        ActionKind("gateway-undrain", on_link=False),
        ActionKind("gateway-remove", on_link=False, undo="gateway-add", silent=True),
        ActionKind("gateway-add", on_link=False),
        ActionKind("overlay", on_link=False, needs="command"),
    )
}


@dataclass(frozen=True, slots=True)
class Action:
    """One thing done to the lab.

    Attributes:
        kind: a key of :data:`ACTIONS`.
        target: one node, or the two ends of a link (``node`` or ``node:interface``); none for a
            command of the overlay.
        mode: how power is lost (``cut``, ``graceful``, ``freeze``), which process is killed, the
            node that asks for another one to be fenced, the words of a command of the overlay; empty for
            other actions.
    """

    kind: str
    target: tuple[str, ...]
    mode: str = ""

    @property
    def label(self) -> str:
        """The target in one word: ``gw1``, or ``r1-gw1`` for a link."""
        return "-".join(self.target)

    @property
    def nodes(self) -> tuple[str, ...]:
        """The nodes that it touches."""
        return tuple(end.partition(":")[0] for end in self.target)

    @property
    def traits(self) -> dict[str, bool]:
        """What a verdict must know of it, as the journal carries it.

        Returns:
            ``breaks``: it takes something away, so a fail-over is counted for it. ``silent``: the peers
            keep their carrier. ``passes``: what it takes away comes back by itself.
        """
        kind = ACTIONS[self.kind]
        return {
            "breaks": kind.breaks,
            # A frozen node keeps its links up.
            "silent": kind.silent or self.mode == "freeze",
            "passes": kind.passing,
        }

    def undone(self) -> Action:
        """The action that takes this one back."""
        return Action(ACTIONS[self.kind].undo, self.target)

    def __str__(self) -> str:
        words = f"{self.kind} {' - '.join(self.target)}"
        return f"{words} ({self.mode})" if self.mode not in ("", "cut") else words


@dataclass(frozen=True, slots=True)
class Ready:
    """Wait until nodes say that they are ready; no names means every node that has power."""

    kind: ClassVar[str] = "ready"

    nodes: tuple[str, ...]
    within_ns: int

    def __str__(self) -> str:
        return f"ready: {_names(self.nodes)} within {format_duration(self.within_ns)}"


@dataclass(frozen=True, slots=True)
class Loss:
    """No more than ``packets`` of the packets sent in a window of ``for_ns`` are lost.

    Attributes:
        streams: names; empty for all.
        packets: over all these streams together.
        for_ns: length of the window.
        within_ns: how long it is tried again with later windows; 0 for one try only.
    """

    kind: ClassVar[str] = "loss"

    streams: tuple[str, ...]
    packets: int
    for_ns: int
    within_ns: int = 0

    def __str__(self) -> str:
        return f"loss: {_names(self.streams)} at most {self.packets} in {format_duration(self.for_ns)}"


@dataclass(frozen=True, slots=True)
class EcmpPaths:
    """Wait until a node's kernel has at least ``paths`` live next hops towards another node."""

    kind: ClassVar[str] = "ecmp-paths"

    node: str
    to: str
    paths: int
    within_ns: int

    def __str__(self) -> str:
        paths = f"{self.paths} paths from {self.node} to {self.to}"
        return f"ecmp-paths: {paths} within {format_duration(self.within_ns)}"


@dataclass(frozen=True, slots=True)
class FirstReply:
    """Wait until a flow that nobody has seen before gets a reply; the time to the first reply is recorded.

    Attributes:
        source: node that asks, by ICMP echo with an identifier of its own.
        to: node whose loopback address is asked.
    """

    kind: ClassVar[str] = "first-reply"

    source: str
    to: str
    within_ns: int

    def __str__(self) -> str:
        return f"first-reply: {self.source} from {self.to} within {format_duration(self.within_ns)}"


@dataclass(frozen=True, slots=True)
class Wait:
    """Let time go by."""

    kind: ClassVar[str] = "wait"

    for_ns: int

    def __str__(self) -> str:
        return f"wait: {format_duration(self.for_ns)}"


Condition = Ready | Loss | EcmpPaths | FirstReply | Wait
"""``kind`` is the key in the scenario file, and what the journal calls it."""


@dataclass(frozen=True, slots=True)
class Step:
    """One entry of the timeline.

    Attributes:
        index: 0-based place in the timeline.
        action: what is done.
        at_ns: moment after the zero of the timeline; None if it waits for a condition.
        after: the condition that it waits for, or None.
        plus_ns: time between the condition's fulfilment and the action.
    """

    index: int
    action: Action
    at_ns: int | None = None
    after: Condition | None = None
    plus_ns: int = 0

    def __str__(self) -> str:
        if self.at_ns is not None:
            return f"{self.action} at {format_duration(self.at_ns)}"
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


def _names(names: tuple[str, ...]) -> str:
    return ", ".join(names) or "all"
