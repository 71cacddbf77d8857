"""Which sides the gate announces to. Pure: what is seen goes in, what is to be done comes out.

A gateway stands between sides. To a side it announces what it knows of the others, and so draws
traffic for them; it must not do that while it cannot pass the traffic on. A side is

* *alive* while one of its ports at least is of use;
* *whole* while every one of its ports is.

The gate towards a side opens when all the other sides are whole and nothing has changed for a
moment, or when some are alive and those that are not have had their time. It stays open while one
of the others is alive: what is lost of a side is withdrawn by BGP, route by route.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Port:
    """What is seen of one interface.

    Attributes:
        carrier: whether the link is up, end to end.
        routes4: IPv4 routes from BGP that the kernel has through it.
        routes6: the same for IPv6.
        speaks_bgp: whether routes are awaited from behind it; a host announces none.
    """

    carrier: bool = False
    routes4: int = 0
    routes6: int = 0
    speaks_bgp: bool = True

    @property
    def useful(self) -> bool:
        """Whether traffic of either family can be passed on through it."""
        return self.carrier and (not self.speaks_bgp or self.routes4 > 0 or self.routes6 > 0)

    @property
    def whole(self) -> bool:
        """Whether traffic of both families can be passed on through it."""
        return self.carrier and (not self.speaks_bgp or (self.routes4 > 0 and self.routes6 > 0))

    def lack(self) -> str:
        """What it is waiting for; empty if nothing."""
        if not self.carrier:
            return "no carrier"
        if not self.speaks_bgp or self.whole:
            return ""
        if not self.useful:
            return "no routes"
        return "no IPv6 routes" if self.routes4 else "no IPv4 routes"


View = dict[str, dict[str, Port]]
"""Side -> interface -> what is seen of it."""


@dataclass(frozen=True)
class Rules:
    """Times in seconds: how long to wait for the silent, and for how long nothing may change."""

    settle: float = 3.0
    quiet: float = 0.2


@dataclass(frozen=True)
class Memory:
    """What is carried from one decision to the next.

    Attributes:
        open: sides that are announced to.
        waiting_since: for a closed side: when some of the others came alive.
        seen: what was seen last.
        changed_at: when that last changed, seconds of the monotonic clock.
    """

    open: frozenset[str] = frozenset()
    waiting_since: Mapping[str, float] = field(default_factory=dict)
    seen: View = field(default_factory=dict)
    changed_at: float = 0.0


def decide(view: View, now: float, memory: Memory, rules: Rules) -> tuple[Memory, float | None]:
    """Decide which sides are announced to.

    Args:
        view: what is seen.
        now: seconds of the monotonic clock.
        memory: of the last decision.
        rules: the times.

    Returns:
        The new memory, and when to decide again if nothing is seen before; None for never.
    """
    changed_at = memory.changed_at if view == memory.seen else now
    opened: set[str] = set()
    since: dict[str, float] = {}
    again: list[float] = []
    for side in view:
        # With one side only there is nothing to be between: it is enough that it is there itself.
        others = [ports for name, ports in view.items() if name != side] or [view[side]]
        if not any(port.useful for ports in others for port in ports.values()):
            continue
        if side in memory.open:
            opened.add(side)
            continue
        since[side] = memory.waiting_since.get(side, now)
        due = since[side] + rules.settle
        if all(port.whole for ports in others for port in ports.values()):
            due = min(due, changed_at + rules.quiet)
        if now >= due:
            opened.add(side)
            del since[side]
        else:
            again.append(due)
    after = replace(memory, open=frozenset(opened), waiting_since=since, seen=view, changed_at=changed_at)
    return after, min(again) if again else None


def describe(view: View, memory: Memory) -> str:
    """One line: ``open ...`` when every side is announced to, else what is being waited for."""
    closed = sorted(set(view) - memory.open)
    lacks = [
        f"{name} {port.lack()}" for ports in view.values() for name, port in ports.items() if port.lack()
    ]
    lack = f" ({', '.join(lacks)})" if lacks else ""
    if not closed:
        return f"open to {', '.join(sorted(view)) or 'nobody'}{lack}"
    return f"closed to {', '.join(closed)}{lack or ' (waiting for routes to settle)'}"
