"""Lost packets told apart: each in exactly one class, by evidence where there is any.

*In flight* is a packet that was on the victim's links or inside it when it failed, by what was seen
at the links' other ends (:mod:`labctl.verdict.evidence`). Where nothing was seen, time alone says
which packets may have been in flight, and each of those is *doubtful*: it may as well be convergence
loss, and the doubt widens what is judged. It may have been in flight if it left

* no earlier than one path delay before the kernel was told of the fault, never before an earlier
  fault in force had taken its effect, and
* no later than one path delay after the last carrier was lost;

and of each flow no more packets than leave within one path delay, the time the cut took and the time
for which a neighbour goes on sending: whatever stands at the victim at one moment left within that.

The path delay is the 99th percentile of the stream's one-way delays in the second before the fault;
at the earlier end ten times that, if any packet took so long, since that only adds doubt. A fault
that the peers are not notified of (a frozen node, a black hole) has nothing in flight, nor has a return.
A flow that surely did not cross the victim has nothing in flight at it.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from labctl.verdict.evidence import DEAD_LINK_NS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from labctl.probe.types import FlowTally, LossPeriod, StreamTally
    from labctl.verdict.crossing import Crossing
    from labctl.verdict.evidence import Evidence, Transmission
    from labctl.verdict.record import ActionRecord, RunRecord

__all__ = [
    "HORIZON_NS",
    "AttributionRule",
    "FaultWindow",
    "LossClass",
    "LostPacket",
    "attribute",
    "fault_windows",
    "lost_packets",
    "owner_of",
    "path_delay",
    "returned_ns",
]

HORIZON_NS = 10_000_000_000
"""A loss later than this after an action that is no longer in force is not put down to it: longer
than any timer of the routing at hand (BGP hold time 3 s, gateway opening 4 s after its return)."""

LONGEST_DELAYS = 10
"""So many path delays a packet may have been under way when a fault took effect, if any was so long."""


class LossClass(StrEnum):
    """Where and when a packet was lost."""

    IN_NODE = "in-flight-node"
    DEAD_LINK = "in-flight-link"
    CONVERGENCE = "convergence"
    REVERSION = "reversion"
    UNEXPLAINED = "unexplained"
    BEFORE = "before-timeline"


class AttributionRule(StrEnum):
    """What a packet was attributed by."""

    EVIDENCE = "evidence"
    TIME = "time"


@dataclass(frozen=True, slots=True)
class FaultWindow:
    """What time says of one action and one stream.

    Attributes:
        starts_ns, ends_ns: losses in this span are put down to the action, until the next one.
        from_ns, to_ns: packets that left in this span may have been in flight; empty if from > to.
        most_ns: those of one flow that were left within this.
    """

    starts_ns: int
    ends_ns: int
    from_ns: int
    to_ns: int
    most_ns: int

    def covers(self, t_ns: int) -> bool:
        """Whether a packet that left then may have been in flight."""
        return self.from_ns <= t_ns <= self.to_ns


@dataclass(slots=True)
class LostPacket:
    """One lost packet.

    Attributes:
        t_ns: its departure; of packets that are not listed one by one, evenly spread.
        fault: index of the action that it is put down to; -1: none.
        doubtful: it may as well be on the other side of in flight and convergence.
    """

    seq: int
    t_ns: int
    fault: int
    loss_class: LossClass
    rule: AttributionRule
    doubtful: bool = False


def path_delay(run: RunRecord, action: ActionRecord, tally: StreamTally) -> int:
    """One-way delay of a stream before an action, ns.

    Where nobody measured it, the median of the whole run.
    """
    for witness in run.witnesses:
        if witness.step == action.step and tally.stream.name in witness.delay_p99_ns:
            return witness.delay_p99_ns[tally.stream.name]
    return tally.delay_p50_ns


def fault_windows(run: RunRecord, tally: StreamTally) -> tuple[FaultWindow, ...]:
    """The window of each of a run's actions for one stream, in the order of the actions."""
    found: list[FaultWindow] = []
    for action in run.actions:
        delay = path_delay(run, action, tally)
        longest = max(delay, min(tally.delay_max_ns, LONGEST_DELAYS * delay))
        starts = min(action.requested_ns, action.told_ns) - delay
        # In the order of the actions, whatever their delays: the latest one owns what comes after it.
        starts = max(starts, found[-1].starts_ns) if found else starts
        ends = max(action.last_ns, action.done_ns, returned_ns(run, action)) + HORIZON_NS
        if not action.breaks or action.silent:
            found.append(FaultWindow(starts, ends, 1, 0, 0))
            continue
        earliest = action.told_ns - longest
        for before, window in zip(run.actions, found, strict=False):
            if before.breaks and returned_ns(run, before) > action.told_ns:
                earliest = max(earliest, min(max(window.to_ns, before.last_ns), action.told_ns))
        most = delay + max(action.last_ns - action.told_ns, 0) + DEAD_LINK_NS
        found.append(FaultWindow(starts, ends, earliest, action.last_ns + delay, most))
    return tuple(found)


