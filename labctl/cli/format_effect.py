"""The effect of a fault in words: when it took effect, at which peers, and within what window."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from labctl.fault.types import Effect

__all__ = ["as_json", "as_lines"]


def as_json(effect: Effect) -> dict[str, Any]:
    """Every field of the effect, and the window in microseconds (see :func:`window_us`)."""
    return {**asdict(effect), "window_us": window_us(effect)}


def window_us(effect: Effect) -> float:
    """How long the fault took to take hold at every peer, in microseconds.

    From the moment before which it cannot have taken effect at any (the kernel was notified), to the
    last report of a peer. The first report is no start: labctl may read all reports together, late.
    """
    started = min(int(effect.detail.get("not_before_ns", effect.first_ns)), effect.first_ns)
    return (effect.last_ns - started) / 1e3


def as_lines(effect: Effect) -> list[str]:
    """One line for the action, one for every peer that saw it.

    Times are counted from the request. A peer that never told is said so: that fault is not whole.
    """
    mode = f" ({effect.detail['mode']})" if "mode" in effect.detail else ""
    name = f"{effect.action} {effect.target}{mode}"
    if effect.detail.get("already"):
        return [f"{name}: was so already"]
    lines = [f"{name}: done {_ms(effect.done_ns - effect.requested_ns)} after the request"]
    seen = [change for change in effect.carriers if change.t_ns]
    if seen:
        what = "lost" if _loses(effect.action) else "found"
        lines.append(f"carrier {what} at {_peers(len(seen))}, all within {window_us(effect):.0f} µs")
    for change in effect.carriers:
        when = f"+{_ms(change.t_ns - effect.requested_ns)}" if change.t_ns else "no carrier change was seen"
        lines.append(f"  {change.node}:{change.interface}  {when}")
    return lines


def _loses(action: str) -> bool:
    return action in ("power-off", "link-cut")


def _peers(count: int) -> str:
    return f"{count} peer end" + ("s" if count != 1 else "")


def _ms(nanoseconds: int) -> str:
    return f"{nanoseconds / 1e6:.3f} ms"
