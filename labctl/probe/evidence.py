"""Attributes lost packets to a victim's links: pure functions over what the rings recorded.

A packet that a neighbour transmitted onto a link of the victim, and that did not come out of the victim
again, was lost in the victim or on its dead link (in-flight loss). A packet that no neighbour transmitted
there is convergence loss of the network. The evidence is the transmission, not the time of a carrier event,
which the kernel may deliver milliseconds late.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from labctl.probe import payload

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from labctl.probe.ring import Passages
    from labctl.probe.types import Stream

    Ints = NDArray[np.int64]

__all__ = ["EndRecord", "FaultEvidence", "LostPackets", "attribute_at_links"]

_MOST_STREAMS = 1 << 10


@dataclass(frozen=True, slots=True, eq=False)
class LostPackets:
    """The lost packets of one stream, in any order; arrays of one length."""

    flow: Ints
    sequence: Ints


@dataclass(frozen=True, slots=True, eq=False)
class EndRecord:
    """What one link end recorded round a fault.

    Attributes:
        node: that has the interface.
        interface: its name.
        side: 0 or 1: for a link, which of its two ends this is; 0 for each neighbour of a node.
        open_ns: recorded since; 0 if it could not be recorded at all.
        closed_ns: recorded until; 0 likewise.
        overrun: frames that found no room.
        passages: what passed.
    """

    node: str
    interface: str
    side: int
    open_ns: int
    closed_ns: int
    overrun: int
    passages: Passages


@dataclass(frozen=True, slots=True)
class FaultEvidence:
    """What the link ends recorded of one fault.

    Attributes:
        ends: each recorded end, as plain JSON: ``node``, ``interface``, ``open_ns``, ``closed_ns``,
            ``frames`` (probe packets recorded), ``overrun``.
        transit_p99_ns, transit_max_ns: from transmission onto a link of the victim until reception from
            it, of packets seen both ways in the second before the fault; 0, 0 if none was.
        lost: by stream, a row for each lost packet that was transmitted onto a link of the victim:
            ``[flow, sequence, leg, end, left_ns, back_ns]``. ``leg`` is 1 for an ICMP reply. ``end`` is
            the index of the last transmission's end. ``back_ns`` is when it was received from the victim
            afterwards (for a link: at the other end), 0 if never.
    """

    ends: tuple[dict[str, object], ...]
    transit_p99_ns: int
    transit_max_ns: int
    lost: dict[str, list[list[int]]]


@dataclass(frozen=True, slots=True, eq=False)
class _Seen:
    """All passages of all ends, with what tells one packet from another.

    Attributes:
        key: the packet: sequence number, flow, stream and leg in one number.
        end: index of the end where it passed.
        side: of that end.
    """

    key: Ints
    t_ns: Ints
    outgoing: NDArray[np.bool_]
    end: Ints
    side: Ints


def attribute_at_links(
    ends: Sequence[EndRecord],
    lost: Mapping[str, LostPackets],
    streams: Sequence[Stream],
    *,
    told_ns: int,
    of_link: bool,
) -> FaultEvidence:
    """Match the lost packets with the packets that passed the links of a victim.

    Args:
        ends: the far end of each link of the victim; for a link, both of its ends.
        lost: lost packets by stream.
        streams: that flow.
        told_ns: when the kernel was told of the fault; the transit is measured in the second before.
        of_link: the victim is a link: a packet transmitted at one end comes out at the other.
    """
    seen = _seen(ends, streams)
    transit = _transits(seen, told_ns, of_link=of_link)
    rows = {
        stream.name: found
        for index, stream in enumerate(streams)
        if stream.name in lost
        and (found := _rows(seen, _keys_of(lost[stream.name], stream, index), stream, of_link=of_link))
    }
    p99 = int(np.quantile(transit, 0.99, method="inverted_cdf")) if len(transit) else 0
    return FaultEvidence(
        ends=tuple(
            {
                "node": end.node,
                "interface": end.interface,
                "open_ns": end.open_ns,
                "closed_ns": end.closed_ns,
                "frames": len(end.passages),
                "overrun": end.overrun,
            }
            for end in ends
        ),
        transit_p99_ns=p99,
        transit_max_ns=int(np.max(transit)) if len(transit) else 0,
        lost=rows,
    )


def _key(sequence: Ints, flow: Ints, stream: Stream, index: int, leg: Ints) -> Ints:
    """Packet number of the stream, stream and leg in one integer; below 2**63 for any run."""
    number = sequence * stream.flows + flow
    return (number * _MOST_STREAMS + index) * 2 + leg


def _seen(ends: Sequence[EndRecord], streams: Sequence[Stream]) -> _Seen:
    parts: list[_Seen] = []
    for at, end in enumerate(ends):
        passages = end.passages
        for index, stream in enumerate(streams):
            of_stream = passages.where(passages.stream == payload.stream_id(stream.name))
            if not len(of_stream):
                continue
            icmp = stream.proto == "icmp"
            leg = of_stream.reply.astype(np.int64) if icmp else np.zeros(len(of_stream), dtype=np.int64)
            key = _key(of_stream.sequence, of_stream.flow, stream, index, leg)
            constant = np.ones(len(key), dtype=np.int64)
            parts.append(_Seen(key, of_stream.t_ns, of_stream.outgoing, at * constant, end.side * constant))
    if not parts:
        numbers = np.zeros(0, dtype=np.int64)
        return _Seen(numbers, numbers, np.zeros(0, dtype=np.bool_), numbers, numbers)
    joined = [np.concatenate([getattr(part, name) for part in parts]) for name in _Seen.__slots__]
    order = np.argsort(joined[1], kind="stable")
    return _Seen(*(array[order] for array in joined))


def _transits(seen: _Seen, told_ns: int, *, of_link: bool) -> Ints:
    """Times between transmission towards the victim and reception from it, in the second before."""
    recent = (seen.t_ns >= told_ns - 1_000_000_000) & (seen.t_ns < told_ns)
    out = np.flatnonzero(recent & seen.outgoing)
    back = np.flatnonzero(recent & ~seen.outgoing)
    _keys, first_out, first_back = np.intersect1d(seen.key[out], seen.key[back], return_indices=True)
    out, back = out[first_out], back[first_back]
    lasted = seen.t_ns[back] - seen.t_ns[out]
    through = lasted >= 0
    if of_link:
        through &= seen.side[out] != seen.side[back]
    return lasted[through]


def _keys_of(lost: LostPackets, stream: Stream, index: int) -> Ints:
    legs = (0, 1) if stream.proto == "icmp" else (0,)
    zeros = np.zeros(len(lost.flow), dtype=np.int64)
    return np.concatenate([_key(lost.sequence, lost.flow, stream, index, zeros + leg) for leg in legs])


def _rows(seen: _Seen, keys: Ints, stream: Stream, *, of_link: bool) -> list[list[int]]:
    """A row for each of these packets that was transmitted onto a link of the victim."""
    chosen = np.flatnonzero(np.isin(seen.key, keys))
    last_out: dict[int, int] = {}
    for row in chosen[seen.outgoing[chosen]]:
        last_out[int(seen.key[row])] = int(row)  # in order of time: the last one stays
    back: dict[int, int] = {}
    for row in chosen[~seen.outgoing[chosen]]:
        key = int(seen.key[row])
        left = last_out.get(key)
        if left is None or key in back or seen.t_ns[row] < seen.t_ns[left]:
            continue
        if of_link and seen.side[row] == seen.side[left]:
            continue
        back[key] = int(seen.t_ns[row])
    found = []
    for key, row in last_out.items():
        number = key // 2 // _MOST_STREAMS
        found.append(
            [
                number % stream.flows,
                number // stream.flows,
                key % 2,
                int(seen.end[row]),
                int(seen.t_ns[row]),
                back.get(key, 0),
            ]
        )
    return sorted(found)
