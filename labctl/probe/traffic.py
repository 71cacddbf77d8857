"""Traffic over a running lab: starts streams, tallies them while they run, stops them."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from labctl.errors import ProbeError
from labctl.events import now_ns
from labctl.probe import payload, placement, shared_memory, spec
from labctl.probe.backlog import backlog_dropped
from labctl.probe.helpers import Helper
from labctl.probe.schedule import Schedule
from labctl.probe.types import ReceiverHealth

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from types import TracebackType

    from labctl.probe.evidence import LostPackets
    from labctl.probe.tally import Samples
    from labctl.probe.types import Stream, StreamTally

__all__ = ["MEMORY_BYTES", "Traffic", "start_traffic"]

MEMORY_BYTES = 2 << 30
"""Records may take this much; pages that were never written cost nothing."""

_PATIENCE_S = 20.0  # for a helper to start, on a machine that boots thirty routers besides
_LEAD_NS = 20_000_000  # from the order to the first departure
_LATE_COPIES_S = 0.05  # how long to listen for duplicates when nothing is missing
_LOOK_S = 0.01
_FIRST_DESTINATION_PORT = 50000
_FIRST_SOURCE_PORT = 20000


@dataclass(slots=True, eq=False)
class _Flowing:
    """One stream under way: its two records and the ports that it got."""

    stream: Stream
    departures: shared_memory.SampleBuffer
    arrivals: shared_memory.SampleBuffer
    packets: int
    source_ports: list[int]
    destination_port: int = 0
    start_ns: int = 0
    stopped_ns: int = 0
    priority: str = ""
    backlog_before: int = field(default_factory=backlog_dropped)

    def schedule(self) -> Schedule:
        return Schedule(self.start_ns, 1e9 / self.stream.rate_pps, self.stream.flows)

    def health(self) -> ReceiverHealth:
        words = self.arrivals.words
        return ReceiverHealth(
            overflowed=words[shared_memory.OVERFLOWED] + words[shared_memory.UNLOGGED],
            foreign=words[shared_memory.FOREIGN],
            backlog_dropped=backlog_dropped() - self.backlog_before,
            clock_drift_ns=words[shared_memory.OFFSET_MAX] - words[shared_memory.OFFSET_MIN],
        )

    def refusals(self) -> tuple[tuple[str, int], ...]:
        counts = self.departures.words[shared_memory.ERRNO_AT : shared_memory.ERRNO_AT + 256]
        return tuple(
            (errno.errorcode.get(number, "?"), count) for number, count in enumerate(counts) if count
        )

    def samples(self) -> Samples:
        from labctl.probe.tally import Samples  # noqa: PLC0415 - numpy

        schedule = self.schedule()
        due = schedule.first_at(self.stopped_ns) if self.stopped_ns else self.packets
        return Samples(
            schedule=schedule,
            departures=self.departures.array()[: min(due, self.packets)],
            arrivals=self.arrivals.array().reshape(-1, 2)[: self.arrivals.words[shared_memory.COUNT]],
            source_ports=self.source_ports,
            destination_port=self.destination_port,
            receiver=self.health(),
            refusals=self.refusals(),
            priority=self.priority,
        )


class Traffic:
    """Streams under way. A context manager: leaving it ends every helper process.

    Attributes:
        started_ns: when the first packet of every stream is due.
        ends_ns: when the traffic ends by itself at the latest.
        session: number that every packet of it carries.
    """

    def __init__(
        self,
        flowing: Sequence[_Flowing],
        senders: Sequence[Helper],
        receivers: Sequence[Helper],
        cleanup: contextlib.ExitStack,
    ) -> None:
        self._flowing = tuple(flowing)
        self._senders = tuple(senders)
        self._receivers = tuple(receivers)
        self._cleanup = cleanup
        self._final: list[Samples] = []
        self._result: tuple[StreamTally, ...] | None = None
        self.started_ns = 0
        self.ends_ns = 0
        self.session = 0

    def own(self, cleanup: contextlib.ExitStack) -> None:
        """Take over the started helpers: from now on :meth:`close` undoes the start."""
        self._cleanup = cleanup

    @property
    def streams(self) -> tuple[Stream, ...]:
        """The streams, in the order given."""
        return tuple(each.stream for each in self._flowing)

    def window(self, start_ns: int, end_ns: int, *, drain_s: float = 0.5) -> tuple[StreamTally, ...]:
        """What became of the packets that departed in ``[start_ns, end_ns)``, traffic going on.

        Returns as soon as everything has arrived, at the latest ``drain_s`` after ``end_ns``: a
        packet that has not come by then counts as lost here, and may still count as received in
        the final tally.

        Raises:
            ProbeError: a helper process died, or the traffic ended before ``end_ns``.
        """
        if self._result is None and end_ns > self.ends_ns:
            raise ProbeError(f"the traffic ended by itself, after {self._length_s():g} s")
        deadline = end_ns + int(drain_s * 1e9)
        while True:
            self.check()
            late = now_ns() >= deadline
            if late or (now_ns() >= end_ns and self._all_arrived(start_ns, end_ns)):
                return self._tallies(start_ns, end_ns)
            time.sleep(_LOOK_S if now_ns() >= end_ns else min(drain_s, (end_ns - now_ns()) * 1e-9 + _LOOK_S))

    def stop(self, *, drain_s: float = 1.0) -> tuple[StreamTally, ...]:
        """End the traffic, wait up to ``drain_s`` for what is under way, and say what became of all.

        Again: the same answer.

        Raises:
            ProbeError: a helper process died, or the traffic had ended by itself before.
        """
        if self._result is not None:
            return self._result
        try:
            self.check()
            stop_ns = now_ns()
            if stop_ns > self.ends_ns:
                raise ProbeError(
                    f"the traffic ended by itself, after {self._length_s():g} s, before it was stopped"
                )
            for each in self._flowing:
                each.stopped_ns = each.departures.words[shared_memory.STOP_NS] = max(stop_ns, self.started_ns)
            for sender in self._senders:
                sender.finish(_PATIENCE_S)
            # What was due before the order to stop may have left a moment after it.
            end_ns = max(now_ns(), self.started_ns)
            self._drain(end_ns, drain_s)
            for each in self._flowing:
                each.arrivals.words[shared_memory.STOP] = 1
            for receiver in self._receivers:
                receiver.finish(_PATIENCE_S)
            self._final = [each.samples() for each in self._flowing]
            self._result = self._tallies(self.started_ns, end_ns)
        finally:
            self.close()
        return self._result

    def lost(self) -> dict[str, LostPackets]:
        """The packets that never arrived, by stream, once the traffic was stopped; none before.

        Which packets were lost is told by the same records that :meth:`stop` counted.
        """
        from labctl.probe.tally import lost_packets  # noqa: PLC0415 - numpy

        if self._result is None:
            return {}
        return {
            each.stream.name: lost_packets(samples, each.start_ns, each.end_ns)
            for each, samples in zip(self._result, self._final, strict=True)
        }

    def check(self) -> None:
        """See that every helper process lives.

        Raises:
            ProbeError: one died: what was measured since is worth nothing.
        """
        if self._result is None:
            for helper in (*self._senders, *self._receivers):
                helper.check()

    def helpers(self) -> tuple[tuple[str, int], ...]:
        """``("sender" or "receiver", process id)`` of every helper process."""
        return (
            *(("sender", helper.pid) for helper in self._senders),
            *(("receiver", helper.pid) for helper in self._receivers),
        )

    def close(self) -> None:
        """End every helper process now; what was sent and not tallied is forgotten."""
        self._cleanup.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _length_s(self) -> float:
        return (self.ends_ns - self.started_ns) / 1e9

    def _drain(self, end_ns: int, drain_s: float) -> None:
        begun = time.monotonic()
        time.sleep(min(drain_s, _LATE_COPIES_S))
        while time.monotonic() - begun < drain_s:
            if self._all_arrived(self.started_ns, end_ns):
                return
            time.sleep(_LATE_COPIES_S)

    def _all_arrived(self, start_ns: int, end_ns: int) -> bool:
        from labctl.probe.tally import outstanding  # noqa: PLC0415 - numpy

        samples = self._final or [each.samples() for each in self._flowing]
        return not any(outstanding(each, start_ns, end_ns) for each in samples)

    def _tallies(self, start_ns: int, end_ns: int) -> tuple[StreamTally, ...]:
        from labctl.probe.tally import tally  # noqa: PLC0415 - numpy

        samples = self._final or [each.samples() for each in self._flowing]
        return tuple(
            tally(stream, each, start_ns, end_ns) for stream, each in zip(self.streams, samples, strict=True)
        )


def start_traffic(
    netns_of: Callable[[str], Path],
    streams: Sequence[Stream],
    *,
    max_s: float | None = None,
    memory_bytes: int = MEMORY_BYTES,
) -> Traffic:
    """Start every stream at the same moment; returns when the first packets are about to leave.

    Args:
        netns_of: of a node's name, a path that setns() can open.
        streams: with different names.
        max_s: the traffic ends by itself after so long; by default as long as the memory for its
            records lasts, at most an hour.
        memory_bytes: bound on the memory for records.

    Raises:
        ProbeError: a stream that cannot be started, in one clear line.
    """
    placement.check(streams)
    longest_s = placement.duration_s(streams, max_s, memory_bytes)
    with contextlib.ExitStack() as passing, contextlib.ExitStack() as cleanup:
        nodes = {name for stream in streams for name in (stream.source, _receiving_node(stream))}
        netns = {name: _open_netns(netns_of, name, passing) for name in sorted(nodes)}
        flowing = _records(streams, longest_s, cleanup)
        by_name = {each.stream.name: each for each in flowing}
        receivers = [_receiver(flowing, netns)]
        cleanup.callback(receivers[0].close)
        sending = [[by_name[stream.name] for stream in group] for group in placement.sender_groups(streams)]
        senders = []
        for group in sending:
            senders.append(_sender(group, netns))
            cleanup.callback(senders[-1].close)
        session = secrets.randbits(32)
        receivers[0].send([_receiver_config(each, netns, session) for each in flowing])
        for group, sender in zip(sending, senders, strict=True):
            sender.send([_sender_config(each, netns) for each in group])
        spec.load_scapy()  # while the helpers start
        for each, port in zip(flowing, receivers[0].receive(_PATIENCE_S)["ports"], strict=True):
            each.destination_port = port
        for group, sender in zip(sending, senders, strict=True):
            for each, ports in zip(group, sender.receive(_PATIENCE_S)["ports"], strict=True):
                each.source_ports = ports
            sender.send([_templates(each, session) for each in group])
        traffic = Traffic(flowing, senders, receivers, cleanup)
        for group, sender in zip(sending, senders, strict=True):
            priority = sender.receive(_PATIENCE_S)["priority"]
            for each in group:
                each.priority = priority
        traffic.session = session
        traffic.started_ns = now_ns() + _LEAD_NS
        traffic.ends_ns = traffic.started_ns + int(longest_s * 1e9)
        for each in flowing:
            each.start_ns = traffic.started_ns
            each.departures.words[shared_memory.STOP_NS] = traffic.ends_ns
        for sender in senders:
            sender.send({"start_ns": traffic.started_ns})
        traffic.own(cleanup.pop_all())
    return traffic


def _open_netns(netns_of: Callable[[str], Path], node: str, passing: contextlib.ExitStack) -> int:
    path = netns_of(node)
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise ProbeError(
            f"{node}: its network namespace {path} cannot be opened: {error.strerror}"
        ) from error
    # Only until the helpers have it: an open descriptor would keep a namespace alive.
    passing.callback(os.close, fd)
    return fd


def _records(streams: Sequence[Stream], longest_s: float, cleanup: contextlib.ExitStack) -> list[_Flowing]:
    flowing = []
    next_port: dict[str, int] = {}
    for stream in streams:
        count = placement.packets(stream, longest_s)
        departures = shared_memory.SampleBuffer.new("labctl-departures", count)
        cleanup.callback(departures.close)
        arrivals = shared_memory.SampleBuffer.new("labctl-arrivals", 4 * count)
        cleanup.callback(arrivals.close)
        first = next_port.get(stream.source, _FIRST_SOURCE_PORT)
        next_port[stream.source] = first + stream.flows
        ports = list(range(first, first + stream.flows))
        if ports[-1] >= _FIRST_DESTINATION_PORT:
            raise ProbeError(f"stream {stream.name!r}: {stream.source} has no ports left for so many flows")
        flowing.append(_Flowing(stream, departures, arrivals, count, ports))
    return flowing


def _receiving_node(stream: Stream) -> str:
    return stream.source if stream.proto == "icmp" else stream.destination


def _receiver(flowing: Sequence[_Flowing], netns: dict[str, int]) -> Helper:
    nodes = sorted({_receiving_node(each.stream) for each in flowing})
    fds = [each.arrivals.fd for each in flowing] + [netns[node] for node in nodes]
    return Helper("labctl.probe.receiver", f"receiver of {', '.join(nodes)}", fds)


def _sender(group: Sequence[_Flowing], netns: dict[str, int]) -> Helper:
    nodes = sorted({each.stream.source for each in group})
    fds = [each.departures.fd for each in group] + [netns[node] for node in nodes]
    return Helper("labctl.probe.sender", f"sender of {', '.join(nodes)}", fds)


def _receiver_config(each: _Flowing, netns: dict[str, int], session: int) -> dict[str, Any]:
    stream = each.stream
    node = _receiving_node(stream)
    return {
        "name": stream.name,
        "node": node,
        "netns_fd": netns[node],
        "buffer_fd": each.arrivals.fd,
        "capacity": each.arrivals.capacity,
        "proto": stream.proto,
        "family": spec.family_of(stream),
        "address": stream.source_address if stream.proto == "icmp" else stream.destination_address,
        "port": _FIRST_DESTINATION_PORT,
        "session": session,
        "stream": payload.stream_id(stream.name),
        "flows": stream.flows,
        "packets": each.packets,
    }


def _sender_config(each: _Flowing, netns: dict[str, int]) -> dict[str, Any]:
    stream = each.stream
    return {
        "name": stream.name,
        "node": stream.source,
        "netns_fd": netns[stream.source],
        "buffer_fd": each.departures.fd,
        "capacity": each.departures.capacity,
        "proto": stream.proto,
        "family": spec.family_of(stream),
        "source": stream.source_address,
        "source_ports": each.source_ports,
        "destination": stream.destination_address,
        "destinations": list(stream.destinations),
        "period_ns": each.schedule().period_ns,
        "flows": stream.flows,
    }


def _templates(each: _Flowing, session: int) -> dict[str, Any]:
    """Every flow's packet, built with scapy and cut to what is handed to the kernel."""
    stream = each.stream
    # A UDP socket writes IP and UDP headers; a raw one the IP header, and ICMPv6's checksum.
    outer = 20 if spec.family_of(stream) == 4 else 40  # noqa: PLR2004
    whole = spec.flow_specs(stream, session, each.source_ports, each.destination_port)
    specs = [one.cut(outer + 8 if stream.proto == "udp" else outer) for one in whole]
    return {
        "destination_port": each.destination_port,
        "templates": [one.data.hex() for one in specs],
        "fields_at": specs[0].fields_at,
        "checksum_at": specs[0].checksum_at,
        "checksum_bases": [one.checksum_base for one in specs],
    }
