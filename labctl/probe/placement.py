"""Checks streams, assigns them to helper processes, and bounds the memory of their records."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from labctl.errors import ProbeError
from labctl.probe import payload, spec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from labctl.probe.types import Stream

__all__ = ["check", "duration_s", "packets", "sender_groups"]

TOGETHER_PPS = 20_000
"""Up to this total, all streams leave from one process: fewer wake-ups, one real-time task."""

_MOST_FLOWS = 4096
_MOST_PPS = 2_000_000.0
_DEFAULT_S = 3600.0
_BYTES_A_PACKET = 8 + 2 * 16  # one departure; room for every packet to arrive twice


def check(streams: Sequence[Stream]) -> None:
    """Check that every stream is valid by itself and that the streams can be told apart.

    Raises:
        ProbeError: one that does not, with its name.
    """
    if not streams:
        raise ProbeError("no stream was given: nothing would be sent")
    names: dict[int, str] = {}
    for stream in streams:
        number = payload.stream_id(stream.name)
        if number in names:
            raise ProbeError(
                f"streams {names[number]!r} and {stream.name!r} have the same packets: rename one"
            )
        names[number] = stream.name
        if stream.proto not in ("udp", "icmp"):
            raise ProbeError(f"stream {stream.name!r}: proto is {stream.proto!r}, must be 'udp' or 'icmp'")
        if not 1 <= stream.flows <= _MOST_FLOWS:
            raise ProbeError(f"stream {stream.name!r}: flows is {stream.flows}, must be 1 to {_MOST_FLOWS}")
        if not 0 < stream.rate_pps <= _MOST_PPS:
            raise ProbeError(
                f"stream {stream.name!r}: rate is {stream.rate_pps:g} pps, "
                f"must be above 0, at most {_MOST_PPS:g}"
            )
        if stream.destinations and (stream.proto != "icmp" or len(stream.destinations) != stream.flows):
            raise ProbeError(f"stream {stream.name!r}: destinations are for icmp, one a flow")
        spec.check_size(stream)


def duration_s(streams: Sequence[Stream], wanted_s: float | None, memory: int) -> float:
    """How long the traffic may last at most, so that its records fit into ``memory`` bytes.

    Raises:
        ProbeError: the wanted duration does not fit.
    """
    longest = memory / _BYTES_A_PACKET / sum(stream.rate_pps for stream in streams)
    if wanted_s is None:
        return min(_DEFAULT_S, longest)
    if wanted_s > longest:
        raise ProbeError(
            f"{wanted_s:g} s at this rate needs {wanted_s / longest * memory / 2**20:.0f} MiB of records, "
            f"{memory / 2**20:.0f} MiB are allowed: at most {longest:.0f} s, or a lower rate"
        )
    return wanted_s


def packets(stream: Stream, longest_s: float) -> int:
    """How many packets the stream has at most."""
    return int(stream.rate_pps * longest_s) + stream.flows


def sender_groups(streams: Sequence[Stream]) -> list[list[Stream]]:
    """Which streams leave from one process: all at low rates, else by node, a processor each."""
    if sum(stream.rate_pps for stream in streams) <= TOGETHER_PPS:
        return [list(streams)]
    nodes: dict[str, list[Stream]] = {}
    for stream in streams:
        nodes.setdefault(stream.source, []).append(stream)
    bins: list[list[Stream]] = [[] for _ in range(min(len(nodes), os.cpu_count() or 1))]
    for group in sorted(nodes.values(), key=_rate, reverse=True):
        min(bins, key=_rate).extend(group)
    return bins


def _rate(group: Sequence[Stream]) -> float:
    return sum(stream.rate_pps for stream in group)
