"""A run at one glance: time from left to right, a lane a stream, a row a flow, every loss in its place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labctl.report.axis import Scale, draw_axis
from labctl.report.format import count, fault_name, signed_s, span
from labctl.report.markup import Markup, el, join

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from labctl.verdict.schema import FaultResult, LossSpan, RunResult, StreamResult

__all__ = ["timeline_plot"]

WIDTH = 1080
LEFT = 8
RIGHT = WIDTH - 8
HEAD = 40
"""Room above the lanes for the names of the actions, in two rows."""

LANE_LABEL = 20
LANE_GAP = 10
MOST_MARKS = 4000
"""A drawing of more losses than this says no more, and opens slowly."""


def timeline_plot(run: RunResult) -> Markup:
    """The drawing of one run, as SVG."""
    if not run.streams:
        return el("p", "no traffic was sent", class_="muted")
    starts = [loss.start_ns for loss in _losses(run)]
    scale = Scale(min([0, *starts]) - 0.01 * run.length_ns, max(run.length_ns, 1), LEFT, RIGHT)
    drawn = []
    top = float(HEAD)
    budget = MOST_MARKS
    lanes: list[tuple[float, float]] = []
    for stream in run.streams:
        height = _height(stream)
        lanes.append((top + LANE_LABEL, top + LANE_LABEL + height))
        drawn.append(_lane(stream, scale, lanes[-1], budget))
        budget -= sum(len(flow.losses) for flow in stream.flows)
        top = lanes[-1][1] + LANE_GAP
    bottom = lanes[-1][1] + 4
    return el(
        "svg",
        draw_axis(scale, lanes[0][0], bottom, 12),
        *(_frame(lane) for lane in lanes),
        *_gone(run.faults, scale, lanes),
        *_actions(run.faults, scale, lanes),
        *drawn,
        viewBox=f"0 0 {WIDTH} {bottom + 22:.0f}",
        role="img",
        aria_label=f"run {run.run}: losses of each stream over time",
        class_="plot",
    )


def _losses(run: RunResult) -> Iterator[LossSpan]:
    return (loss for stream in run.streams for flow in stream.flows for loss in flow.losses)


def _height(stream: StreamResult) -> float:
    return float(min(max(2 * len(stream.flows), 26), 128))


def _frame(lane: tuple[float, float]) -> Markup:
    return el("rect", x=LEFT, y=lane[0], width=RIGHT - LEFT, height=lane[1] - lane[0], class_="lane")


def _lane(stream: StreamResult, scale: Scale, lane: tuple[float, float], budget: int) -> Markup:
    told = (
        f"{count(stream.sent)} sent in {len(stream.flows)} flows: {count(stream.in_flight)} lost in flight, "
    )
    head = el(
        "text",
        el("tspan", stream.name, class_="name"),
        el("tspan", f"  {stream.source} → {stream.destination}  ", class_="muted"),
        el("tspan", told, class_="muted"),
        el(
            "tspan",
            f"{count(stream.convergence_loss)} to convergence",
            class_="bad name" if stream.convergence_loss else "muted",
        ),
        x=LEFT,
        y=lane[0] - 6,
    )
    row = (lane[1] - lane[0]) / max(len(stream.flows), 1)
    losses = [(flow.flow, loss) for flow in stream.flows for loss in flow.losses][: max(budget, 0)]
    marks = [_mark(loss, flow, scale, lane[0] + flow * row, max(row, 2.0)) for flow, loss in losses]
    return el("g", head, *marks)


def _mark(loss: LossSpan, flow: int, scale: Scale, y: float, height: float) -> Markup:
    begin, end = scale(loss.start_ns), scale(loss.start_ns + max(loss.outage_ns, 0))
    width = max(end - begin, 5.0)
    kind = "lost" if loss.convergence_loss else "flight"
    text = (
        f"flow {flow}: {loss.count} lost from {signed_s(loss.start_ns)}"
        f" ({loss.in_flight} in flight, {loss.convergence_loss} to convergence),"
        f" outage {span(loss.outage_ns)} ± {span(loss.error_ns)}"
    )
    return el("rect", el("title", text), x=begin, y=y, width=width, height=height, class_=kind)


def _gone(
    faults: Sequence[FaultResult], scale: Scale, lanes: Sequence[tuple[float, float]]
) -> Iterator[Markup]:
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
        for begin, finish in lanes:
            yield el("rect", x=left, y=begin, width=width, height=finish - begin, class_="off")


def _actions(
    faults: Sequence[FaultResult], scale: Scale, lanes: Sequence[tuple[float, float]]
) -> Iterator[Markup]:
    edges = [float("-inf"), float("-inf")]
    for fault in faults:
        x = scale(fault.first_ns)
        name = fault_name(fault)
        width = 7.4 * len(name) + 8
        # Two rows of names: the one that has room first, else the one that ends first.
        row = min((0, 1), key=lambda row: (edges[row] > x, edges[row] if edges[row] > x else row))
        begin = min(max(x, edges[row]), RIGHT - width)
        edges[row] = begin + width
        y = 12 + 16 * row
        kind = "cut" if fault.breaks else "back"
        title = f"{name} at {signed_s(fault.requested_ns)}"
        spans = [(y + 4, lanes[0][0] - LANE_LABEL), *lanes]
        yield join(
            *(el("line", x1=x, x2=x, y1=top, y2=end, class_=f"{kind} action") for top, end in spans),
            el("text", el("title", title), name, x=begin + 3, y=y, class_=f"{kind} label"),
        )
