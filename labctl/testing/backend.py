"""A fake lab with a clock of its own: for tests of all code that runs on a lab.

Packets leave exactly on schedule and the test's rule says which are lost; nothing else is
invented: tallies are counted from those packets.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from labctl.errors import ActionError, ProbeError
from labctl.fault.types import CarrierChange, Effect
from labctl.lab.runtime import ExecResult
from labctl.probe.evidence import EndRecord, LostPackets
from labctl.probe.link_watch import Recorded, SeenFlows
from labctl.probe.ring import Passages
from labctl.probe.types import (
    FlowTally,
    GeneratorHealth,
    LossPeriod,
    ReceiverHealth,
    Stream,
    StreamTally,
)
from labctl.scenario.kinds.action import Power

if TYPE_CHECKING:
    from labctl.events import Listener
    from labctl.scenario.backend import RunningTraffic, Victim
    from labctl.scenario.kinds.action import Action

__all__ = [
    "DELAY_NS",
    "NOTHING_LOST",
    "FakeBackend",
    "FakeTraffic",
    "FakeWatch",
    "LossRule",
    "ManyLost",
    "Mask",
    "Numbers",
    "count",
    "count_arrays",
    "fates",
]

DELAY_NS = 200_000
"""One-way delay of every packet that arrives."""

LossRule = Callable[[Stream, int, int], bool]
"""(stream, flow, departure in ns) -> whether the packet is lost."""

Numbers = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class ManyLost:
    """A rule that is asked about many packets at once, for runs of hundreds of thousands.

    Attributes:
        many: (stream, flows, departures in ns) -> which of the packets are lost; arrays of one length.
    """

    many: Callable[[Stream, Numbers, Numbers], Mask]

    def __call__(self, stream: Stream, flow: int, t_ns: int) -> bool:
        """As any other rule."""
        one = self.many(stream, np.array([flow], np.int64), np.array([t_ns], np.int64))
        return bool(one[0])


NOTHING_LOST = ManyLost(lambda _stream, flows, _t_ns: np.zeros(len(flows), np.bool_))


def fates(rule: LossRule, stream: Stream, flows: Numbers, moments: Numbers) -> Mask:
    """Which packets a rule loses; arrays of one length in and out."""
    if isinstance(rule, ManyLost):
        return rule.many(stream, flows, moments)
    asked = zip(flows.tolist(), moments.tolist(), strict=True)
    return np.fromiter((rule(stream, flow, moment) for flow, moment in asked), np.bool_, len(flows))


@dataclass
class FakeBackend:
    """A lab that does what it is told, at once or when told to.

    Attributes:
        nodes: their names.
        lost: says which packets are lost; asked when they are counted.
        crossing: flows seen at the links of a node; all of every stream if a node is not named.
        watchable: whether the links can be recorded at all.
        boot_ns: from power-on to ready.
        never_ready: nodes that stay unready.
        failing: kinds of actions that raise.
        window_ns: from the first to the last carrier lost.
        done: what was done, with its moments.
        files: content by node and path.
        programs: what a command in a node does, by node and words.
        now: the clock.
        before: called before each action, with the backend and the action: tests interrupt here.
    """

    nodes: tuple[str, ...] = ()
    lost: LossRule = NOTHING_LOST
    crossing: Mapping[str, Mapping[str, set[int]]] = field(default_factory=dict)
    watchable: bool = True
    boot_ns: int = 2_000_000_000
    never_ready: frozenset[str] = frozenset()
    failing: frozenset[str] = frozenset()
    window_ns: int = 300_000
    generator: GeneratorHealth | None = None
    receiver: ReceiverHealth = field(default_factory=ReceiverHealth)
    done: list[tuple[str, int]] = field(default_factory=list)
    off: set[str] = field(default_factory=set)
    files: Mapping[tuple[str, str], bytes] = field(default_factory=dict)
    programs: Callable[[str, tuple[str, ...]], ExecResult] = lambda _node, _argv: ExecResult(0, b"", b"")
    ready_at: dict[str, int] = field(default_factory=dict)
    now: int = 1_000_000_000_000
    before: Callable[[FakeBackend, Action[Any]], None] = lambda _backend, _action: None

    def now_ns(self) -> int:
        """The clock; looking at it takes a microsecond."""
        self.now += 1_000
        return self.now

    def sleep_until(self, t_ns: int) -> None:
        """Time flies."""
        self.now = max(self.now, t_ns)

    def unready(self, node: str) -> str:
        """As told."""
        if node in self.never_ready:
            return "it never will be"
        if node in self.off:
            return "it has no power"
        return "" if self.now >= self.ready_at.get(node, 0) else "still booting"

    def paths(self, node: str, to: str) -> int:
        """As many as there are nodes with power beside the two."""
        if node in self.off:
            raise ActionError(f"{node} is off")
        return len([other for other in self.nodes if other not in {node, to} | self.off])

    def address(self, node: str, family: int) -> str:
        """By the node's place."""
        number = self.nodes.index(node) + 1
        return f"10.255.0.{number}" if family == 4 else f"fd00::{number}"  # noqa: PLR2004 - IP version

    def execute(self, node: str, argv: Sequence[str], timeout_s: float) -> ExecResult:  # noqa: ARG002 - part of the seam
        """As ``programs`` answers."""
        if node in self.off:
            raise ActionError(f"{node} is not running")
        self.done.append((f"exec {node}: {' '.join(argv)}", self.now))
        return self.programs(node, tuple(argv))

    def read(self, node: str, path: str) -> bytes:
        """As ``files`` says."""
        if node in self.off or (node, path) not in self.files:
            raise ActionError(f"{node}: no {path}")
        return self.files[node, path]

    def first_reply(self, node: str, to: str, within_ns: int) -> int | None:
        """At once, unless one of the two has no power."""
        self.now += 1_000_000 if (answered := not self.off & {node, to}) else within_ns
        return 1_000_000 if answered else None

    def start_traffic(self, streams: Sequence[Stream]) -> FakeTraffic:
        """From now on."""
        return FakeTraffic(self, tuple(streams), self.now)

    def watch(
        self,
        victims: Sequence[Victim],  # noqa: ARG002 - part of the seam
        traffic: RunningTraffic,  # noqa: ARG002 - part of the seam
        streams: Sequence[Stream],
    ) -> FakeWatch:
        """Sees what ``crossing`` says."""
        if not self.watchable:
            raise ProbeError("nobody can watch here")
        return FakeWatch(self, tuple(streams))

    def act(self, action: Action[Any], listen: Listener) -> Effect:  # noqa: ARG002 - part of the seam
        """Noted, and powers noted too."""
        self.before(self, action)
        if action.name in self.failing:
            raise ActionError(f"{action.name} is set up to fail")
        requested = self.now
        first, last = requested + 1_000_000, requested + 1_000_000 + self.window_ns
        self.now = last + 2_000_000
        if action.power is Power.OFF:
            self.off.add(action.target[0])
        elif action.power is Power.ON:
            self.off.discard(action.target[0])
            self.ready_at[action.target[0]] = self.now + self.boot_ns
        self.done.append((f"{action.name} {action.label}", requested))
        carriers = (CarrierChange("peer1", "eth1", first), CarrierChange("peer2", "eth1", last))
        return Effect(action.name, action.label, requested, first, last, self.now, carriers)

    def undo_all(self, listen: Listener) -> None:  # noqa: ARG002 - part of the seam
        """All power back."""
        self.off.clear()
        self.done.append(("undo-all", self.now))


