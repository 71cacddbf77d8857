"""Drawings of a staircase: who was out when, and what each network cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labctl.report.axis import Scale, draw_axis
from labctl.report.markup import Markup, el, join

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labctl.report.staircase_data import Staircase, TenantOutage

__all__ = ["cost_plot", "staircase_plot"]

WIDTH = 1080
LEFT = 92
RIGHT = WIDTH - 16
HEAD = 54
TALLEST = 640.0
COST_HEIGHT = 170


def staircase_plot(stairs: Staircase) -> Markup:
    """A row a tenant, the first in the range at the top: red while its gateway is silent."""
    row = min(max(TALLEST / max(len(stairs.tenants), 1), 5.0), 22.0)
    bottom = HEAD + row * len(stairs.tenants)
    scale = Scale(-0.01e9 * _end(stairs), 1.02e9 * _end(stairs), LEFT, RIGHT)
    rows = [_row(tenant, scale, HEAD + row * place, row) for place, tenant in enumerate(stairs.tenants)]
    return el(
        "svg",
        draw_axis(scale, HEAD, bottom, 12),
        *rows,
        *_labels(stairs, row),
        *_moments(stairs, scale, bottom),
        viewBox=f"0 0 {WIDTH} {bottom + 22:.0f}",
        role="img",
        aria_label="outage of each tenant's gateway, in the order of the range",
        class_="plot",
    )


def _end(stairs: Staircase) -> float:
    times = [tenant.answered_s for tenant in stairs.tenants] + [stairs.queue_s, stairs.networks_s]
    return max([time for time in times if time is not None], default=1.0)


def _row(tenant: TenantOutage, scale: Scale, top: float, height: float) -> Markup:
    pieces = []
    if tenant.stopped_s is not None:
        begin = scale(tenant.stopped_s * 1e9)
        end = scale.right if tenant.answered_s is None else scale(tenant.answered_s * 1e9)
        told = "never" if tenant.answered_s is None else f"after {tenant.answered_s:.2f} s"
        title = f"{tenant.label}: silent from {tenant.stopped_s:.3f} s, answers {told}"
        pieces.append(
            el(
                "rect",
                el("title", title),
                x=begin,
                y=top + 0.12 * height,
                width=max(end - begin, 1.0),
                height=0.76 * height,
                class_="out",
            )
        )
    if tenant.begun_s is not None and tenant.done_s is not None:
        begin, end = scale(tenant.begun_s * 1e9), scale(tenant.done_s * 1e9)
        title = f"{tenant.label}: {tenant.commands} commands in {tenant.done_s - tenant.begun_s:.2f} s"
        pieces.append(
            el(
                "rect",
                el("title", title),
                x=begin,
                y=top + 0.3 * height,
                width=max(end - begin, 1.5),
                height=0.4 * height,
                class_="work",
            )
        )
    return join(*pieces)


def _labels(stairs: Staircase, row: float) -> Iterator[Markup]:
    every = max(1, round(26 / row))
    last = len(stairs.tenants) - 1
    for place, tenant in enumerate(stairs.tenants):
        if place in (0, last) or (place % every == 0 and last - place >= every):
            y = HEAD + row * (place + 0.5) + 4
            yield el("text", tenant.label, x=LEFT - 8, y=y, text_anchor="end", class_="tick")


def _moments(stairs: Staircase, scale: Scale, bottom: float) -> Iterator[Markup]:
    marks = [
        (0.0, "fault", 0),
        (stairs.detected_s, "other node active", 1),
        (stairs.networks_s, "last network done", 0),
        (stairs.queue_s, "queue connected", 1),
    ]
    for moment, name, line in marks:
        if moment is None:
            continue
        x = scale(moment * 1e9)
        y = 16 + 18 * line
        right = x > (LEFT + RIGHT) / 2
        yield el("line", x1=x, x2=x, y1=y - 10, y2=bottom, class_="cut action")
        yield el(
            "text",
            f"{name}, {moment:.1f} s" if moment else name,
            x=x + (-5 if right else 5),
            y=y,
            text_anchor="end" if right else "start",
            class_="label",
        )


def cost_plot(stairs: Staircase) -> Markup:
    """Seconds of root commands for each network: iptables below, everything else above it."""
    tenants = stairs.tenants
    most = max((tenant.iptables_s + tenant.other_s for tenant in tenants), default=0.0) or 1.0
    bottom = 12.0 + COST_HEIGHT
    width = (RIGHT - LEFT) / max(len(tenants), 1)
    bars = []
    for place, tenant in enumerate(tenants):
        x, wide = LEFT + place * width + 0.1 * width, 0.8 * width
        low = tenant.iptables_s / most * COST_HEIGHT
        high = tenant.other_s / most * COST_HEIGHT
        title = f"{tenant.label}: {tenant.iptables_s:.2f} s iptables, {tenant.other_s:.2f} s others"
        for y, height, kind in ((bottom - low, low, "iptables"), (bottom - low - high, high, "others")):
            bars.append(el("rect", el("title", title), x=x, y=y, width=wide, height=height, class_=kind))
    grid = []
    for share in (0.0, 0.5, 1.0):
        y = bottom - share * COST_HEIGHT
        grid.append(el("line", x1=LEFT, x2=RIGHT, y1=y, y2=y, class_="grid"))
        grid.append(
            el("text", f"{share * most:.2f} s", x=LEFT - 8, y=y + 4, text_anchor="end", class_="tick")
        )
    ends = [(0, "start"), (len(tenants) - 1, "end")] if tenants else []
    for place, anchor in ends:
        x = LEFT if anchor == "start" else RIGHT
        grid.append(el("text", tenants[place].label, x=x, y=bottom + 16, text_anchor=anchor, class_="tick"))
    return el(
        "svg",
        *grid,
        *bars,
        viewBox=f"0 0 {WIDTH} {bottom + 24:.0f}",
        role="img",
        aria_label="seconds of root commands for each network",
        class_="plot",
    )
