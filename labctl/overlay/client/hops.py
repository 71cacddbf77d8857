"""Groups the observations of one packet by node: one line for each node that it passed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from labctl.overlay.datapath.devices import AGENT_END

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from labctl.overlay.client.observation import Observation

__all__ = ["Hop", "hops"]

_OWN = "lc-"
"""Beginning of the names of the overlay's own devices."""


@dataclass(frozen=True, slots=True)
class Hop:
    """A packet in one node.

    Attributes:
        node: name.
        t_ns: when it was first seen there, CLOCK_MONOTONIC.
        took_ns: until it was last seen there.
        came: interface that it came in by; empty where it began.
        left: interface that it left by; empty where it ended.
        agent_ns: how long the agent had it; -1 if it did not, 0 if it never came back.
        answer: it is on its way back.
        last: how it looked when it was last seen there.
    """

    node: str
    t_ns: int
    took_ns: int
    came: str
    left: str
    agent_ns: int
    answer: bool
    last: Observation


def hops(seen: Sequence[Observation]) -> list[Hop]:
    """One for each visit of a node, in order of time.

    Args:
        seen: in order of time; those of a packet and of its answers are kept apart.
    """
    visits: list[list[Observation]] = []
    for each in seen:
        if visits and (visits[-1][0].node, visits[-1][0].answer) == (each.node, each.answer):
            visits[-1].append(each)
        else:
            visits.append([each])
    return [_hop(visit) for visit in visits]


def _hop(visit: Sequence[Observation]) -> Hop:
    first, last = visit[0], visit[-1]
    ends = [each for each in visit if not each.interface.startswith(_OWN) or _is_guest(each.interface)]
    came = next((each.interface for each in ends if not each.outgoing), "")
    left = next((each.interface for each in reversed(ends) if each.outgoing), "")
    return Hop(
        first.node, first.t_ns, last.t_ns - first.t_ns, came, left, _in_agent(visit), first.answer, last
    )


def _is_guest(interface: str) -> bool:
    return interface.startswith("lc-vm")


def _in_agent(visit: Iterable[Observation]) -> int:
    up = 0
    for each in visit:
        if each.interface == AGENT_END and not each.outgoing:
            up = each.t_ns
        elif each.interface == AGENT_END and up:
            return each.t_ns - up
    return 0 if up else -1
