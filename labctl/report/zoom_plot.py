"""The moment of each fault, close up: which packets left when, and which of them the cut explains.

The runs of a series lie on top of one another, each at its own last carrier lost. Streams that are not
judged are left out: they would stretch the span that is drawn.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from labctl.report.axis import Scale, draw_axis
from labctl.report.format import count, fault_name, moment_name, span
from labctl.report.markup import Markup, el, join

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from labctl.verdict.schema import FaultResult, LossSpan, Result, RunResult

__all__ = ["zoom_plots"]

WIDTH = 520
LEFT = 8
RIGHT = WIDTH - 8
TOP = 26
LANE = 64.0
FOLDED = 10.0
"""Height of a lane in which nothing was lost."""

GAP = 18
LEAST_NS = 4_000_000
"""So much is shown before and after the cut at least."""

MOST_MARKS = 1500


@dataclass(frozen=True, slots=True)
class _Moment:
    run: RunResult
    fault: FaultResult

    def losses(self, stream: str) -> Iterator[tuple[int, int, LossSpan]]:
        """(flow, flows, loss) of what is put down to the fault."""
        for one in self.run.streams:
            if one.name != stream:
                continue
            for flow in one.flows:
                for loss in flow.losses:
                    if loss.step == self.fault.index:
                        yield flow.flow, len(one.flows), loss


def zoom_plots(result: Result, judged: Collection[str]) -> list[Markup]:
    """A drawing for each action of the timeline that took something away, or lost something.

    Args:
        result: all runs.
        judged: streams of which some expectation says how much they may lose. Where there are none, all.
    """
    groups: dict[tuple[int, str], list[_Moment]] = {}
    for run in result.runs:
        for fault in run.faults:
            groups.setdefault((fault.step, fault_name(fault)), []).append(_Moment(run, fault))
    return [
        _zoom(name, moments, judged)
        for (_, name), moments in groups.items()
        if any(one.fault.breaks or one.fault.convergence_loss for one in moments)
    ]


def _zoom(name: str, moments: Sequence[_Moment], judged: Collection[str]) -> Markup:
    every = list(dict.fromkeys(stream.name for moment in moments for stream in moment.run.streams))
    streams = [stream for stream in every if stream in judged] or every
    before, after = _extent(moments, streams)
    scale = Scale(-before, after, LEFT, RIGHT)
    lanes = []
    top = float(TOP)
    for stream in streams:
        lost_any = any(True for moment in moments for _ in moment.losses(stream))
        height = LANE if lost_any else FOLDED
        lanes.append(_lane(moments, stream, scale, (top, height)))
        lanes.append(
            el("line", x1=scale(0), x2=scale(0), y1=top + 14, y2=top + 14 + height, class_="cut action")
        )
        top += height + GAP
    return el(
        "figure",
        _caption(name, moments, quiet=not set(streams) <= set(judged)),
        el(
            "svg",
            draw_axis(scale, TOP, top, 6),
            *lanes,
            _name_of_zero(scale, moment_name(moments[0].fault)),
            viewBox=f"0 0 {WIDTH} {top + 22:.0f}",
            role="img",
            aria_label=f"{name}: losses around the moment",
            class_="plot",
        ),
    )


def _caption(name: str, moments: Sequence[_Moment], *, quiet: bool) -> Markup:
    flight = sum(moment.fault.in_flight for moment in moments)
    lost = sum(moment.fault.convergence_loss for moment in moments)
    null = sum(moment.fault.null for moment in moments)
    runs = (
        f" in {len(moments)} runs" if len(moments) > 1 else f" at {moments[0].fault.requested_ns / 1e9:.3f} s"
    )
    told = f"{count(flight)} in flight, {count(lost)} to convergence" + (
        f", {null} null trials" if null else ""
    )
    loud = lost and not quiet
    return el("figcaption", el("b", name), runs, ": ", el("span", told, class_="bad" if loud else "muted"))


def _name_of_zero(scale: Scale, text: str) -> Markup:
    x = scale(0)
    on_the_left = x > (LEFT + RIGHT) / 2
    return el(
        "text",
        text,
        x=x - 5 if on_the_left else x + 5,
        y=TOP - 8,
        text_anchor="end" if on_the_left else "start",
        class_="cut label",
    )


def _extent(moments: Sequence[_Moment], streams: Sequence[str]) -> tuple[float, float]:
    """How much is shown before and after the last carrier lost, ns."""
    before = after = float(LEAST_NS)
    for moment in moments:
        zero = moment.fault.last_ns
        if moment.fault.breaks and moment.fault.excused_from_ns <= moment.fault.excused_to_ns:
            before = max(before, (zero - moment.fault.excused_from_ns) * 1.3)
        for stream in streams:
            for _, _, loss in moment.losses(stream):
                before = max(before, (zero - loss.start_ns) * 1.1)
                after = max(after, (loss.end_ns - zero) * 1.1)
    # The moment itself must not stick to an edge.
    return max(before, 0.08 * after), max(after, 0.08 * before)


def _lane(moments: Sequence[_Moment], stream: str, scale: Scale, place: tuple[float, float]) -> Markup:
    top, height = place
    marks: list[Markup] = []
    excused = []
    for moment in moments:
        fault = moment.fault
        if fault.breaks and fault.excused_from_ns <= fault.excused_to_ns:
            left, right = (
                scale(fault.excused_from_ns - fault.last_ns),
                scale(fault.excused_to_ns - fault.last_ns),
            )
            shade = el(
                "rect",
                x=left,
                y=top + 14,
                width=max(right - left, 1),
                height=height,
                class_="excused",
                style=f"opacity:{max(0.3 / len(moments), 0.03):.3f}",
            )
            excused.append(shade)
        for flow, flows, loss in moment.losses(stream):
            if len(marks) < MOST_MARKS:
                y = top + 14 + (flow + 0.5) * height / flows
                marks.append(_mark(loss, flow, moment, scale, y))
    return join(
        el("rect", x=LEFT, y=top + 14, width=RIGHT - LEFT, height=height, class_="lane"),
        *excused,
        *marks,
        el(
            "text",
            el("tspan", stream, class_="name"),
            None if marks else el("tspan", "  no loss began here", class_="muted"),
            x=LEFT,
            y=top + 10,
        ),
    )


def _mark(loss: LossSpan, flow: int, moment: _Moment, scale: Scale, y: float) -> Markup:
    zero = moment.fault.last_ns
    kind = "lost" if loss.convergence_loss else "flight"
    left = f"left {span(loss.start_ns - zero)} after: {moment_name(moment.fault)}"
    outage = f"outage {span(loss.outage_ns)} ± {span(loss.error_ns)}"
    text = f"run {moment.run.run}, flow {flow}: {loss.count} lost, {left}; {outage}"
    x1, x2 = scale(loss.start_ns - zero), scale(loss.end_ns - zero)
    if x2 - x1 < 2:  # noqa: PLR2004 - a dot is seen better than so short a line
        return el("circle", el("title", text), cx=x1, cy=y, r=3, class_=kind)
    return el("line", el("title", text), x1=x1, x2=x2, y1=y, y2=y, class_=f"{kind} period")
