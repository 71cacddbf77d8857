"""A run at one glance: time from left to right, a lane a stream, a row a flow, every loss in its place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from labctl.report.axis import Scale, draw_axis
from labctl.report.format import count, fault_name, signed_s, span
from labctl.report.markup import Markup, el, join

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from labctl.verdict.schema import FaultResult, LossSpan, RunResult, StreamResult

__all__ = ["NARROW", "timeline_plot"]

WIDTH = 1280
NARROW = 380
"""Widths of the drawing, for a desktop's screen and for a telephone's."""

EDGE = 8
HEAD = 40
"""Room above the lanes for the names of the actions, in two rows."""

LANE_LABEL = 20
LANE_GAP = 10
FOLDED = 8.0
"""Height of a lane in which nothing was lost."""

QUIET = 26.0
"""Height of a lane that is not judged, at the most."""

MOST_MARKS = 4000
"""A drawing of more losses than this says no more, and opens slowly."""

_LETTER = 7.4
"""Width of a letter of an action's name, at the most."""


@dataclass(frozen=True, slots=True)
class _Lane:
    stream: StreamResult
    top: float
    bottom: float
    judged: bool


def timeline_plot(run: RunResult, judged: Collection[str], *, width: int = WIDTH) -> Markup:
    """The drawing of one run, as SVG.

    Args:
        run: the run.
        judged: streams of which some expectation says how much they may lose: the others are quiet.
        width: of the drawing, in the units of its text.
    """
    if not run.streams:
        return el("p", "no traffic was sent", class_="muted")
    starts = [loss.start_ns for stream in run.streams for flow in stream.flows for loss in flow.losses]
    begin = min([0, *starts]) - 0.01 * run.length_ns
    scale = Scale(begin, max(run.length_ns, 1), EDGE, width - EDGE)
    lanes = list(_lanes(run, judged))
    drawn = []
    budget = MOST_MARKS
    for lane in lanes:
        drawn.append(_draw(lane, scale, budget, brief=width < WIDTH))
        budget -= sum(len(flow.losses) for flow in lane.stream.flows)
    bottom = lanes[-1].bottom + 4
    return el(
        "svg",
        draw_axis(scale, lanes[0].top, bottom, 12 if width == WIDTH else 4),
        *(_frame(lane, scale) for lane in lanes),
        *_gone(run.faults, scale, lanes),
        *_actions(run.faults, scale, lanes, names=width == WIDTH),
        *drawn,
        viewBox=f"0 0 {width} {bottom + 22:.0f}",
        role="img",
        aria_label=f"run {run.run}: losses of each stream over time",
        class_="plot",
    )


def _lanes(run: RunResult, judged: Collection[str]) -> Iterator[_Lane]:
    """The judged streams first; those without a loss are folded."""
    top = float(HEAD)
    for stream in sorted(run.streams, key=lambda stream: stream.name not in judged):
        height = FOLDED
        if any(flow.losses for flow in stream.flows):
            full = float(min(max(2 * len(stream.flows), 26), 128))
            height = full if stream.name in judged else min(full, QUIET)
        yield _Lane(stream, top + LANE_LABEL, top + LANE_LABEL + height, stream.name in judged)
        top += LANE_LABEL + height + LANE_GAP


def _frame(lane: _Lane, scale: Scale) -> Markup:
    return el(
        "rect",
        x=scale.left,
        y=lane.top,
        width=scale.right - scale.left,
        height=lane.bottom - lane.top,
        class_="lane",
    )


def _draw(lane: _Lane, scale: Scale, budget: int, *, brief: bool) -> Markup:
    stream = lane.stream
    row = (lane.bottom - lane.top) / max(len(stream.flows), 1)
    losses = [(flow.flow, loss) for flow in stream.flows for loss in flow.losses][: max(budget, 0)]
    marks = [
        _mark(loss, flow, scale, (lane.top + flow * row, max(row, 2.0)), judged=lane.judged)
        for flow, loss in losses
    ]
    head = el(
        "text",
        el("tspan", stream.name, class_="name" if lane.judged else "muted"),
        None if brief else el("tspan", f"  {stream.source} → {stream.destination}", class_="muted"),
        *_label(lane, brief=brief),
        x=scale.left,
        y=lane.top - 6,
    )
    return el("g", head, *marks)


def _label(lane: _Lane, *, brief: bool) -> Iterator[Markup]:
    stream = lane.stream
    sent = f"  {count(stream.sent)} sent" + ("" if brief else f" in {len(stream.flows)} flows") + ": "
    yield el("tspan", sent, class_="muted")
    if not any(flow.losses for flow in stream.flows):
        yield el("tspan", "nothing lost", class_="muted")
        return
    yield el("tspan", f"{count(stream.in_flight)} {'' if brief else 'lost '}in flight, ", class_="muted")
    loud = "bad name" if stream.convergence_loss and lane.judged else "muted"
    yield el("tspan", f"{count(stream.convergence_loss)} to convergence", class_=loud)
    if not lane.judged:
        yield el("tspan", " (not judged)", class_="muted")


def _mark(loss: LossSpan, flow: int, scale: Scale, row: tuple[float, float], *, judged: bool) -> Markup:
    y, height = row
    begin, end = scale(loss.start_ns), scale(loss.start_ns + max(loss.outage_ns, 0))
    width = max(end - begin, 5.0)
    kind = ("lost" if loss.convergence_loss else "flight") if judged else "quiet"
    text = (
        f"flow {flow}: {loss.count} lost from {signed_s(loss.start_ns)}"
        f" ({loss.in_flight} in flight, {loss.convergence_loss} to convergence),"
        f" outage {span(loss.outage_ns)} ± {span(loss.error_ns)}"
    )
    return el("rect", el("title", text), x=begin, y=y, width=width, height=height, class_=kind)


def _gone(faults: Sequence[FaultResult], scale: Scale, lanes: Sequence[_Lane]) -> Iterator[Markup]:
    """Bands for the time in which something was taken away."""
    for fault in faults:
        if not fault.breaks:
            continue
        end = next(
            (
                one.last_ns
                for one in faults[fault.index + 1 :]
                if not one.breaks and one.target == fault.target
            ),
            scale.end_ns,
        )
        left = scale(fault.first_ns)
        width = max(scale(end) - left, 1)
        for lane in lanes:
            yield el("rect", x=left, y=lane.top, width=width, height=lane.bottom - lane.top, class_="off")


def _actions(
    faults: Sequence[FaultResult], scale: Scale, lanes: Sequence[_Lane], *, names: bool
) -> Iterator[Markup]:
    """A line at each action; its name above, or a number where there is no room for names."""
    edges = [float("-inf"), float("-inf")]
    for fault in faults:
        x = scale(fault.first_ns)
        name = fault_name(fault)
        shown = name if names else str(fault.index + 1)
        width = _LETTER * len(shown) + 8
        # Two rows of names: the one that has room first, else the one that ends first.
        row = min((0, 1), key=lambda row: (edges[row] > x, edges[row] if edges[row] > x else row))
        begin = min(max(x, edges[row]), scale.right - width)
        edges[row] = begin + width
        y = 12 + 16 * row
        kind = "cut" if fault.breaks else "back"
        title = f"{name} at {signed_s(fault.requested_ns)}"
        spans = [(y + 4, lanes[0].top - LANE_LABEL), *((lane.top, lane.bottom) for lane in lanes)]
        yield join(
            *(el("line", x1=x, x2=x, y1=top, y2=end, class_=f"{kind} action") for top, end in spans),
            el("text", el("title", title), shown, x=begin + 3, y=y, class_=f"{kind} label"),
        )
