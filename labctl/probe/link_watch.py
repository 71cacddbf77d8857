"""Records the links of every node or link that a run will take down, from the start of traffic on.

The same rings (:mod:`labctl.probe.ring`) answer two questions: which flows cross a victim
right before a fault, and what became of each lost packet at the victim's links. The rings are at the
far ends, in the namespaces of the victim's neighbours: they survive the victim's power cycle.

A thread reads the records ten times a second and returns slots to the kernel once they are older than
:data:`KEPT_NS`. From the beginning of a fault (:meth:`LinkWatch.hold`) until it has been recorded
completely, the thread leaves the rings of its victim alone, so that it takes no processor
time from the convergence that is measured.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

import numpy as np

from labctl.errors import LabctlError, ProbeError
from labctl.events import now_ns
from labctl.probe import payload
from labctl.probe.evidence import EndRecord, attribute_at_links
from labctl.probe.ring import Passages, Ring

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

    from numpy.typing import NDArray

    from labctl.probe.evidence import FaultEvidence, LostPackets
    from labctl.probe.types import Stream

    Ints = NDArray[np.int64]

__all__ = ["LinkWatch", "Recorded", "SeenFlows", "WatchedEnd"]

KEPT_NS = 1_500_000_000
"""What passed is kept so long: longer than the second before a fault in which transits are measured."""

_TICK_S = 0.1
_LEAST_SLOTS = 4096
_MOST_SLOTS = 1 << 16
_SECONDS_OF_ROOM = 3.0
_FULL = 0.6  # share of a ring that is kept at most: the rest is room for what comes
_DIRECTIONS = 2
_UNDISTURBED_NS = 500_000_000
"""So long after a fault was recorded its rings are read: convergence has the processor until then."""

_QUIET_NS = 1_000_000_000
"""For so long after a fault began nothing is read at all. An action that takes longer (a graceful
shutdown, a fence that waits for its asker) must not fill the rings: from then on they are read again."""


@dataclass(frozen=True, slots=True, order=True)
class WatchedEnd:
    """A link end to record.

    Attributes:
        node: that has the interface.
        interface: its name.
        side: 0 or 1: for a link, which of its two ends this is.
    """

    node: str
    interface: str
    side: int = 0


@dataclass(frozen=True, slots=True)
class SeenFlows:
    """Which flows crossed a victim.

    Attributes:
        since_ns: what is listed was seen since then ...
        until_ns: ... until then.
        flows: numbers of the flows seen entering or leaving the victim, by stream.
        dropped: packets that could not be recorded, and ends that could not be watched: above 0, a flow
            that is not listed may have crossed after all.
    """

    since_ns: int
    until_ns: int
    flows: Mapping[str, frozenset[int]]
    dropped: int


@dataclass(frozen=True, slots=True, eq=False)
class Recorded:
    """What the links of one victim recorded round one fault.

    Attributes:
        crossing: which flows crossed the victim right before.
        ends: what passed at each link end.
        streams: whose packets were looked for.
        told_ns: when the kernel was told of the fault.
        of_link: the victim is a link.
    """

    crossing: SeenFlows
    ends: tuple[EndRecord, ...]
    streams: tuple[Stream, ...]
    told_ns: int
    of_link: bool

    def evidence(self, lost: Mapping[str, LostPackets]) -> FaultEvidence:
        """Which of the lost packets were transmitted onto the victim's links; see :mod:`.evidence`."""
        return attribute_at_links(self.ends, lost, self.streams, told_ns=self.told_ns, of_link=self.of_link)


@dataclass(slots=True, eq=False)
class _Watched:
    """A ring and what was read from it."""

    ring: Ring
    open_ns: int
    last_seen: dict[int, Ints]
    kept_since_ns: int = 0


@dataclass(slots=True, eq=False)
class _Held:
    """A fault whose links are left alone.

    Attributes:
        ends: of its victim.
        since_ns: when it began.
        overrun: frames lost at each end by then; ``lost`` between then and the end of the record.
        at_begin: when each flow was seen last before the fault began, by stream.
        last_seen: when each flow was seen last before the kernel was told, by stream.
    """

    ends: tuple[WatchedEnd, ...]
    since_ns: int
    overrun: dict[WatchedEnd, int]
    at_begin: dict[int, Ints]
    last_seen: dict[int, Ints]
    told_ns: int = 0
    closed_ns: int = 0
    span_ns: int = 0
    lost: dict[WatchedEnd, int] | None = None


