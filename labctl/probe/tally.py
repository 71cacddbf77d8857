"""Derives losses from departures and arrivals: pure functions over arrays.

Loss periods are those of RFC 3357, reordering that of RFC 4737 (type P-reordered: a packet is
reordered if one with a higher sequence number of the same flow arrived before it; only first copies
count), duplication that of RFC 5560. A packet belongs to the span of time in which it departed. One that
arrives later than :data:`TMAX_NS` after that is lost (Tmax of RFC 7680), in mid-run as at the end.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from labctl.probe.evidence import LostPackets
from labctl.probe.schedule import CATCH_UP_NS
from labctl.probe.types import PAUSE_NS, FlowTally, GeneratorHealth, LossPeriod, ReceiverHealth, StreamTally

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from labctl.probe.schedule import Schedule
    from labctl.probe.types import Stream

__all__ = ["TMAX_NS", "Samples", "lost_packets", "outstanding", "tally"]

TMAX_NS = 1_000_000_000
"""A packet that arrives later than this after its departure is lost."""

_SLOP_NS = 10_000_000  # how far arrival times may be out of order in the log, clocks included
_LISTED = 1000  # departure times listed in one loss period
_PERIODS = 10_000  # loss periods listed of one flow: the longest
_GAPS = 1000  # gaps between arrivals listed of one flow: the longest
_DIGEST_DIGITS = 32

if TYPE_CHECKING:
    Ints = NDArray[np.int64]
    Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """The records of one stream.

    Attributes:
        schedule: when each packet was due.
        departures: ``(n,)``; of packet ``k``: 0 never tried, ``t`` departed, ``-t`` refused at t.
        arrivals: ``(m, 2)``; ``k`` and the receive time of each arrival, in order of arrival.
        source_ports: one a flow.
        destination_port: of all flows; 0 for ICMP.
        receiver: what the receiver itself lost.
        refusals: why the kernel refused packets, by errno's name.
        priority: what the sender was granted.
    """

    schedule: Schedule
    departures: Ints
    arrivals: Ints
    source_ports: Sequence[int]
    destination_port: int
    receiver: ReceiverHealth = field(default_factory=ReceiverHealth)
    refusals: tuple[tuple[str, int], ...] = ()
    priority: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class _Span:
    """The packets of one span of time, in order of departure; all arrays are of one length.

    Attributes:
        k: numbers of the packets that were tried.
        departed: when; positive for refused ones too.
        arrived: first copy; 0 if it never did.
    """

    k: Ints
    departed: Ints
    arrived: Ints
    refused: int
    late: int


def tally(stream: Stream, samples: Samples, start_ns: int, end_ns: int) -> StreamTally:
    """What became of the packets that departed in ``[start_ns, end_ns)``."""
    schedule = samples.schedule
    span, index, chosen, low = _span(samples, start_ns, end_ns)
    copies = np.bincount(index[:, 0] - low, minlength=len(chosen))[chosen]
    flow = span.k % schedule.flows
    here = span.arrived > 0
    counts = _Counts(
        sent=_per_flow(flow, schedule.flows),
        received=_per_flow(flow[here], schedule.flows),
        duplicated=_per_flow(flow, schedule.flows, np.maximum(copies - 1, 0)),
        reordered=_reordered(index[:, 0], chosen, low, schedule.flows),
    )
    delays = np.maximum(span.arrived[here] - span.departed[here], 0)
    p50, p99, most = _quantiles(delays)
    courses = _courses(span, counts, schedule, end_ns)
    flows = tuple(_flow_tally(samples, counts, number, course) for number, course in enumerate(courses))
    return StreamTally(
        stream=stream,
        start_ns=start_ns,
        end_ns=end_ns,
        sent=len(span.k),
        received=int(np.count_nonzero(here)),
        lost=len(span.k) - int(np.count_nonzero(here)),
        duplicated=int(counts.duplicated.sum()),
        reordered=int(counts.reordered.sum()),
        delay_p50_ns=p50,
        delay_p99_ns=p99,
        delay_max_ns=most,
        generator=_generator(samples, span, start_ns, end_ns),
        receiver=samples.receiver,
        flows=flows,
        departures=_digest(span.departed),
        late=span.late,
    )


def _digest(departed: Ints) -> str:
    """Of all departures after the first: no two streams of traffic leave at the same nanoseconds."""
    relative = departed - departed[:1] if len(departed) else departed
    return hashlib.sha256(relative.astype("<i8").tobytes()).hexdigest()[:_DIGEST_DIGITS]


def outstanding(samples: Samples, start_ns: int, end_ns: int) -> int:
    """How many of the packets due in ``[start_ns, end_ns)`` have not arrived so far, or were never sent."""
    span, _index, _chosen, _low = _span(samples, start_ns, end_ns)
    first = samples.schedule.first_at(start_ns)
    last = max(first, min(samples.schedule.first_at(end_ns), len(samples.departures)))
    skipped = int(np.count_nonzero(samples.departures[first:last] == 0))
    return int(np.count_nonzero(span.arrived == 0)) - span.late + skipped


def lost_packets(samples: Samples, start_ns: int, end_ns: int) -> LostPackets:
    """Which of the packets that departed in ``[start_ns, end_ns)`` never arrived in time."""
    span, _index, _chosen, _low = _span(samples, start_ns, end_ns)
    lost = span.k[span.arrived == 0]
    return LostPackets(lost % samples.schedule.flows, lost // samples.schedule.flows)


def _span(samples: Samples, start_ns: int, end_ns: int) -> tuple[_Span, Ints, Bools, int]:
    """The packets of a span, its arrivals, which of the packets due then were tried, and the first due."""
    schedule = samples.schedule
    # A packet departs at most CATCH_UP_NS behind its schedule, and never before it.
    low = schedule.first_at(start_ns - CATCH_UP_NS)
    high = min(max(schedule.first_at(end_ns), low), len(samples.departures))
    low = min(low, high)
    departures = samples.departures[low:high]
    departed = np.abs(departures)
    chosen = (departed >= start_ns) & (departed < end_ns) & (departures != 0)
    index = _arrivals_of(samples.arrivals, start_ns, low, high)
    arrived = np.zeros(high - low, dtype=np.int64)
    # Backwards, so that the first copy is written last.
    arrived[index[::-1, 0] - low] = index[::-1, 1]
    too_late = (arrived > 0) & (arrived - departed > TMAX_NS)
    arrived[too_late] = 0
    span = _Span(
        k=np.flatnonzero(chosen) + low,
        departed=departed[chosen],
        arrived=arrived[chosen],
        refused=int(np.count_nonzero(departures[chosen] < 0)),
        late=int(np.count_nonzero(too_late & chosen)),
    )
    return span, index, chosen, low


@dataclass(frozen=True, slots=True, eq=False)
class _Counts:
    """One number a flow."""

    sent: Ints
    received: Ints
    duplicated: Ints
    reordered: Ints


def _per_flow(flow: Ints, flows: int, weights: Ints | None = None) -> Ints:
    return np.bincount(flow, weights=weights, minlength=flows).astype(np.int64)


def _arrivals_of(arrivals: Ints, start_ns: int, low: int, high: int) -> Ints:
    """The rows of packets ``low`` to ``high``; those that departed at start_ns arrived after it."""
    first = int(np.searchsorted(arrivals[:, 1], start_ns - _SLOP_NS))
    rest = arrivals[first:]
    return rest[(rest[:, 0] >= low) & (rest[:, 0] < high)]


def _reordered(order: Ints, chosen: Bools, low: int, flows: int) -> Ints:
    """Reordered packets of each flow; ``order`` holds packet numbers in order of arrival."""
    if len(order) < 2 or bool(np.all(order[1:] > order[:-1])):  # noqa: PLR2004 - two make an order
        return np.zeros(flows, dtype=np.int64)
    _packets, first = np.unique(order, return_index=True)
    order = order[np.sort(first)]
    order = order[np.argsort(order % flows, kind="stable")]
    flow, sequence = order % flows, order // flows
    # One running maximum over all flows, one after the other: each begins above all before it.
    lifted = sequence + flow * (int(np.max(sequence)) + 1)
    behind = np.zeros(len(order), dtype=np.bool_)
    behind[1:] = lifted[1:] < np.maximum.accumulate(lifted)[:-1]
    behind &= chosen[order - low]
    return _per_flow(flow[behind], flows)


def _quantiles(values: Ints) -> tuple[int, int, int]:
    """Median, 99th percentile, maximum: values that occurred; zeros if there are none."""
    if not len(values):
        return 0, 0, 0
    p50, p99 = np.quantile(values, (0.5, 0.99), method="inverted_cdf")
    return int(p50), int(p99), int(np.max(values))


def _generator(samples: Samples, span: _Span, start_ns: int, end_ns: int) -> GeneratorHealth:
    schedule = samples.schedule
    first = schedule.first_at(start_ns)
    last = max(first, min(schedule.first_at(end_ns), len(samples.departures)))
    departures = samples.departures[first:last]
    late = span.departed - (schedule.start_ns + (span.k * schedule.period_ns).astype(np.int64))
    p50, p99, most = _quantiles(late)
    return GeneratorHealth(
        due=last - first,
        refused=span.refused,
        skipped=int(np.count_nonzero(departures == 0)),
        late_p50_ns=p50,
        late_p99_ns=p99,
        late_max_ns=most,
        pauses=_pauses(schedule, np.abs(departures), first, end_ns),
        refusals=samples.refusals,
        priority=samples.priority,
    )


def _pauses(schedule: Schedule, departed: Ints, first: int, end_ns: int) -> tuple[tuple[int, int], ...]:
    """Stalls: runs of packets that left more than PAUSE_NS behind schedule or were skipped.

    A stall lasts from when the first of them was due until the last of them departed, or, if
    that one was skipped, until the next one did.
    """
    due = schedule.start_ns + (np.arange(first, first + len(departed)) * schedule.period_ns).astype(np.int64)
    bad = (departed == 0) | (departed - due > PAUSE_NS)
    found = []
    for begin, end in _runs(bad):
        tried = departed[begin : end + 1]
        tried = tried[tried > 0]
        until = int(tried[-1]) if len(tried) else end_ns
        found.append((int(due[begin]), until - int(due[begin])))
    return tuple(found)


def _runs(mask: Bools) -> list[tuple[int, int]]:
    """Every run of true values as ``(first, one past the last)``."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], mask.view(np.int8), [0]))))
    return [(int(begin), int(end)) for begin, end in edges.reshape(-1, 2)]


