"""A link that flaps: carrier is lost and found again several times, for as short as the kernel can.

A flap of less than a millisecond may never reach a routing daemon, while the kernel has dropped the routes
that it knew by that link. The evidence is the peer's own count of lost carriers.
"""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

from labctl import signals
from labctl.errors import ActionError
from labctl.events import now_ns
from labctl.fault.ends import label, link_between, place
from labctl.fault.linkstate import CUT, admin_down_end, note_cut, set_ends_up
from labctl.fault.registry import clear, in_force, lock_nodes
from labctl.fault.types import Effect
from labctl.linux import netlink
from labctl.linux.netns import inside
from labctl.linux.scheduling import realtime

if TYPE_CHECKING:
    from pathlib import Path

    from labctl.events import Listener
    from labctl.lab.runtime import Runtime
    from labctl.lab.state import LabDir
    from labctl.model.lab import Endpoint

__all__ = ["ACTION", "flap_link"]

ACTION = "link-flap"
_PRIORITY = 10
_SPIN_NS = 2_000_000
_COUNT_TIMEOUT_S = 5.0


def flap_link(
    runtime: Runtime,
    lab: LabDir,
    a: str,
    b: str,
    listen: Listener,
    *,
    down_ns: int,
    times: int = 1,
    every_ns: int = 0,
) -> Effect:
    """Take a link's carrier away and give it back, several times.

    Args:
        runtime: that runs the lab.
        lab: the lab.
        a: a node, or ``node:interface``.
        b: the node at the other end, in the same way.
        listen: gets nothing here; for the sake of one form for all faults.
        down_ns: between the two requests to the kernel; 0 for both in one.
        times: how often.
        every_ns: from one loss of carrier to the next; no less than ``down_ns``.

    Returns:
        The effect; ``first_ns`` is just before the first loss of carrier, ``last_ns`` just after the carrier
        was back for the last time. ``detail``: ``times``; ``down_ns_least`` and ``down_ns_most``: from before
        the kernel was asked to take the carrier until it had given it back; ``peer_carrier_downs``: by how
        much the count of the far end has risen, -1 if the node cannot tell.

    Raises:
        ActionError: no such link, an end has no power, or the far end has seen fewer losses of carrier.
    """
    del listen
    requested = now_ns()
    link = link_between(lab, a, b)
    held = admin_down_end(lab, link)
    peer = link.a if held == link.b else link.b
    with lock_nodes(lab, (link.a.node, link.b.node)):
        if in_force(lab, CUT, label(link)):
            raise ActionError(f"{label(link)} is cut: it cannot flap")
        where = _running(runtime, lab, held)
        _running(runtime, lab, peer)
        before = _carrier_downs(runtime, lab, peer)
        # Whoever finds the link down after a kill of labctl restores it as one that was cut.
        note_cut(lab, link, held, where)
        try:
            spans = _flap(where, held.interface, down_ns, times, every_ns)
        finally:
            with signals.held():
                set_ends_up(runtime, lab, link)
                clear(lab, CUT, label(link))
    seen = _carrier_downs(runtime, lab, peer) - before if before >= 0 else -1
    if 0 <= seen < times:
        raise ActionError(f"{peer} has seen {seen} losses of carrier, of {times}")
    lengths = [end - begin for begin, end in spans]
    detail: dict[str, str | int | float | bool] = {
        "times": times,
        "down_ns_least": min(lengths),
        "down_ns_most": max(lengths),
        "peer_carrier_downs": seen,
        "not_before_ns": spans[0][0],
        "window_ns": spans[-1][1] - spans[0][0],
    }
    return Effect(ACTION, label(link), requested, spans[0][0], spans[-1][1], now_ns(), detail=detail)


def _running(runtime: Runtime, lab: LabDir, end: Endpoint) -> Path:
    where = place(runtime, lab, end.node)
    if where is None or where.parent == lab.parked:
        raise ActionError(f"{end.node} has no power: its link cannot flap")
    return where


def _flap(where: Path, interface: str, down_ns: int, times: int, every_ns: int) -> list[tuple[int, int]]:
    """Moments just before each loss of carrier, and just after it was back."""
    spans = []
    with contextlib.closing(inside(where, netlink.Route)) as route, realtime(_PRIORITY):
        index = inside(where, lambda: netlink.index_of(interface))
        messages = [[netlink.set_link(index, up=wanted)] for wanted in (False, True)]
        # What is shortest is both in one message.
        batches = messages if down_ns else [[one for message in messages for one in message]]
        due = now_ns()
        for _ in range(times):
            prepared = [route.prepare(batch) for batch in batches]
            _until(due)
            begin = now_ns()
            for number, message in enumerate(prepared):
                _until(begin + number * down_ns)
                route.send(message)
            spans.append((begin, now_ns()))
            due += every_ns
    return spans


def _until(moment: int) -> None:
    """Sleep, and for the last 2 ms poll the clock: a sleep ends late by more than a short flap lasts."""
    while (left := moment - now_ns()) > 0:
        if left > _SPIN_NS:
            time.sleep((left - _SPIN_NS) / 1e9)


def _carrier_downs(runtime: Runtime, lab: LabDir, end: Endpoint) -> int:
    """The kernel's count for one end, from the node's own sysfs; -1 if it has none."""
    path = f"/sys/class/net/{end.interface}/carrier_down_count"
    done = runtime.exec(lab, end.node, ["cat", path], timeout_s=_COUNT_TIMEOUT_S)
    text = done.stdout.strip()
    return int(text) if done.ok and text.isdigit() else -1
