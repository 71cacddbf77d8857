"""Lost packets told apart: in flight at a fault, or lost to repair.

A packet is *in flight* when it left

* no earlier than the longest path delay before the fault can have taken effect: before the kernel was
  told to take the links down (the preparations before that excuse nothing), and
* no later than one path delay after the last of the victim's links had lost carrier:

it was inside the dying box or on its way into it. Every other lost packet is *repair*: the design's
own. Only what takes something away excuses anything; a return excuses nothing, nor does a fault that
the peers are not told of: a frozen node, whose kernel goes on forwarding, or a black hole.

The path delay is the 99th percentile of the one-way delays of the same stream in the second before
the fault. Not the maximum: on a machine that is not real-time that is one stall of the scheduler,
and would excuse losses that the design must answer for.

Before the fault there is nothing to repair yet, so there the question is only whether the packet can
have been in the box still: one in a hundred takes longer than the 99th percentile. The longest path
delay is the longest that was seen, but no more than ten times the 99th percentile, so that losses long
before a fault are not put down to it because some packet once waited for its first entry.

A graceful power-off may take seconds before the links go down: what is lost meanwhile is repair.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING

from labctl.verdict.schema import FlowResult, LossSpan

if TYPE_CHECKING:
    from collections.abc import Sequence

    from labctl.probe.types import FlowTally, LossPeriod, StreamTally
    from labctl.verdict.record import ActionRecord, RunRecord

__all__ = ["HORIZON_NS", "Excuse", "Losses", "classify", "excuses", "path_delay"]

HORIZON_NS = 10_000_000_000
"""A loss that begins later than this after an action is not put down to it: longer than any timer
of the routing at hand (BGP hold time 3 s, gateway opening 4 s after its return)."""


LONGEST_DELAYS = 10
"""So many path delays a packet may have been under way when a fault took effect, if any was so long."""


@dataclass(frozen=True, slots=True)
class Excuse:
    """The span of departures, both ends included, that one action excuses; empty if from > to.

    Attributes:
        starts_ns: losses from here on are put down to this action, until the next one.
        ends_ns: until here a loss may begin and still be put down to it.
    """

    from_ns: int
    to_ns: int
    starts_ns: int
    ends_ns: int

    def covers(self, t_ns: int) -> bool:
        """Whether a packet that left then was in flight."""
        return self.from_ns <= t_ns <= self.to_ns


@dataclass(frozen=True, slots=True)
class Losses:
    """The losses of one stream, told apart.

    Attributes:
        flows: with their loss spans, times after the run's zero.
        owners: of each flow: pairs of (action's index, loss span) for every action that the span
            reaches into; index -1 where it begins outside of all.
        in_flight: by the index of the action that excuses the packets.
        repair: by the index of the action that the loss period is put down to; -1 is none.
        zero_ns: what the times of the spans count from.
    """

    flows: tuple[FlowResult, ...]
    owners: tuple[tuple[tuple[int, LossSpan], ...], ...]
    in_flight: dict[int, int]
    repair: dict[int, int]
    zero_ns: int


def path_delay(run: RunRecord, action: ActionRecord, tally: StreamTally) -> int:
    """One-way delay of a stream before an action, ns.

    Where nobody measured before the action (a heal, a return) it is the median of the whole run,
    the strictest that there is.
    """
    for witness in run.witnesses:
        if witness.step == action.step and tally.stream.name in witness.delay_p99_ns:
            return witness.delay_p99_ns[tally.stream.name]
    return tally.delay_p50_ns


def excuses(run: RunRecord, tally: StreamTally) -> tuple[Excuse, ...]:
    """The excuse of each of a run's actions for one stream, in the order of the actions."""
    return tuple(_excuse(action, path_delay(run, action, tally), tally) for action in run.actions)


def _excuse(action: ActionRecord, delay: int, tally: StreamTally) -> Excuse:
    longest = max(delay, min(tally.delay_max_ns, LONGEST_DELAYS * delay))
    starts = min(action.requested_ns - delay, action.not_before_ns - longest)
    ends = max(action.last_ns, action.done_ns) + HORIZON_NS
    if not action.breaks or action.silent:
        return Excuse(1, 0, starts, ends)
    return Excuse(action.not_before_ns - longest, action.last_ns + delay, starts, ends)


def classify(tally: StreamTally, spans: Sequence[Excuse], zero_ns: int) -> Losses:
    """Tell the losses of one stream apart.

    Args:
        tally: what the probe counted.
        spans: what each action excuses, in the order in which the actions were begun.
        zero_ns: what the result's times count from.
    """
    starts = [span.starts_ns for span in spans]
    in_flight: dict[int, int] = {}
    repair: dict[int, int] = {}
    flows = []
    owners = []
    for flow in tally.flows:
        pairs: list[tuple[int, LossSpan]] = []
        losses = []
        for period in flow.losses:
            owner = _owner(period.start_ns, spans, starts)
            excused = _excused(period, spans, owner)
            total = sum(excused.values())
            span = _span(period, total, owner, zero_ns)
            losses.append(span)
            # A period that began before an action belongs to whatever was before; those of its packets
            # that this action excuses are the action's all the same.
            for index, count in excused.items():
                in_flight[index] = in_flight.get(index, 0) + count
            repair[owner] = repair.get(owner, 0) + period.count - total
            reached = range(bisect_left(starts, period.start_ns + 1), bisect_right(starts, period.end_ns))
            pairs += [(owner, span), *((index, span) for index in reached if index != owner)]
        flows.append(_flow(flow, tuple(losses)))
        owners.append(tuple(pairs))
    return Losses(tuple(flows), tuple(owners), in_flight, repair, zero_ns)


def _owner(t_ns: int, spans: Sequence[Excuse], starts: Sequence[int]) -> int:
    index = bisect_right(starts, t_ns) - 1
    return index if index >= 0 and t_ns <= spans[index].ends_ns else -1


def _excused(period: LossPeriod, spans: Sequence[Excuse], owner: int) -> dict[int, int]:
    """How many packets of a loss period were in flight, by the index of the action that excuses them.

    Where several actions excuse a packet it is counted once: for the action that the period is put
    down to, else for the first of them.

    Of the packets whose departure was not kept (beyond the first thousand) none is excused unless
    the whole period is: in doubt against the design.
    """
    order = sorted(range(len(spans)), key=lambda index: index != owner)
    if len(period.sent_ns) < period.count:
        for index in order:
            if spans[index].covers(period.start_ns) and spans[index].covers(period.end_ns):
                return {index: period.count}
    excused: dict[int, int] = {}
    for t_ns in period.sent_ns:
        for index in order:
            if spans[index].covers(t_ns):
                excused[index] = excused.get(index, 0) + 1
                break
    return excused


def _span(period: LossPeriod, excused: int, owner: int, zero_ns: int) -> LossSpan:
    return LossSpan(
        first_seq=period.first_seq,
        count=period.count,
        in_flight=excused,
        repair=period.count - excused,
        start_ns=period.start_ns - zero_ns,
        end_ns=period.end_ns - zero_ns,
        outage_ns=period.outage_ns,
        error_ns=period.error_ns,
        open=period.open,
        step=owner,
    )


def _flow(flow: FlowTally, losses: tuple[LossSpan, ...]) -> FlowResult:
    in_flight = sum(span.in_flight for span in losses)
    longest = max(losses, key=lambda span: span.outage_ns, default=None)
    # Losses that no period tells of are nobody's excuse.
    return FlowResult(
        flow=flow.flow,
        source_port=flow.source_port,
        destination_port=flow.destination_port,
        sent=flow.sent,
        received=flow.received,
        lost=flow.lost,
        in_flight=in_flight,
        repair=flow.lost - in_flight,
        duplicated=flow.duplicated,
        reordered=flow.reordered,
        longest_outage_ns=longest.outage_ns if longest else 0,
        error_ns=longest.error_ns if longest else 0,
        losses=losses,
    )