def _flow_tally(samples: Samples, counts: _Counts, flow: int, course: _Course) -> FlowTally:
    sent, received = int(counts.sent[flow]), int(counts.received[flow])
    gaps, open_gap = _gaps(course)
    return FlowTally(
        flow=flow,
        source_port=samples.source_ports[flow],
        destination_port=samples.destination_port,
        sent=sent,
        received=received,
        lost=sent - received,
        duplicated=int(counts.duplicated[flow]),
        reordered=int(counts.reordered[flow]),
        losses=_losses(course) if sent > received else (),
        gaps=gaps,
        open_gap=open_gap,
    )


def _courses(span: _Span, counts: _Counts, schedule: Schedule, end_ns: int) -> list[_Course]:
    """The packets of each flow."""
    by_flow = np.argsort(span.k % schedule.flows, kind="stable")
    ends = np.cumsum(counts.sent)
    found = []
    for flow in range(schedule.flows):
        rows = by_flow[ends[flow] - counts.sent[flow] : ends[flow]]
        found.append(
            _Course(
                sequence=span.k[rows] // schedule.flows,
                departed=span.departed[rows],
                arrived=span.arrived[rows],
                spacing_ns=schedule.spacing_ns,
                end_ns=end_ns,
            )
        )
    return found


@dataclass(frozen=True, slots=True, eq=False)
class _Course:
    """The packets of one flow that were tried, in order; ``end_ns`` is when one stopped looking."""

    sequence: Ints
    departed: Ints
    arrived: Ints
    spacing_ns: int
    end_ns: int


