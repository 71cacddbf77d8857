"""Outages of each flow at each fault: the longest gap of arrivals, and the loss-derived time.

An outage is a flow's loss of connectivity (LoC) period of RFC 6412. It is told in two ways:

* the *longest gap*: from the arrival of the last packet before it to that of the first after it, less
  one packet spacing. A flow whose packets all arrive, but none for a second, has such a gap;
* the *loss-derived time* (RFC 6412, 6.2): lost packets times the packet spacing, which sees a flow
  that loses every second packet for three seconds.

A fail-over reaches from its fault to the next fault, its reversion included: an outage that lasts
into the return is one outage. One that lasts into the next fault counts at both.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from labctl.verdict.attribution import LossClass, owner_of
from labctl.verdict.crossing import spacing_ns

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from labctl.probe.types import FlowTally, StreamTally
    from labctl.verdict.attribution import FaultWindow, LostPacket
    from labctl.verdict.crossing import Crossing
    from labctl.verdict.record import RunRecord

__all__ = ["FailoverOutage", "failover_of", "flow_outages", "no_outage"]

_APART_NS = 1_000_000_000
"""Unexplained losses of a flow that are no further apart than this are one outage."""


@dataclass(frozen=True, slots=True)
class FailoverOutage:
    """One flow at one fail-over.

    Attributes:
        fault: index of the breaking action; -1 for what no fault accounts for.
        crossed: it was seen crossing the victim.
        lost: packets, in flight or not.
        gap_ns: longest gap of arrivals less one spacing, plus or minus ``gap_error_ns``.
        loss_derived_ns: lost packets times ``spacing_ns``, plus or minus that.
        last_loss_ns: departure of the last lost packet after the fault took effect; 0 without loss.
        open: an outage had not ended when the traffic did.
        arrivals: gaps of arrivals were looked at, and not only those around lost packets.
    """

    stream: str
    flow: int
    fault: int
    crossed: bool
    lost: int
    gap_ns: int
    gap_error_ns: int
    loss_derived_ns: int
    spacing_ns: int
    last_loss_ns: int
    open: bool
    arrivals: bool

    @property
    def outage_ns(self) -> int:
        """The longer of the two."""
        return max(self.gap_ns, self.loss_derived_ns)

    @property
    def error_ns(self) -> int:
        """Plus or minus, of the longer of the two."""
        return self.gap_error_ns if self.gap_ns >= self.loss_derived_ns else self.spacing_ns


def no_outage(stream: str, flow: int, spacing: int, *, arrivals: bool) -> FailoverOutage:
    """The row of a flow that no fault and no loss has touched."""
    return FailoverOutage(
        stream=stream,
        flow=flow,
        fault=-1,
        crossed=False,
        lost=0,
        gap_ns=0,
        gap_error_ns=spacing,
        loss_derived_ns=0,
        spacing_ns=spacing,
        last_loss_ns=0,
        open=False,
        arrivals=arrivals,
    )


@dataclass(slots=True)
class _Row:
    lost: int = 0
    gap_ns: int = 0
    gap_error_ns: int = 0
    derived: int = 0
    last_ns: int = 0
    open: bool = False


@dataclass(frozen=True, slots=True)
class _Gap:
    start_ns: int
    length_ns: int
    error_ns: int
    open: bool


def failover_of(run: RunRecord, owner: int) -> int:
    """The breaking action that an action belongs to: itself, or the last one before a return; -1: none."""
    while owner >= 0 and not run.actions[owner].breaks:
        owner -= 1
    return owner


@dataclass
class _Flow:
    """Collects the rows of one flow."""

    run: RunRecord
    windows: Sequence[FaultWindow]
    starts: Sequence[int]
    spacing: int
    rows: dict[int, _Row] = field(default_factory=dict)

    def row(self, fault: int) -> _Row:
        return self.rows.setdefault(fault, _Row())

    def take_gap(self, gap: _Gap) -> None:
        owner = failover_of(self.run, owner_of(self.windows, self.starts, gap.start_ns))
        self._longest(self.row(owner), gap)
        for index in range(owner + 1, len(self.run.actions)):
            action = self.run.actions[index]
            end = gap.start_ns + gap.length_ns
            if action.breaks and gap.start_ns < action.told_ns < end:
                self._longest(
                    self.row(index), _Gap(action.told_ns, end - action.told_ns, gap.error_ns, gap.open)
                )

    @staticmethod
    def _longest(row: _Row, gap: _Gap) -> None:
        row.open |= gap.open
        if gap.length_ns > row.gap_ns:
            row.gap_ns, row.gap_error_ns = gap.length_ns, gap.error_ns

    def take_packets(self, packets: Sequence[LostPacket]) -> None:
        cluster, before = 0, 0
        for packet in packets:
            if packet.loss_class is LossClass.BEFORE:
                continue
            owner = failover_of(self.run, packet.fault)
            row = self.row(owner)
            row.lost += 1
            row.last_ns = max(row.last_ns, packet.t_ns)
            if owner >= 0:
                row.derived += 1
                continue
            near = packet.t_ns - before <= max(_APART_NS, 10 * self.spacing)
            cluster = cluster + 1 if near else 1
            before = packet.t_ns
            row.derived = max(row.derived, cluster)


def flow_outages(
    run: RunRecord,
    tally: StreamTally,
    windows: Sequence[FaultWindow],
    packets: Mapping[int, Sequence[LostPacket]],
    crossings: Sequence[Mapping[str, Crossing | None]],
) -> Iterator[FailoverOutage]:
    """The rows of one stream: for each flow every fail-over that it crossed or was hit by.

    Args:
        run: its actions.
        tally: of the stream.
        windows: of each action, for this stream.
        packets: lost packets by flow.
        crossings: of each action, by stream.
    """
    name, spacing = tally.stream.name, spacing_ns(tally.stream)
    starts = [window.starts_ns for window in windows]
    seen = {
        index: crossing.flows
        for index, by_stream in enumerate(crossings)
        if (crossing := by_stream.get(name)) is not None
    }
    for flow in tally.flows:
        rows = _Flow(run, windows, starts, spacing)
        for gap in _gaps(run, tally, flow, spacing):
            rows.take_gap(gap)
        rows.take_packets(packets.get(flow.flow, ()))
        crossed = {index for index, flows in seen.items() if flow.flow in flows}
        for fault in sorted({*rows.rows, *crossed}):
            row = rows.rows.get(fault, _Row())
            told = run.actions[fault].told_ns if fault >= 0 else run.zero_ns
            yield FailoverOutage(
                stream=name,
                flow=flow.flow,
                fault=fault,
                crossed=fault in crossed,
                lost=row.lost,
                gap_ns=row.gap_ns,
                gap_error_ns=row.gap_error_ns or spacing,
                loss_derived_ns=row.derived * spacing,
                spacing_ns=spacing,
                last_loss_ns=max(row.last_ns - told, 0) if row.lost else 0,
                open=row.open,
                arrivals=flow.gaps is not None,
            )


def _gaps(run: RunRecord, tally: StreamTally, flow: FlowTally, spacing: int) -> Iterator[_Gap]:
    """Outages of one flow after the timeline's zero, from loss periods and from gaps of arrivals."""
    zero = run.zero_ns
    if not zero:
        return
    for period in flow.losses:
        start, length = max(period.start_ns, zero), period.outage_ns
        if period.end_ns >= zero:
            length = max(length - (start - period.start_ns), 0)
            yield _Gap(start, length, period.error_ns, period.open)
    for begin, end in flow.gaps or ():
        start = max(begin + spacing, zero)
        if end > start:
            last = flow.open_gap and end >= tally.end_ns
            yield _Gap(start, end - start, spacing, last)
