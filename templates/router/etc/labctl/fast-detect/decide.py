"""Decides when a neighbour is declared dead; its link is then taken down for a moment. Pure.

Only a protocol that polls a neighbour can detect that it drops everything while its link keeps carrier. The
kernel itself handles a lost link: every route through it is out of use at once, in both families,
and the rest of each group of equal next hops stays in use. So the link's own end is taken down for a
moment. By then the routing daemons at both ends have dropped their session; it comes back only when
packets pass again, and routes with it.

Time is counted in ticks of this process: a process that did not run could not receive. A machine that stands
still for a while declares nobody dead. A neighbour whose kernel goes on sending is not dead either: its
hellos come from a process, which a busy machine may keep waiting for longer than a few ticks, while packets
pass.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

TRUSTED = 10
"""So many ticks in which a neighbour was heard before its silence means anything."""


@dataclass(frozen=True)
class Neighbour:
    """What is known of the neighbour behind one link.

    Attributes:
        heard: ticks in which it was heard, since it was last silent; no further than TRUSTED.
        missed: ticks in a row in which it was not.
        frames: how many frames of any kind had come by the last of these.
    """

    heard: int = 0
    missed: int = 0
    frames: int = 0


def tick(
    seen: Neighbour, *, heard: bool, late: bool, misses: int, frames: Callable[[], int]
) -> tuple[Neighbour, bool]:
    """One tick of a link that we do not hold down.

    Args:
        seen: so far.
        heard: whether anything came from the neighbour since the last tick.
        late: whether this tick comes so late that the neighbour may have been kept waiting, too.
        misses: so many silent ticks in a row are death.
        frames: counts the frames of any kind that have come so far; asked only about who is not heard.

    Returns:
        What is known now, and whether the neighbour has just died.
    """
    if heard:
        return Neighbour(min(seen.heard + 1, TRUSTED)), False
    if late:
        return seen, False
    count = frames()
    # In the first of these ticks something may have come before the silence began.
    missed = 1 if seen.missed and count != seen.frames else seen.missed + 1
    if missed < misses:
        return replace(seen, missed=missed, frames=count), False
    return Neighbour(), seen.heard >= TRUSTED