class LinkWatch:
    """Rings at link ends; a context manager. Close it before the lab goes: a ring holds a namespace."""

    def __init__(self, streams: Sequence[Stream], session: int, netns_of: Callable[[str], Path]) -> None:
        """Open nothing yet.

        Args:
            streams: whose packets are looked for.
            session: of their traffic: late packets of an earlier one are not counted.
            netns_of: a node's name to the path of its network namespace; raises LabctlError if it has none.
        """
        self._streams = tuple(streams)
        self._session = session
        self._netns_of = netns_of
        self._rings: dict[tuple[str, str], _Watched] = {}
        self._held: dict[int, _Held] = {}
        self._recorded: dict[int, Recorded] = {}
        self._lock = threading.RLock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="labctl-link-watch", daemon=True)

    def start(self, ends: Iterable[WatchedEnd]) -> Self:
        """Open a ring at each end and begin to read; an end that cannot be opened counts as unwatched."""
        for node, interface in sorted({(end.node, end.interface) for end in ends}):
            self._open(node, interface)
        self._thread.start()
        return self

    def refresh(self, ends: Iterable[WatchedEnd]) -> None:
        """Open rings that are closed or receive no more: a node whose power returned has fresh interfaces."""
        with self._lock:
            held = {(end.node, end.interface) for held in self._held.values() for end in held.ends}
            for node, interface in sorted({(end.node, end.interface) for end in ends}):
                old = self._rings.get((node, interface))
                if old is not None and ((node, interface) in held or old.ring.attached):
                    continue
                if old is not None:
                    old.ring.close()
                    del self._rings[node, interface]
                self._open(node, interface)

    def hold(self, key: int, ends: Sequence[WatchedEnd]) -> None:
        """A fault begins: leave its links alone until it was recorded.

        Args:
            key: the caller's name for the fault.
            ends: of the links of its victim.
        """
        with self._lock:
            last = self._nothing_seen()
            overrun = {}
            for end in ends:
                watched = self._rings.get((end.node, end.interface))
                if watched is None:
                    continue
                overrun[end] = watched.ring.overrun()
                for number, seen in last.items():
                    np.maximum(seen, watched.last_seen[number], out=seen)
            at_begin = {number: seen.copy() for number, seen in last.items()}
            self._held[key] = _Held(tuple(ends), now_ns(), overrun, at_begin, last)

    def record_until(self, key: int, *, told_ns: int, closed_ns: int, span_ns: int) -> None:
        """The fault has taken effect: record its links up to a moment, then read them.

        Args:
            key: as it was held.
            told_ns: when the kernel was told of the fault.
            closed_ns: end of the record.
            span_ns: a flow crosses if it was seen in so long before ``told_ns``.
        """
        with self._lock:
            held = self._held[key]
            held.told_ns, held.closed_ns, held.span_ns = told_ns, closed_ns, span_ns
            # What was read while a long action went on.
            for end in held.overrun:
                watched = self._rings.get((end.node, end.interface))
                if watched is None:
                    continue
                for number, seen in held.last_seen.items():
                    late = watched.last_seen[number]
                    np.maximum(seen, np.where(late < told_ns, late, 0), out=seen)

    def recorded(self, key: int, *, of_link: bool = False) -> Recorded:
        """What was recorded; of a fault whose record is not over yet, what there is.

        Raises:
            ProbeError: no such fault was recorded.
        """
        with self._lock:
            held = self._held.get(key)
            if held is not None and held.closed_ns:
                self._release(key, held)
            if key not in self._recorded:
                raise ProbeError("the links were not recorded")
            return replace(self._recorded[key], of_link=of_link)

    def close(self) -> None:
        """Close every ring; may be called again."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()
        for watched in self._rings.values():
            watched.ring.close()
        self._rings.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _nothing_seen(self) -> dict[int, Ints]:
        return {
            payload.stream_id(stream.name): np.zeros(stream.flows, dtype=np.int64) for stream in self._streams
        }

    def _open(self, node: str, interface: str) -> None:
        try:
            ring = Ring(self._netns_of(node), interface, self._slots())
        except LabctlError:
            return  # it counts as unwatched where it is asked for
        self._rings[node, interface] = _Watched(ring, now_ns(), self._nothing_seen())

    def _slots(self) -> int:
        """Room for all streams, both ways, for some seconds: what one link can carry at the most."""
        rate = sum(stream.rate_pps for stream in self._streams) * _DIRECTIONS
        return int(min(max(rate * _SECONDS_OF_ROOM, _LEAST_SLOTS), _MOST_SLOTS))

    def _run(self) -> None:
        while not self._ended.wait(_TICK_S):
            with self._lock:
                self._tick(now_ns())

    def _tick(self, now: int) -> None:
        for key, held in list(self._held.items()):
            if held.closed_ns and held.lost is None and now >= held.closed_ns:
                held.lost = self._overruns(held)
            if held.closed_ns and now >= held.closed_ns + _UNDISTURBED_NS:
                self._release(key, held)
        if any(now < held.since_ns + _QUIET_NS for held in self._held.values() if not held.closed_ns):
            return
        recorded = {
            (end.node, end.interface) for held in self._held.values() if held.closed_ns for end in held.ends
        }
        for place, watched in self._rings.items():
            if place not in recorded:
                _take(watched, self._session)
                at_most = int(watched.ring.slots * _FULL)
                watched.kept_since_ns = watched.ring.give_back(now - KEPT_NS, at_most=at_most)

    def _overruns(self, held: _Held) -> dict[WatchedEnd, int]:
        """Frames that found no room since the fault began, at each end that is recorded."""
        return {
            end: watched.ring.overrun() - before
            for end, before in held.overrun.items()
            if (watched := self._rings.get((end.node, end.interface))) is not None
        }

    def _release(self, key: int, held: _Held) -> None:
        lost = self._overruns(held) if held.lost is None else held.lost
        records = [self._record_of(end, held, lost) for end in held.ends]
        flows = {}
        since = held.told_ns - held.span_ns
        for stream in self._streams:
            number = payload.stream_id(stream.name)
            seen = held.last_seen[number].copy()
            for record in records:
                passages = record.passages
                chosen = (passages.stream == number) & (passages.t_ns < held.told_ns)
                _note_last(seen, passages.flow[chosen], passages.t_ns[chosen])
            # A graceful shutdown moves traffic away before the links go: what crossed at its begin counts.
            crossed = (seen >= since) | (held.at_begin[number] >= held.since_ns - held.span_ns)
            flows[stream.name] = frozenset(int(flow) for flow in np.flatnonzero(crossed))
        unwatched = sum(record.open_ns == 0 for record in records)
        crossing = SeenFlows(since, held.told_ns, flows, sum(lost.values()) + unwatched)
        self._recorded[key] = Recorded(crossing, tuple(records), self._streams, held.told_ns, of_link=False)
        del self._held[key]

    def _record_of(self, end: WatchedEnd, held: _Held, lost: Mapping[WatchedEnd, int]) -> EndRecord:
        watched = self._rings.get((end.node, end.interface))
        if watched is None or end not in lost:
            return EndRecord(end.node, end.interface, end.side, 0, 0, 0, Passages.none())
        _take(watched, self._session)
        passages = watched.ring.again()
        chosen = (passages.t_ns <= held.closed_ns) & (passages.session == self._session)
        opened = max(watched.open_ns, watched.kept_since_ns)
        return EndRecord(
            end.node, end.interface, end.side, opened, held.closed_ns, lost[end], passages.where(chosen)
        )


def _take(watched: _Watched, session: int) -> None:
    """Read what passed at an end, and note when each flow was seen last."""
    passages = watched.ring.read()
    if not len(passages):
        return
    own = passages.where(passages.session == session)
    for number, last in watched.last_seen.items():
        of_stream = own.stream == number
        _note_last(last, own.flow[of_stream], own.t_ns[of_stream])


def _note_last(last: Ints, flows: Ints, t_ns: Ints) -> None:
    known = flows < len(last)
    np.maximum.at(last, flows[known], t_ns[known])
