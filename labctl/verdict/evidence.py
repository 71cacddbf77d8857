"""What was seen of lost packets on the links of a fault's victim: the evidence that attributes them.

Around a fault a ring at the far end of each of the victim's links records every packet of the probe
that is put onto the link, and every one that comes out of it. The journal keeps, for lost packets
only, the last transmission onto a link of the victim and whether the packet came out again
(``evidence`` events, docs/journal.md). No path delay is assumed, and no netlink time is needed: the
transmission itself is the evidence.

AttributionRule, for a packet that left at ``left_ns`` with the kernel notified of the fault at ``told_ns``:

* it came out of the victim again: lost beyond it, so convergence loss;
* it left before ``told_ns``, no longer than a packet takes through the victim: in flight in the node;
* it left after that, within :data:`DEAD_LINK_NS`: in flight onto the dead link. Later is late
  detection: convergence loss. In 45 cuts the longest such transmission came 1.9 ms after the power cut;
* it was not seen leaving: convergence loss.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from labctl.verdict.parse import ShapeError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from labctl.verdict.parse import Fields

__all__ = ["DEAD_LINK_NS", "EndCoverage", "Evidence", "Transmission", "parse_evidence"]

DEAD_LINK_NS = 2_000_000
"""So long after the kernel was told a neighbour may still put packets onto the dead link: its own
kernel needs that long to deactivate the interface."""


@dataclass(frozen=True, slots=True)
class EndCoverage:
    """One link end that faces the victim.

    Attributes:
        open_ns, closed_ns: the ring covered this span; both 0 for an end that nobody watched.
        overrun: frames that the ring could not keep.
    """

    node: str
    interface: str
    open_ns: int
    closed_ns: int
    overrun: int


@dataclass(frozen=True, slots=True)
class Transmission:
    """The last transmission of a lost packet onto a link of the victim.

    Attributes:
        end: index into :attr:`Evidence.ends`.
        left_ns: when the end's kernel put it onto the link.
        back_ns: when it came out of the victim again, 0 if it never did.
    """

    end: int
    left_ns: int
    back_ns: int


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was seen around one fault.

    Attributes:
        step: of the fault in the timeline.
        transit_p99_ns, transit_max_ns: from transmission to the victim until it put the packet out
            again, of packets of the second before; 0 if none was seen both ways.
        lost: sightings of lost packets by stream, flow and sequence number.
    """

    step: int
    ends: tuple[EndCoverage, ...]
    transit_p99_ns: int
    transit_max_ns: int
    lost: Mapping[str, Mapping[int, Mapping[int, Transmission]]]

    def complete(self, told_ns: int, last_ns: int, faced: Collection[tuple[str, str]]) -> bool:
        """Whether a packet that was not seen leaving did not leave onto a link of the victim.

        Args:
            told_ns: when the kernel was told of the fault.
            last_ns: the last carrier change at a peer.
            faced: node and interface of every end that faces the victim.
        """
        watched = {(end.node, end.interface) for end in self.ends}
        return (
            bool(self.ends)
            and watched.issuperset(faced)
            and all(
                end.overrun == 0
                and 0 < end.open_ns <= told_ns - self.transit_max_ns
                and end.closed_ns >= last_ns + DEAD_LINK_NS
                for end in self.ends
            )
        )


def parse_evidence(fields: Fields) -> Evidence:
    """Read the data of an ``evidence`` event.

    Raises:
        ShapeError: it has another shape.
    """
    ends = tuple(
        EndCoverage(
            node=end.text("node"),
            interface=end.text("interface"),
            open_ns=end.integer("open_ns", least=0),
            closed_ns=end.integer("closed_ns", least=0),
            overrun=end.integer("overrun", least=0),
        )
        for end in fields.records("ends")
    )
    lost = fields.record("lost")
    return Evidence(
        step=fields.integer("step", least=0),
        ends=ends,
        transit_p99_ns=fields.integer("transit_p99_ns", least=0),
        transit_max_ns=fields.integer("transit_max_ns", least=0),
        lost={name: _sightings(lost, name, len(ends)) for name in lost.data},
    )


def _sightings(lost: Fields, name: str, ends: int) -> dict[int, dict[int, Transmission]]:
    """The latest sighting of each packet: an ICMP question and its answer share a number."""
    found: dict[int, dict[int, Transmission]] = {}
    for flow, seq, _leg, end, left_ns, back_ns in lost.rows(name, 6):
        if not 0 <= end < ends or left_ns <= 0 or back_ns < 0:
            raise ShapeError(f"{lost.where}.{name} names end {end} of {ends}, or a time before all times")
        of_flow = found.setdefault(flow, {})
        before = of_flow.get(seq)
        if before is None or before.left_ns < left_ns:
            of_flow[seq] = Transmission(end, left_ns, back_ns)
    return found