@dataclass
class FakeWatch:
    """Has seen what its backend says: each flow that crosses, and no transmission of a lost packet."""

    backend: FakeBackend
    streams: tuple[Stream, ...]
    held: dict[int, Victim] = field(default_factory=dict)
    told: dict[int, tuple[int, int, int]] = field(default_factory=dict)
    refreshed: int = 0
    closed: bool = False

    def add(self, victims: Sequence[Victim]) -> None:
        """Sees every victim anyhow."""

    def hold(self, key: int, victim: Victim) -> None:
        """Remembered."""
        self.held[key] = victim

    def record_until(self, key: int, *, told_ns: int, closed_ns: int, span_ns: int) -> None:
        """Remembered."""
        self.told[key] = (told_ns, closed_ns, span_ns)

    def recorded(self, key: int) -> Recorded:
        """As told."""
        told_ns, closed_ns, span_ns = self.told[key]
        flows: dict[str, set[int]] = {stream.name: set() for stream in self.streams}
        for name in self.held[key].names:
            everything = {stream.name: set(range(stream.flows)) for stream in self.streams}
            for stream, numbers in self.backend.crossing.get(name.partition(":")[0], everything).items():
                flows[stream] |= numbers
        crossing = SeenFlows(
            told_ns - span_ns, told_ns, {name: frozenset(found) for name, found in flows.items()}, 0
        )
        end = EndRecord("peer1", "eth1", 0, told_ns - 2 * span_ns, closed_ns, 0, Passages.none())
        return Recorded(crossing, (end,), self.streams, told_ns, of_link=self.held[key].of_link)

    def refresh(self) -> None:
        """Counted."""
        self.refreshed += 1

    def close(self) -> None:
        """Remembered."""
        self.closed = True


