"""Input and output of the probe: frozen data, times in nanoseconds.

Terms are those of RFC 3357 (loss period, loss distance), RFC 4737 (reordering), RFC 5560
(duplication) and RFC 6412 (loss-derived convergence time). Every time is CLOCK_MONOTONIC.
"""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = [
    "PAUSE_NS",
    "FlowTally",
    "GeneratorHealth",
    "LossPeriod",
    "ReceiverHealth",
    "Stream",
    "StreamTally",
]

PAUSE_NS = 5_000_000
"""A packet that leaves later than so much behind schedule is part of a stall of the sender."""


@dataclass(frozen=True, slots=True)
class Stream:
    """One direction of traffic: many flows (5-tuples) between two nodes.

    Attributes:
        name: unique in the scenario.
        source: node that sends.
        destination: node that receives.
        source_address: IPv4 or IPv6 address in text.
        destination_address: of the same family.
        proto: ``udp`` or ``icmp`` (echo; the answer is what is counted).
        rate_pps: packets a second over all flows together.
        flows: number of 5-tuples; packets take them in turn, so that each flow is a periodic
            stream (RFC 3432) of ``rate_pps / flows``.
        size: bytes of IP packet.
        destinations: of ``icmp``: an address a flow in the place of ``destination_address``; empty
            where all flows have that one.
    """

    name: str
    source: str
    destination: str
    source_address: str
    destination_address: str
    proto: str = "udp"
    rate_pps: float = 1000.0
    flows: int = 1
    size: int = 128
    destinations: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LossPeriod:
    """Consecutive lost packets of one flow (RFC 3357).

    Attributes:
        first_seq: first lost sequence number of the flow.
        count: lost packets in a row.
        start_ns: departure time of the first lost packet.
        end_ns: departure time of the last lost packet.
        outage_ns: from the arrival of the last packet before to the arrival of the first after,
            less one packet spacing: the loss-derived outage. 0 < true outage < outage_ns + error_ns.
            Where nothing arrived after, it reaches to the end of the stream and ``open`` is true.
        error_ns: plus or minus: the flow's packet spacing.
        open: the period had not ended when the stream did.
        sent_ns: departure time of each lost packet; complete up to 1000, then the first 1000.
    """

    first_seq: int
    count: int
    start_ns: int
    end_ns: int
    outage_ns: int
    error_ns: int
    open: bool = False
    sent_ns: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class FlowTally:
    """What became of one flow.

    Attributes:
        gaps: ``(from_ns, to_ns)`` of each interval between two arrivals that is longer than two packet
            spacings, the longest 1000, in order; None where arrivals were not looked at.
        open_gap: the last of them reaches to the end of the span.
    """

    flow: int
    source_port: int
    destination_port: int
    sent: int
    received: int
    lost: int
    duplicated: int
    reordered: int
    losses: tuple[LossPeriod, ...] = ()
    gaps: tuple[tuple[int, int], ...] | None = None
    open_gap: bool = False


@dataclass(frozen=True, slots=True)
class GeneratorHealth:
    """How exactly the sender kept its schedule.

    Attributes:
        due: packets that the schedule asked for.
        refused: packets that the kernel refused to take (no route, no buffer): these left nothing
            on the wire and count as sent and lost, since the user's application would see the same.
        skipped: packets that were due and never tried: the generator's own loss.
        late_p50_ns, late_p99_ns, late_max_ns: departure behind schedule.
        pauses: ``(start_ns, length_ns)`` of each stall longer than the bound, 5 ms.
        refusals: why the kernel refused, by errno's name, since the traffic began.
        priority: what the sender was granted: ``fifo``, ``nice -20`` or ``normal``.
    """

    due: int
    refused: int
    skipped: int
    late_p50_ns: int
    late_p99_ns: int
    late_max_ns: int
    pauses: tuple[tuple[int, int], ...] = ()
    refusals: tuple[tuple[str, int], ...] = ()
    priority: str = ""


@dataclass(frozen=True, slots=True)
class ReceiverHealth:
    """Losses of the measurement itself since the traffic began.

    Attributes:
        overflowed: packets that the kernel had for the receiver and could not keep.
        foreign: packets that came to the receiver and are not of this stream.
        backlog_dropped: packets that this machine's kernel dropped between two interfaces because
            it could not keep up (``softnet_stat``): counted for the whole machine, not the stream.
        clock_drift_ns: how far the clock of the kernel's time stamps moved against the one clock.
    """

    overflowed: int = 0
    foreign: int = 0
    backlog_dropped: int = 0
    clock_drift_ns: int = 0


@dataclass(frozen=True, slots=True)
class StreamTally:
    """One stream over one span of time.

    Attributes:
        delay_p50_ns, delay_p99_ns, delay_max_ns: one-way delay (RFC 7679), departure to the
            kernel's receive time stamp; 0 if nothing arrived.
        departures: digest of all departures after the first: two streams with the same are one; empty
            where nobody made it.
        late: packets that arrived too late to count as received (RFC 7680); None where nobody looked.
    """

    stream: Stream
    start_ns: int
    end_ns: int
    sent: int
    received: int
    lost: int
    duplicated: int
    reordered: int
    delay_p50_ns: int
    delay_p99_ns: int
    delay_max_ns: int
    generator: GeneratorHealth
    receiver: ReceiverHealth
    flows: tuple[FlowTally, ...] = field(default_factory=tuple)
    departures: str = ""
    late: int | None = None