def returned_ns(run: RunRecord, action: ActionRecord) -> int:
    """When what an action took away was given back; the end of the traffic if it never was."""
    if not action.breaks or action.traits.passes:
        return action.done_ns
    later = run.actions[run.actions.index(action) + 1 :]
    for one in later:
        if not one.breaks and one.target == action.target:
            return one.first_ns
    return max((tally.end_ns for tally in run.tallies.values()), default=action.done_ns)


def lost_packets(period: LossPeriod) -> Iterator[tuple[int, int]]:
    """Number and departure of each packet of a loss period; those beyond the listed evenly spread."""
    listed = period.sent_ns
    for place, t_ns in enumerate(listed):
        yield period.first_seq + place, t_ns
    missing = period.count - len(listed)
    begin = listed[-1] if listed else period.start_ns
    for place in range(1, missing + 1):
        yield period.first_seq + len(listed) + place - 1, begin + (period.end_ns - begin) * place // missing


def attribute(
    run: RunRecord,
    flow: FlowTally,
    name: str,
    windows: Sequence[FaultWindow],
    crossings: Sequence[Mapping[str, Crossing | None]],
) -> list[LostPacket]:
    """Attribute each lost packet of one flow.

    Args:
        run: its actions and evidence.
        flow: what became of the flow.
        name: of its stream.
        windows: of each action, for this stream.
        crossings: of each action, by stream.

    Returns:
        One record a lost packet that a loss period tells of, in order of departure.
    """
    starts = [window.starts_ns for window in windows]
    packets = [
        _owned(run, windows, starts, seq, t_ns)
        for period in flow.losses
        for seq, t_ns in lost_packets(period)
    ]
    for index, action in enumerate(run.actions):
        if action.breaks and not action.silent:
            crossing = crossings[index].get(name)
            _settle(packets, _fault(run, index, windows[index], crossing, (name, flow.flow)))
    return packets


@dataclass(frozen=True, slots=True)
class _Fault:
    """One fault, as it bears upon one flow.

    Attributes:
        seen: sightings of the flow's lost packets, by number.
        whole: a packet that was not seen leaving did not leave onto a link of the victim.
        absent: the flow surely did not cross the victim.
    """

    index: int
    action: ActionRecord
    window: FaultWindow
    evidence: Evidence | None
    seen: Mapping[int, Transmission]
    whole: bool
    absent: bool


def _fault(
    run: RunRecord, index: int, window: FaultWindow, crossing: Crossing | None, key: tuple[str, int]
) -> _Fault:
    """Gather what is known of a fault and a flow; ``key``: its stream and number."""
    action = run.actions[index]
    evidence = run.evidence.get(action.step) if action.step >= 0 else None
    name, flow = key
    return _Fault(
        index=index,
        action=action,
        window=window,
        evidence=evidence,
        seen=evidence.lost.get(name, {}).get(flow, {}) if evidence else {},
        whole=evidence is not None and evidence.complete(action.told_ns, action.last_ns, action.ends),
        absent=crossing is not None and crossing.exact and flow not in crossing.flows,
    )


