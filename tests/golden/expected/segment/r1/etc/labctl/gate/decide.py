"""Decides what the route gate opens and closes. Pure: observations in, actions out.

A gateway stands between sides. To a side it announces what it knows of the others, and so attracts
traffic for them; it must not announce while it cannot forward that traffic. A side is

* *alive* while at least one of its ports is usable;
* *whole* while every one of its ports is;
* *dark* while none of its ports has carrier.

**Policy.** The gate towards a side opens when all the other sides are whole and nothing has changed
for a moment, or when some are alive and the time-out for the rest is over. It stays open while
one of the others is alive: BGP withdraws the lost routes of a side one by one.

**Tracking.** While all the other sides are dark, the links to a side are held down, once the gate to
it has been open: the neighbours see the carrier go and use other paths within a millisecond or two,
long before a withdrawal reaches them. A side that is held counts as lit, so that no two sides are
ever held on account of one another.

**Hosts.** A host with several uplinks runs no routing protocol: it uses a link as soon as the link has
carrier. After boot the link to such a host stays down until the node can forward its traffic.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


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
        if not self.useful:
            return "no routes"
        if not self.whole:
            return "no IPv6 routes" if self.routes4 else "no IPv4 routes"
        return ""


View = dict[str, dict[str, Port]]
"""Side -> interface -> what is seen of it. A router that is no gateway has one side."""


@dataclass(frozen=True)
class Rules:
    """What was configured.

    Attributes:
        gates: whether what is announced to a side depends on the others.
        track: whether the links to a side are held down while all the others are dark.
        hosts: interfaces to hosts with several uplinks.
        quiet: seconds without a change before anything opens.
        settle: seconds after which those that are silent are waited for no more.
        patience: seconds after boot when hosts are let in although no neighbour is alive.
    """

    gates: bool = True
    track: bool = True
    hosts: frozenset[str] = frozenset()
    quiet: float = 0.2
    settle: float = 3.0
    patience: float = 30.0


@dataclass(frozen=True)
class Memory:
    """What was decided, and what is needed to decide again.

    Attributes:
        open: sides that are announced to.
        been_open: sides that were announced to at some time.
        held: sides whose links are held down.
        hosts_up: whether the links to hosts are up.
        alive_since: for whatever is still closed (a side, or ``""`` for the hosts): when what it
            waits for came alive.
        seen: what was seen last.
        changed_at: when that last changed.
        started: when the first decision was taken; all times are seconds of one clock.
    """

    open: frozenset[str] = frozenset()
    been_open: frozenset[str] = frozenset()
    held: frozenset[str] = frozenset()
    hosts_up: bool = False
    alive_since: Mapping[str, float] = field(default_factory=dict)
    seen: View = field(default_factory=dict)
    changed_at: float = 0.0
    started: float | None = None


def decide(view: View, now: float, memory: Memory, rules: Rules) -> tuple[Memory, float | None]:
    """Decide what is open.

    Args:
        view: what is seen.
        now: seconds.
        memory: of the last decision.
        rules: what was configured.

    Returns:
        The new memory, and when to decide again if nothing changes before; None for never.
    """
    started = now if memory.started is None else memory.started
    changed_at = memory.changed_at if view == memory.seen else now
    since: dict[str, float] = {}
    again: list[float] = []

    def opens(name: str, awaited: list[Port]) -> bool:
        if not any(port.useful for port in awaited):
            return False
        since[name] = memory.alive_since.get(name, now)
        due = since[name] + rules.settle
        if all(port.whole for port in awaited):
            due = min(due, changed_at + rules.quiet)
        if now < due:
            again.append(due)
        return now >= due

    opened = set()
    for side in view if rules.gates else ():
        others = _others(view, side)
        keep = any(port.useful for port in others) if side in memory.open else opens(side, others)
        if keep:
            opened.add(side)
    hosts_up = memory.hosts_up or not rules.hosts
    if not hosts_up:
        hosts_up = opens("", [port for port in _all(view) if port.speaks_bgp])
        hosts_up = hosts_up or now >= started + rules.patience
        again.append(started + rules.patience)
    after = Memory(
        open=frozenset(opened),
        been_open=memory.been_open | opened,
        held=_held(view, memory) if rules.track and rules.gates else frozenset(),
        hosts_up=hosts_up,
        alive_since={name: time for name, time in since.items() if name not in opened},
        seen=view,
        changed_at=changed_at,
        started=started,
    )
    return after, min((time for time in again if time > now), default=None)


def _held(view: View, memory: Memory) -> frozenset[str]:
    lit = {side for side, ports in view.items() if any(port.carrier for port in ports.values())}
    lit |= memory.held
    return frozenset(
        side for side in lit & memory.been_open if len(view) > 1 and not (lit - {side}) & set(view)
    )


def _others(view: View, side: str) -> list[Port]:
    """The ports of all other sides; where there are none, of the side itself."""
    others = [port for name, ports in view.items() if name != side for port in ports.values()]
    return others or list(view[side].values())


def _all(view: View) -> Iterable[Port]:
    return (port for ports in view.values() for port in ports.values())


def describe(view: View, memory: Memory, rules: Rules) -> str:
    """One line: begins with ``open`` when nothing is closed or held; says what is lacking."""
    closed = [f"closed to {side}" for side in sorted(set(view) - memory.open) if rules.gates]
    closed += [f"links to {side} held down" for side in sorted(memory.held)]
    if not memory.hosts_up:
        closed.append(f"links to hosts held down: {', '.join(sorted(rules.hosts))}")
    lacks = [
        f"{name} {port.lack()}"
        for ports in view.values()
        for name, port in sorted(ports.items())
        if port.lack() and not (name in rules.hosts and not memory.hosts_up)
    ]
    return ", ".join(closed or ["open"]) + (f" ({', '.join(lacks)})" if lacks else "")
