"""When each packet is due: an absolute schedule, so that no lateness ever adds up."""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["CATCH_UP_NS", "Schedule"]

CATCH_UP_NS = 100_000_000
"""A packet later than this is skipped: a sender that was stalled does not flood the network."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """A periodic stream (RFC 3432) whose packets take the flows in turn.

    Packet ``k`` belongs to flow ``k % flows``, has that flow's sequence number ``k // flows`` and
    is due at ``start_ns + floor(k * period_ns)``.

    Attributes:
        start_ns: when packet 0 is due.
        period_ns: between packets of the stream; a flow's own spacing is ``flows`` times that.
        flows: number of flows.
    """

    start_ns: int
    period_ns: float
    flows: int

    @property
    def spacing_ns(self) -> int:
        """Between packets of one flow."""
        return round(self.period_ns * self.flows)

    def due_ns(self, k: int) -> int:
        """When packet ``k`` is due."""
        return self.start_ns + int(k * self.period_ns)

    def first_at(self, t_ns: int) -> int:
        """The first packet that is due at ``t_ns`` or later."""
        k = max(0, math.ceil((t_ns - self.start_ns) / self.period_ns))
        while k > 0 and self.due_ns(k - 1) >= t_ns:
            k -= 1
        while self.due_ns(k) < t_ns:
            k += 1
        return k