def _owned(
    run: RunRecord, windows: Sequence[FaultWindow], starts: Sequence[int], seq: int, t_ns: int
) -> LostPacket:
    """A packet with the class that it has if it was not in flight."""
    if t_ns < run.zero_ns or not run.zero_ns:
        return LostPacket(seq, t_ns, -1, LossClass.BEFORE, AttributionRule.TIME)
    index = owner_of(windows, starts, t_ns)
    if index < 0:
        return LostPacket(seq, t_ns, -1, LossClass.UNEXPLAINED, AttributionRule.TIME)
    loss_class = LossClass.CONVERGENCE if run.actions[index].breaks else LossClass.REVERSION
    return LostPacket(seq, t_ns, index, loss_class, AttributionRule.TIME)


def owner_of(windows: Sequence[FaultWindow], starts: Sequence[int], t_ns: int) -> int:
    """The latest action that something at a moment may be put down to; -1: none.

    Args:
        windows: of each action.
        starts: ``starts_ns`` of each window.
        t_ns: a departure.
    """
    index = bisect_right(starts, t_ns) - 1
    while index >= 0 and t_ns > windows[index].ends_ns:
        index -= 1
    return index


def _settle(packets: Sequence[LostPacket], fault: _Fault) -> None:
    """Tell which packets of a flow were in flight at one fault."""
    maybe: list[LostPacket] = []
    for packet in packets:
        if packet.loss_class is LossClass.BEFORE:
            continue
        sighting = fault.seen.get(packet.seq)
        if (sighting is not None or fault.whole) and packet.fault == fault.index:
            packet.rule = AttributionRule.EVIDENCE
        if sighting is not None:
            _by_sighting(packet, fault, sighting)
        elif not (fault.whole or fault.absent or _in_flight(packet)) and fault.window.covers(packet.t_ns):
            maybe.append(packet)
    for packet in _most_within(maybe, fault.window.most_ns):
        packet.fault = fault.index
        packet.loss_class = LossClass.IN_NODE if packet.t_ns <= fault.action.told_ns else LossClass.DEAD_LINK
        packet.rule, packet.doubtful = AttributionRule.TIME, True


def _in_flight(packet: LostPacket) -> bool:
    return packet.loss_class in (LossClass.IN_NODE, LossClass.DEAD_LINK)


def _by_sighting(packet: LostPacket, fault: _Fault, sighting: Transmission) -> None:
    """The rule of :mod:`labctl.verdict.evidence` for one packet."""
    evidence, action = fault.evidence, fault.action
    if evidence is None or sighting.back_ns or (_in_flight(packet) and not packet.doubtful):
        return
    after = sighting.left_ns - action.told_ns
    if after > 0:
        sure, possible = after <= DEAD_LINK_NS, after <= action.pull_ns + DEAD_LINK_NS
        loss_class = LossClass.DEAD_LINK
    else:
        # Without a measured way through the victim it is no longer than that from end to end.
        usual = evidence.transit_p99_ns or max(fault.window.to_ns - action.last_ns, 0)
        sure, possible = -after <= usual, -after <= max(usual, evidence.transit_max_ns)
        loss_class = LossClass.DEAD_LINK if action.on_link else LossClass.IN_NODE
    if possible:
        packet.fault, packet.loss_class, packet.rule = fault.index, loss_class, AttributionRule.EVIDENCE
        packet.doubtful = not sure


def _most_within(packets: Sequence[LostPacket], length_ns: int) -> Sequence[LostPacket]:
    """The most packets that left within one span of a length; the first such where there are several."""
    moments = [packet.t_ns for packet in packets]
    best = (0, 0)
    for first, t_ns in enumerate(moments):
        end = bisect_right(moments, t_ns + length_ns)
        if end - first > best[1] - best[0]:
            best = (first, end)
    return packets[best[0] : best[1]]
