"""Designs on the same axes: time since the fault, on a scale of powers of ten."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from labctl.report.compare_data import share_out
from labctl.report.markup import Markup, el

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from labctl.report.compare_data import Design

__all__ = ["COLOURS", "flow_plot", "quantile_plot", "share_plot"]

COLOURS = ("var(--c0)", "var(--c1)", "var(--c2)", "var(--c3)", "var(--c4)", "var(--c5)")
WIDTH = 1080
LEFT, RIGHT = 60, 1064
TOP, BOTTOM = 22, 282
NONE_AT = 310
"""Where a flow stands that had no outage: below the scale, which has no zero."""
FIRST_S = 0.001
STEPS_A_DECADE = 60
_MINUTES_S = (60, 600, 3600)
"""Lines of their own, named above the drawing: powers of ten of a second say little of minutes."""
_UNITS = {-3: "1 ms", -2: "10 ms", -1: "100 ms", 0: "1 s", 1: "10 s", 2: "100 s", 3: "1000 s", 4: "10,000 s"}


def _decades(designs: Sequence[Design]) -> int:
    """So many powers of ten from a millisecond on hold every outage."""
    longest = max((one.end_s for design in designs for one in design.outages), default=1.0)
    return max(1, math.ceil(math.log10(max(longest, 10 * FIRST_S) / FIRST_S)))


def _x(seconds: float, decades: int) -> float:
    share = math.log10(max(seconds, FIRST_S) / FIRST_S) / decades
    return LEFT + min(share, 1.0) * (RIGHT - LEFT)


def _y(share: float) -> float:
    return BOTTOM - share * (BOTTOM - TOP)


def share_plot(designs: Sequence[Design]) -> Markup:
    """Share of flows without service over the time since the fault."""
    decades = _decades(designs)
    moments = [FIRST_S * 10 ** (step / STEPS_A_DECADE) for step in range(decades * STEPS_A_DECADE + 1)]
    return _plot(
        designs,
        decades,
        lambda design: [(_x(moment, decades), _y(share_out(design, moment))) for moment in moments],
        "share of flows without service, over the time since the fault",
    )


def quantile_plot(designs: Sequence[Design]) -> Markup:
    """Share of flows whose longest outage at a fail-over was no longer than this."""
    decades = _decades(designs)

    def line(design: Design) -> list[tuple[float, float]]:
        below = design.flows - design.hit
        points = [(LEFT * 1.0, _y(below / max(design.flows, 1)))]
        for place, seconds in enumerate(design.longest_s, start=1):
            points.append((_x(seconds, decades), points[-1][1]))
            points.append((_x(seconds, decades), _y((below + place) / design.flows)))
        points.append((RIGHT * 1.0, points[-1][1]))
        return points

    return _plot(designs, decades, line, "share of flows whose outage was no longer than this")


def _plot(
    designs: Sequence[Design], decades: int, line: Callable[[Design], list[tuple[float, float]]], label: str
) -> Markup:
    lines = []
    for at, design in enumerate(designs):
        points = " L".join(f"{x:.1f} {y:.1f}" for x, y in line(design))
        style = f"fill:none;stroke-width:2.5;stroke:{COLOURS[at % len(COLOURS)]}"
        lines.append(el("path", d=f"M{points}", style=style))
    return el(
        "svg",
        *_grid(decades),
        *lines,
        viewBox=f"0 0 {WIDTH} {BOTTOM + 24}",
        role="img",
        aria_label=label,
        class_="plot",
    )


def flow_plot(designs: Sequence[Design], stream: str) -> Markup:
    """The longest outage of each flow of a stream, in the order of the flows: a dot a flow and design."""
    decades = _decades(designs)
    count = max(len(design.streams[stream].flows) for design in designs)
    step = (RIGHT - LEFT) / max(count, 1)
    radius = min(max(step / 5, 2.0), 5.0)
    dots = []
    for at, design in enumerate(designs):
        colour = COLOURS[at % len(COLOURS)]
        for place, flow in enumerate(design.streams[stream].flows):
            x = LEFT + (place + 0.5) * step
            told = "no outage seen" if not flow.seconds else f"out for {flow.seconds:.3f} s"
            title = f"{design.name}, flow {place + 1}: {told}" + (", never back" if flow.open else "")
            # Designs without an outage stand beside one another, not on top of one another.
            aside = (at - (len(designs) - 1) / 2) * 2 * radius if not flow.seconds else 0.0
            y = _y(_height(flow.seconds, decades)) if flow.seconds else NONE_AT
            style = f"fill:{colour}" if not flow.open else f"fill:none;stroke:{colour};stroke-width:2"
            dots.append(el("circle", el("title", title), cx=x + aside, cy=y, r=radius, style=style))
    return el(
        "svg",
        *_flow_grid(decades, count, step),
        *dots,
        viewBox=f"0 0 {WIDTH} {NONE_AT + 34}",
        role="img",
        aria_label=f"{stream}: longest outage of each flow",
        class_="plot",
    )


def _height(seconds: float, decades: int) -> float:
    return min(math.log10(max(seconds, FIRST_S) / FIRST_S) / decades, 1.0)


def _flow_grid(decades: int, count: int, step: float) -> Iterator[Markup]:
    for power in range(decades + 1):
        y = _y(power / decades)
        yield el("line", x1=LEFT, x2=RIGHT, y1=y, y2=y, class_="grid")
        text = _UNITS.get(power - 3, f"10^{power - 3} s")
        yield el("text", text, x=LEFT - 8, y=y + 4, text_anchor="end", class_="tick")
    yield el("text", "none", x=LEFT - 8, y=NONE_AT + 4, text_anchor="end", class_="tick")
    yield el("line", x1=LEFT, x2=RIGHT, y1=NONE_AT, y2=NONE_AT, class_="grid")
    every = max(1, round(40 / step))
    for place in range(count):
        last = place == count - 1
        if last or (place % every == 0 and count - 1 - place >= every):
            x = LEFT + (place + 0.5) * step
            yield el("text", place + 1, x=x, y=NONE_AT + 28, text_anchor="middle", class_="tick")


def _grid(decades: int) -> Iterator[Markup]:
    for power in range(decades + 1):
        x = LEFT + power / decades * (RIGHT - LEFT)
        anchor = "end" if power == decades else "middle"
        yield el("line", x1=x, x2=x, y1=TOP, y2=BOTTOM, class_="grid")
        text = _UNITS.get(power - 3, f"10^{power - 3} s")
        yield el("text", text, x=x, y=BOTTOM + 16, text_anchor=anchor, class_="tick")
    for seconds in _MINUTES_S:
        if FIRST_S * 10**decades > seconds:
            x = _x(seconds, decades)
            yield el("line", x1=x, x2=x, y1=TOP, y2=BOTTOM, class_="grid", stroke_dasharray="3 4")
            yield el("text", f"{seconds // 60} min", x=x, y=TOP - 8, text_anchor="middle", class_="tick")
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        yield el("line", x1=LEFT, x2=RIGHT, y1=_y(share), y2=_y(share), class_="grid")
        yield el("text", f"{share:.0%}", x=LEFT - 8, y=_y(share) + 4, text_anchor="end", class_="tick")