def _gaps(course: _Course) -> tuple[tuple[tuple[int, int], ...], bool]:
    """Intervals in which nothing of one flow arrived, and whether the last one reaches to the end.

    An interval begins no earlier than one spacing before the next packet left: what the sender did
    not send is no gap of the network's. Only those longer than two spacings are told.
    """
    place = np.flatnonzero(course.arrived > 0)
    if not len(place):
        return (), False
    place = place[np.argsort(course.arrived[place], kind="stable")]
    begin, end = course.arrived[place], np.append(course.arrived[place][1:], course.end_ns)
    after = np.append(course.departed[1:], course.end_ns)[place]
    begin = np.maximum(begin, after - course.spacing_ns)
    found = np.flatnonzero(end - begin > 2 * course.spacing_ns)
    if len(found) > _GAPS:
        found = np.sort(found[np.argsort(begin[found] - end[found], kind="stable")[:_GAPS]])
    open_gap = bool(len(found)) and int(found[-1]) == len(place) - 1
    return tuple((int(begin[one]), int(end[one])) for one in found), open_gap


def _losses(course: _Course) -> tuple[LossPeriod, ...]:
    """The loss periods of one flow; where there are very many, the longest of them, in order."""
    runs = _runs(course.arrived == 0)
    if len(runs) > _PERIODS:
        runs = sorted(sorted(runs, key=lambda run: run[0] - run[1])[:_PERIODS])
    return tuple(_loss(course, begin, end) for begin, end in runs)


def _loss(course: _Course, begin: int, end: int) -> LossPeriod:
    """One loss period, packets ``begin`` to ``end - 1``.

    The break lies between two departures: after the last packet that got through and before the
    first lost one; the repair likewise. So where the sender itself was late the error bar grows
    beyond the nominal spacing to what the departures really leave open.
    """
    departed, arrived, spacing_ns = course.departed, course.arrived, course.spacing_ns
    first_ns, last_ns = int(departed[begin]), int(departed[end - 1])
    still_open = end == len(arrived)
    before = int(arrived[begin - 1]) + spacing_ns if begin else first_ns
    after = course.end_ns if still_open else int(arrived[end])
    gap_before = first_ns - int(departed[begin - 1]) if begin else spacing_ns
    gap_after = spacing_ns if still_open else int(departed[end]) - last_ns
    return LossPeriod(
        first_seq=int(course.sequence[begin]),
        count=end - begin,
        start_ns=first_ns,
        end_ns=last_ns,
        outage_ns=max(after - before, last_ns - first_ns),
        error_ns=max(spacing_ns, gap_before + gap_after - spacing_ns),
        open=still_open,
        sent_ns=tuple(int(t) for t in departed[begin : min(end, begin + _LISTED)]),
    )
