"""The one table of facts of a run: stream x flow x fault x class; every figure is a query of it.

Made once from the journal's records. What is expected is judged from it, and what is shown is read
from it: no view counts for itself.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from labctl.verdict.attribution import LossClass, attribute, fault_windows, returned_ns
from labctl.verdict.crossing import Crossing, crossing_of, spacing_ns
from labctl.verdict.outages import FailoverOutage, failover_of, flow_outages
from labctl.verdict.schema import FactCell

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from labctl.probe.types import FlowTally, StreamTally
    from labctl.verdict.attribution import FaultWindow, LostPacket
    from labctl.verdict.record import RunRecord

__all__ = ["CONVERGENCE_LOSS", "IN_FLIGHT", "LOSS", "Population", "RunFacts", "Tally", "make_facts"]

IN_FLIGHT = frozenset({LossClass.IN_NODE, LossClass.DEAD_LINK})
CONVERGENCE_LOSS = frozenset({LossClass.CONVERGENCE, LossClass.REVERSION, LossClass.UNEXPLAINED})
LOSS = IN_FLIGHT | CONVERGENCE_LOSS
"""What ``loss`` counts: all but what was lost before the timeline."""

_GUARD_SPACINGS = 2
"""A stall of a sender matters until every flow has shown, by so many packets after the cut and after
its last loss, that it works again: what comes later hides nothing of it."""


@dataclass(frozen=True, slots=True)
class Tally:
    """Packets that a query counted; ``doubtful`` of them may be on the other side of in flight."""

    packets: int
    doubtful: int


@dataclass(frozen=True, slots=True)
class Population:
    """Flows of one stream that a fault could have hit: seen crossing its victim, or hit.

    Attributes:
        sure: they crossed or were hit.
        possible: these, and those that may have crossed.
    """

    sure: frozenset[int]
    possible: frozenset[int]


@dataclass(frozen=True, slots=True)
class RunFacts:
    """One run, told apart, before anything is expected of it.

    Attributes:
        cells: of each stream.
        crossings: by action, by stream: None where nobody can say.
        outages: of each stream: a row a flow and fail-over.
        packets: of each stream: lost packets by flow.
        windows: of each stream, by action.
        unjudged: streams that no expectation is about.
    """

    run: RunRecord
    cells: Mapping[str, tuple[FactCell, ...]]
    crossings: tuple[Mapping[str, Crossing | None], ...]
    outages: Mapping[str, tuple[FailoverOutage, ...]]
    packets: Mapping[str, Mapping[int, Sequence[LostPacket]]]
    windows: Mapping[str, Sequence[FaultWindow]]
    unjudged: frozenset[str]
    _hit: Mapping[tuple[int, str], frozenset[int]] = field(default_factory=dict)
    _out: Mapping[tuple[int, str], frozenset[int]] = field(default_factory=dict)
    _last_ns: Mapping[tuple[int, str], int] = field(default_factory=dict)

    @property
    def tallies(self) -> Mapping[str, StreamTally]:
        """What the probe counted, by stream."""
        return self.run.tallies

    def count(
        self,
        streams: Iterable[str],
        classes: Collection[str],
        *,
        faults: Collection[int] | None = None,
        chosen: Callable[[FactCell], bool] = lambda _cell: True,
    ) -> Tally:
        """Lost packets of some streams and classes; at some faults only, where these are given."""
        packets = doubtful = 0
        for name in streams:
            for cell in self.cells.get(name, ()):
                if cell.loss_class in classes and (faults is None or cell.fault in faults) and chosen(cell):
                    packets += cell.packets
                    doubtful += cell.doubtful
        return Tally(packets, doubtful)

    def hit(self, fault: int, name: str) -> frozenset[int]:
        """Flows of a stream that lost a packet to an action."""
        return self._hit.get((fault, name), frozenset())

    def last_loss_ns(self, fault: int, name: str) -> int:
        """Departure of the last packet of a stream that was lost to an action; 0 if none was."""
        return self._last_ns.get((fault, name), 0)

    def population(self, fault: int, name: str) -> Population:
        """Flows of a stream that a fault could have hit."""
        crossing = self.crossings[fault].get(name)
        sure = self.hit(fault, name) | self._out.get((fault, name), frozenset())
        if crossing is None:
            return Population(sure, sure)
        return Population(sure | (crossing.flows if crossing.sure else frozenset()), sure | crossing.flows)

    @property
    def breaking(self) -> tuple[int, ...]:
        """Indices of the actions that took something away."""
        return tuple(index for index, action in enumerate(self.run.actions) if action.breaks)

    def unmeasured(self, fault: int, streams: Iterable[str], *, by_hits: bool = False) -> str:
        """Why a fault says nothing of some streams; empty if it does.

        Args:
            fault: index of a breaking action.
            streams: their names.
            by_hits: a fault that hit a flow counts as measured, whoever saw what. To be shown, never
                for a verdict: a lost packet would make it better.
        """
        reasons = []
        for name in streams:
            if name not in self.tallies:
                continue
            reason = "" if by_hits and self.hit(fault, name) else self._unmeasured(fault, name)
            if not reason:
                return ""
            reasons.append(reason)
        return reasons[0] if reasons else "nothing was sent"

    def _unmeasured(self, fault: int, name: str) -> str:
        action, crossing = self.run.actions[fault], self.crossings[fault].get(name)
        if crossing is None:
            return "it was not observed which flows crossed the victim"
        if not crossing.flows:
            return "no flow crossed the victim"
        if not crossing.sure:
            return "parallel links: it was not observed which flows took the one that was cut"
        dark = returned_ns(self.run, action) - action.last_ns
        if dark < self._apart(name, crossing.flows) and not action.traits.passes:
            return "no packet of a crossing flow is sure to have left between the fault and the return"
        return ""

    def _apart(self, name: str, flows: frozenset[int]) -> int:
        """The longest time between two packets of some flows: they take their turns in order."""
        stream = self.tallies[name].stream
        places = sorted(flows)
        after = [*places[1:], places[0] + stream.flows]
        steps = [later - earlier for earlier, later in zip(places, after, strict=True)]
        return int(max(steps) * 1e9 / stream.rate_pps)

    def stalled(self, fault: int, name: str) -> int:
        """Nanoseconds for which a sender stalled between a fault and its proven end."""
        action = self.run.actions[fault]
        if not action.breaks:
            return 0
        return sum(start + length - max(start, action.told_ns) for start, length in self.pauses(fault, name))

    def pauses(self, fault: int, name: str) -> tuple[tuple[int, int], ...]:
        """Start and length of each stall of a sender that overlaps an action and its proven end."""
        action, tally = self.run.actions[fault], self.tallies[name]
        begin = action.told_ns
        end = max(action.last_ns, self.last_loss_ns(fault, name)) + _GUARD_SPACINGS * spacing_ns(tally.stream)
        return tuple(
            (start, length)
            for start, length in tally.generator.pauses
            if start < end and start + length > begin
        )

    def hidden(self, name: str) -> int:
        """Packets of a stream that could have been lost had they left when they were due."""
        tally = self.tallies[name]
        stalled = sum(self.stalled(fault, name) for fault in self.breaking)
        return -int(-stalled * tally.stream.rate_pps // 1e9) + tally.generator.skipped

    def late(self, name: str) -> int:
        """At most so many packets arrived after Tmax and were counted as received.

        That any did is known; not how many, nor whether they left after the timeline began.
        """
        tally = self.tallies[name]
        if tally.late is not None or tally.delay_max_ns <= self.run.header.tmax_ns:
            return 0
        return tally.received

    def off_path(self, cell: FactCell) -> bool:
        """Whether the flow of a cell did not cross what its fail-over took away."""
        fault = failover_of(self.run, cell.fault)
        if fault < 0:
            return True
        crossing = self.crossings[fault].get(cell.stream)
        return crossing is not None and cell.flow not in crossing.flows


def make_facts(run: RunRecord) -> RunFacts:
    """Make the table of a run."""
    crossings = tuple(
        {name: crossing_of(run, action, tally.stream) for name, tally in run.tallies.items()}
        for action in run.actions
    )
    windows = {name: fault_windows(run, tally) for name, tally in run.tallies.items()}
    packets = {
        name: {
            flow.flow: attribute(run, flow, name, windows[name], crossings)
            for flow in tally.flows
            if flow.lost
        }
        for name, tally in run.tallies.items()
    }
    cells = {name: tuple(_cells(name, tally.flows, packets[name])) for name, tally in run.tallies.items()}
    outages = {
        name: tuple(flow_outages(run, tally, windows[name], packets[name], crossings))
        for name, tally in run.tallies.items()
    }
    last: dict[tuple[int, str], int] = {}
    for name, by_flow in packets.items():
        for packet in (packet for lost in by_flow.values() for packet in lost):
            last[packet.fault, name] = max(last.get((packet.fault, name), 0), packet.t_ns)
    return RunFacts(
        run=run,
        cells=cells,
        crossings=crossings,
        outages=outages,
        packets=packets,
        windows=windows,
        unjudged=_unjudged(run),
        _hit=_flows(cell for rows in cells.values() for cell in rows),
        _out=_flows(row for rows in outages.values() for row in rows if row.lost),
        _last_ns=last,
    )


def _flows(rows: Iterable[FactCell | FailoverOutage]) -> dict[tuple[int, str], frozenset[int]]:
    """Flows by fault and stream."""
    found: dict[tuple[int, str], set[int]] = {}
    for row in rows:
        found.setdefault((row.fault, row.stream), set()).add(row.flow)
    return {key: frozenset(flows) for key, flows in found.items()}


def _cells(
    name: str, flows: Iterable[FlowTally], packets: Mapping[int, Sequence[LostPacket]]
) -> Iterator[FactCell]:
    for flow in flows:
        found: dict[tuple[int, LossClass, str], list[int]] = {}
        for packet in packets.get(flow.flow, ()):
            key = (packet.fault, packet.loss_class, str(packet.rule))
            counts = found.setdefault(key, [0, 0])
            counts[0] += 1
            counts[1] += packet.doubtful
        missing = flow.lost - sum(count for count, _ in found.values())
        if missing > 0:
            # Lost in periods that were too many to be listed.
            found.setdefault((-1, LossClass.UNEXPLAINED, "time"), [0, 0])[0] += missing
        for (fault, loss_class, rule), (count, doubtful) in found.items():
            yield FactCell(name, flow.flow, fault, loss_class.value, rule, count, doubtful)


def _unjudged(run: RunRecord) -> frozenset[str]:
    """Streams that no expectation names: the pings to a node that is to die, say."""
    if not run.header.expect:
        return frozenset()
    return frozenset(run.header.streams) - {name for one in run.header.expect for name in one.streams}