@dataclass
class FakeTraffic:
    """Packets on schedule since ``start``."""

    backend: FakeBackend
    streams: tuple[Stream, ...]
    start: int
    closed: bool = False
    session: int = 1
    _last: tuple[tuple[int, int, int, int], tuple[StreamTally, ...]] | None = None

    def lost(self) -> dict[str, LostPackets]:
        """By the same rule as the tallies."""
        found = {}
        for tally in self.window(self.start, self.backend.now):
            pairs = [
                (flow.flow, period.first_seq + index)
                for flow in tally.flows
                for period in flow.losses
                for index in range(period.count)
            ]
            numbers = np.array(pairs, dtype=np.int64).reshape(-1, 2)
            found[tally.stream.name] = LostPackets(numbers[:, 0], numbers[:, 1])
        return found

    def window(self, start_ns: int, end_ns: int) -> tuple[StreamTally, ...]:
        """Count a span."""
        begin, end = max(start_ns, self.start), min(end_ns, self.backend.now)
        # At one moment of the fake clock a span has one count, which several parts of a run ask for.
        key = (begin, end, self.backend.now, len(self.backend.done))
        if self._last is None or self._last[0] != key:
            self._last = key, tuple(self._counted(stream, begin, end) for stream in self.streams)
        return self._last[1]

    def stop(self, *, drain_s: float) -> tuple[StreamTally, ...]:
        """Count everything."""
        tallies = self.window(self.start, self.backend.now)
        self.backend.sleep_until(self.backend.now + int(drain_s * 1e9))
        return tallies

    def close(self) -> None:
        """Remembered, so that a test can ask."""
        self.closed = True

    def _counted(self, stream: Stream, start: int, end: int) -> StreamTally:
        spacing = 1e9 / stream.rate_pps
        # One more at each end than fit by reckoning, for what rounding moves across.
        first, last = (round((moment - self.start) / spacing) for moment in (start, end))
        numbers = np.arange(first, last + 2, dtype=np.int64)
        moments = self.start + np.rint(numbers * spacing).astype(np.int64)
        inside = (moments >= start) & (moments < end)
        numbers, moments = numbers[inside], moments[inside]
        flows = numbers % stream.flows
        lost = fates(self.backend.lost, stream, flows, moments)
        tally = count_arrays(stream, flows, moments, lost, (start, end))
        return tally if self.backend.generator is None else _with_health(tally, self.backend)


def count(
    stream: Stream,
    packets: Sequence[tuple[int, int]],
    lost: Callable[[int, int], bool],
    start_ns: int,
    end_ns: int,
) -> StreamTally:
    """Count packets as the probe does.

    Args:
        stream: that they belong to.
        packets: ``(flow, departure)`` in the order of departure.
        lost: says of a flow and a departure whether that packet is lost.
        start_ns: begin of the span.
        end_ns: end of the span.
    """
    numbers = np.array(packets, dtype=np.int64).reshape(-1, 2)
    flows, moments = numbers[:, 0], numbers[:, 1]
    gone = fates(lambda _stream, flow, moment: lost(flow, moment), stream, flows, moments)
    return count_arrays(stream, flows, moments, gone, (start_ns, end_ns))


def count_arrays(
    stream: Stream, of_flow: Numbers, moments: Numbers, lost: Mask, span_ns: tuple[int, int]
) -> StreamTally:
    """As :func:`count`, of arrays of one length: flow, departure, whether it is lost."""
    flows = []
    start_ns, end_ns = span_ns
    spacing = int(stream.flows * 1e9 / stream.rate_pps)
    for flow in range(stream.flows):
        mine = of_flow == flow
        sent, gone = moments[mine], lost[mine]
        losses = int(np.count_nonzero(gone))
        flows.append(
            FlowTally(
                flow=flow,
                source_port=20000 + flow,
                destination_port=7,
                sent=len(sent),
                received=len(sent) - losses,
                lost=losses,
                duplicated=0,
                reordered=0,
                losses=_periods(sent, gone, spacing, end_ns) if losses else (),
            )
        )
    received = sum(flow.received for flow in flows)
    delay = DELAY_NS if received else 0
    return StreamTally(
        stream=stream,
        start_ns=start_ns,
        end_ns=end_ns,
        sent=len(moments),
        received=received,
        lost=sum(flow.lost for flow in flows),
        duplicated=0,
        reordered=0,
        delay_p50_ns=delay,
        delay_p99_ns=delay,
        delay_max_ns=delay,
        generator=GeneratorHealth(len(moments), 0, 0, 0, 0, 0),
        receiver=ReceiverHealth(),
        flows=tuple(flows),
    )


def _periods(sent: Numbers, gone: Mask, spacing: int, end_ns: int) -> tuple[LossPeriod, ...]:
    edges = np.flatnonzero(np.diff(np.concatenate(([0], gone.astype(np.int8), [0]))))
    moments = sent.tolist()
    periods = []
    for first, beyond in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        open_ = beyond == len(moments)
        after = end_ns if open_ else moments[beyond]
        before = moments[first - 1] if first else moments[first] - spacing
        periods.append(
            LossPeriod(
                first_seq=first,
                count=beyond - first,
                start_ns=moments[first],
                end_ns=moments[beyond - 1],
                outage_ns=max(after - before - spacing, 0),
                error_ns=spacing,
                open=open_,
                sent_ns=tuple(moments[first:beyond][:1000]),
            )
        )
    return tuple(periods)


def _with_health(tally: StreamTally, backend: FakeBackend) -> StreamTally:
    return replace(tally, generator=backend.generator or tally.generator, receiver=backend.receiver)
