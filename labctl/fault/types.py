"""What a fault did: when it was requested, and when it took effect as observed at the peers."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

__all__ = ["CarrierChange", "Effect", "PowerMode"]


class PowerMode(StrEnum):
    """How a node loses its power.

    ``cut``: carrier lost at every peer at once, all processes killed, no goodbye. ``graceful``:
    the node's stop program runs first, then as with ``cut``. ``freeze``: every
    process is stopped, carrier stays, the kernel goes on forwarding.
    """

    CUT = "cut"
    GRACEFUL = "graceful"
    FREEZE = "freeze"


@dataclass(frozen=True, slots=True)
class CarrierChange:
    """Carrier lost or found by the peer at the far end of one link.

    Attributes:
        node: the peer.
        interface: the peer's interface.
        t_ns: when the peer's kernel told of it; 0 if it never did.
    """

    node: str
    interface: str
    t_ns: int


@dataclass(frozen=True, slots=True)
class Effect:
    """One action on a running lab and its measured effect.

    Attributes:
        action: ``power-off``, ``power-on``, ``link-cut``, ``link-restore``, ...
        target: node, or ``a:b`` for a link.
        requested_ns: when it was asked for.
        first_ns: first effect at a peer (first carrier change); equal to ``done_ns`` if the action
            has no effect at a peer.
        last_ns: last effect at a peer (last carrier change): the window is ``last_ns - first_ns``.
        done_ns: when the action returned (every process gone, every link back).
        carriers: every carrier change that was awaited, one per link.
        detail: plain JSON values besides.
    """

    action: str
    target: str
    requested_ns: int
    first_ns: int
    last_ns: int
    done_ns: int
    carriers: tuple[CarrierChange, ...] = ()
    detail: dict[str, str | int | float | bool] = field(default_factory=dict)
