"""Rows of a result that every figure is made from: cells of the table of facts, loss periods, outages."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["FactCell", "LossCounts", "LossSpan", "OutageRow"]


@dataclass(frozen=True, slots=True)
class FactCell:
    """One cell of the table of facts: lost packets of one flow, put down to one action, in one class.

    Attributes:
        fault: the action, as an index into the run's ``faults``; -1: none.
        loss_class: value of :class:`labctl.verdict.attribution.LossClass`.
        rule: ``evidence`` or ``time``: what the packets were attributed by.
        doubtful: so many of them may be on the other side of in flight and convergence loss.
    """

    stream: str
    flow: int
    fault: int
    loss_class: str
    rule: str
    packets: int
    doubtful: int


@dataclass(frozen=True, slots=True)
class LossCounts:
    """Lost packets by class; every lost packet is in exactly one.

    Attributes:
        in_node: in flight in the node (or on the link) that failed.
        dead_link: in flight onto the dead link: sent before the neighbour's kernel had deactivated it.
        convergence: lost to convergence (RFC 6412) while something was taken away.
        reversion: lost when it came back (RFC 6414).
        unexplained: no action accounts for them.
        before: lost before the timeline began; counted by no expectation.
        doubtful: of all these, so many may be on the other side of in flight and convergence loss.
    """

    in_node: int = 0
    dead_link: int = 0
    convergence: int = 0
    reversion: int = 0
    unexplained: int = 0
    before: int = 0
    doubtful: int = 0

    @property
    def in_flight(self) -> int:
        """Lost in flight, wherever."""
        return self.in_node + self.dead_link

    @property
    def convergence_loss(self) -> int:
        """What the design answers for."""
        return self.convergence + self.reversion + self.unexplained


@dataclass(frozen=True, slots=True)
class LossSpan:
    """One loss period of one flow (RFC 3357), told apart.

    Attributes:
        count: lost packets in a row; ``in_flight + convergence_loss + before``.
        start_ns: departure of the first.
        end_ns: departure of the last.
        outage_ns: from the arrival before to the arrival after, less one spacing; plus or minus
            ``error_ns``. Of a period that began before the timeline, the part after its zero.
        error_ns: the flow's packet spacing.
        open: it had not ended when the traffic did.
        step: the action under which it began, as an index into the run's ``faults``; -1: none.
    """

    first_seq: int
    count: int
    in_flight: int
    convergence_loss: int
    before: int
    start_ns: int
    end_ns: int
    outage_ns: int
    error_ns: int
    open: bool
    step: int


@dataclass(frozen=True, slots=True)
class OutageRow:
    """One flow at one fail-over: what every figure about outages is made from.

    Attributes:
        fault: index of the action that took something away; -1: none accounts for it.
        crossed: the flow was seen crossing the victim.
        lost: packets, in flight or not, until the next fault.
        outage_ns: the longer of the two below; plus or minus ``error_ns``.
        gap_ns: longest gap of arrivals, less one packet spacing.
        loss_derived_ns: lost packets times the packet spacing (RFC 6412).
        last_loss_ns: from the moment the kernel was told of the fault to the last loss.
        open: it had not ended when the traffic did.
        unjudged: no expectation is about the stream.
    """

    stream: str
    flow: int
    fault: int
    crossed: bool
    lost: int
    outage_ns: int
    error_ns: int
    gap_ns: int
    loss_derived_ns: int
    last_loss_ns: int
    open: bool
    unjudged: bool
