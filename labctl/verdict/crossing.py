"""Which flows crossed the victim of each fault, and how sure that is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from labctl.probe.types import Stream
    from labctl.verdict.record import ActionRecord, RunRecord, WitnessRecord

__all__ = ["Crossing", "crossing_of", "spacing_ns"]

_SPACINGS = 2
"""A flow that was watched for so many of its packet spacings would have been seen."""


@dataclass(frozen=True, slots=True)
class Crossing:
    """Flows of one stream at one fault.

    Attributes:
        flows: seen crossing what the fault took away.
        sure: each of them did cross it; else some may have passed beside it (parallel links).
        exact: no other flow did.
    """

    flows: frozenset[int]
    sure: bool
    exact: bool


def spacing_ns(stream: Stream) -> int:
    """Time between two packets of one flow: the packet sampling interval of RFC 6412."""
    return int(stream.flows * 1e9 / stream.rate_pps)


def crossing_of(run: RunRecord, action: ActionRecord, stream: Stream) -> Crossing | None:
    """Which flows of a stream crossed what an action took away; None where nobody can say.

    A witness of format 1 sees what enters a node: never what a node sends itself, and of a link not by
    which interface. So the sender's own node says nothing of its streams, and parallel links are not
    told apart.
    """
    if not action.breaks:
        return None
    seen = [witness for witness in run.witnesses if witness.step == action.step and _sees(witness, stream)]
    if not seen:
        return None
    flows = frozenset.intersection(*(witness.flows.get(stream.name, frozenset()) for witness in seen))
    nodes = frozenset(witness.node for witness in run.witnesses if witness.step == action.step)
    watched = min(witness.watched_ns for witness in seen) >= _SPACINGS * spacing_ns(stream)
    exact = watched and not any(witness.dropped for witness in seen)
    if all(witness.by_interfaces for witness in seen):
        return Crossing(flows, sure=True, exact=exact)
    if not flows and not exact:
        return None
    return Crossing(flows, sure=not (action.on_link and nodes in run.header.parallel), exact=exact)


def _sees(witness: WitnessRecord, stream: Stream) -> bool:
    return witness.by_interfaces or witness.node != stream.source
