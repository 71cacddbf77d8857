"""Time along a drawing: a scale, and ticks at round moments."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from labctl.report.markup import Markup, el, join

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Scale", "draw_axis"]


NEAR_EDGE = 20


@dataclass(frozen=True, slots=True)
class Scale:
    """Nanoseconds to places.

    Attributes:
        start_ns, end_ns: the span that is drawn; the end comes later.
        left, right: where these two are.
    """

    start_ns: float
    end_ns: float
    left: float
    right: float

    def __call__(self, t_ns: float) -> float:
        """The place of a moment; what lies outside stays at the edge."""
        share = (t_ns - self.start_ns) / (self.end_ns - self.start_ns)
        return self.left + min(max(share, 0.0), 1.0) * (self.right - self.left)

    def ticks(self, about: int = 8) -> Iterator[tuple[float, str]]:
        """Round moments and what they are called, about so many."""
        span = self.end_ns - self.start_ns
        unit, name = next(
            ((size, name) for size, name in ((1e9, "s"), (1e6, "ms"), (1e3, "µs")) if span >= 2 * size),
            (1.0, "ns"),
        )
        rough = span / unit / about
        size = 10 ** math.floor(math.log10(rough))
        step = next(size * factor for factor in (1, 2, 5, 10) if size * factor >= rough) * unit
        tick = math.ceil(self.start_ns / step) * step
        while tick <= self.end_ns:
            yield tick, f"{tick / unit:g} {name}"
            tick += step


def draw_axis(scale: Scale, top: float, bottom: float, about: int = 8) -> Markup:
    """Faint lines from top to bottom, with their moments below."""
    return join(
        *(
            join(
                el("line", x1=scale(tick), x2=scale(tick), y1=top, y2=bottom, class_="grid"),
                el(
                    "text",
                    text,
                    x=scale(tick),
                    y=bottom + 14,
                    class_="tick",
                    text_anchor=_anchor(scale, tick),
                ),
            )
            for tick, text in scale.ticks(about)
        )
    )


def _anchor(scale: Scale, tick: float) -> str:
    """A name at an edge stays inside."""
    place = scale(tick)
    if place < scale.left + NEAR_EDGE:
        return "start"
    return "end" if place > scale.right - NEAR_EDGE else "middle"
