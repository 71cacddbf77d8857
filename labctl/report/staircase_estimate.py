"""What a fail-over of few networks says of one of many. Pure.

A network costs a fixed part (commands whose work does not depend on the others) and the applies,
each of which rewrites all rules that are there: these grow with the network's place in the range.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from labctl.report.staircase_data import Staircase

__all__ = ["LEAST_FOR_GROWTH", "Estimate", "estimate"]

LEAST_FOR_GROWTH = 25
"""Networks that it takes to tell growth from noise: a line through ten of a real run was half as much again
beyond what a hundred then took."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """Seconds after the fault at which each of so many networks would be done.

    Attributes:
        flat_s: as if each network cost the mean of those measured: a lower bound.
        growing_s: with the cost growing along the range as it did; empty where too few were measured. As
            measured, where that many were.
        growth_s: seconds that a network costs more than the one before it.
    """

    flat_s: tuple[float, ...]
    growing_s: tuple[float, ...]
    growth_s: float

    def places(self, low_s: float, high_s: float, total_s: float) -> tuple[int, int]:
        """1-based places that are done between two moments, were the whole range to take ``total_s``."""
        times = self.growing_s or self.flat_s
        scale = total_s / times[-1]
        done = [sum(1 for time in times if time * scale <= moment) for moment in (low_s, high_s)]
        return done[0] + 1, max(done[1], done[0] + 1)


def estimate(stairs: Staircase, count: int) -> Estimate | None:
    """For ``count`` networks on the same machine at the same load; None if no network was done.

    The growth is a least-squares line through the cost of each network over its place.
    """
    begin = stairs.read_s or 0.0
    costs = [
        tenant.done_s - tenant.begun_s
        for tenant in stairs.tenants
        if tenant.begun_s is not None and tenant.done_s is not None
    ]
    if not costs:
        return None
    mean = sum(costs) / len(costs)
    flat = tuple(accumulate([mean] * count, initial=begin))[1:]
    if len(costs) < LEAST_FOR_GROWTH:
        return Estimate(flat, (), 0.0)
    middle = (len(costs) - 1) / 2
    spread = sum((place - middle) ** 2 for place in range(len(costs)))
    slope = sum((place - middle) * (cost - mean) for place, cost in enumerate(costs)) / spread
    if len(costs) == count:
        return Estimate(flat, tuple(accumulate(costs, initial=begin))[1:], slope)
    # Noise may make the line fall; rules never get fewer.
    slope = max(slope, 0.0)
    line = [mean + slope * (place - middle) for place in range(count)]
    return Estimate(flat, tuple(accumulate(line, initial=begin))[1:], slope)
