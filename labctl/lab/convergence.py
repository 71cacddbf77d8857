"""Waits until the routes of a lab have converged: a node can be ready while routes to far nodes still spread.

The tables are read from outside, in /proc/PID/net, without a process in any node.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import time
from pathlib import Path
from typing import TYPE_CHECKING

from labctl.lab.definition_cache import definition_of, plan_of

if TYPE_CHECKING:
    from collections.abc import Collection

    from labctl.lab.runtime import Runtime
    from labctl.lab.state import LabDir

__all__ = ["destinations", "loopbacks", "wait_settled"]

QUIET_S = 0.5
_PAUSE_S = 0.05
_WHOLE = "FFFFFFFF"


def wait_settled(runtime: Runtime, lab: LabDir, patience_s: float) -> bool:
    """Wait until every router has a route to every loopback, or until no route has come or gone for a while.

    The second is for labs whose policy keeps some loopbacks from some routers, and for files that
    others wrote, of which nobody knows the loopbacks.

    Args:
        runtime: that runs the lab.
        lab: the lab, all of its nodes ready.
        patience_s: seconds to wait at the most.

    Returns:
        Whether every router has a route to every loopback.
    """
    routers = {
        spec.name for spec in definition_of(lab).nodes if spec.sysctls.get("net.ipv4.ip_forward") == "1"
    }
    if not routers:
        return True
    pids = {name: state.init_pid for name, state in runtime.states(lab).items() if name in routers}
    wanted = loopbacks(lab)
    begin = changed = time.monotonic()
    before: dict[str, tuple[str, ...]] = {}
    while True:
        tables = {name: _routes(pid) for name, pid in pids.items()}
        if wanted and not _missing(tables, wanted):
            return True
        now = time.monotonic()
        if tables != before:
            before, changed = tables, now
        if now - changed >= QUIET_S or now - begin >= patience_s:
            return False
        time.sleep(_PAUSE_S)


def loopbacks(lab: LabDir) -> dict[str, str]:
    """The IPv4 loopbacks that were planned, by node; nothing for a file that somebody else wrote."""
    planned = plan_of(lab)
    return {
        node.name: str(node.loopback4.ip) for node in (planned.nodes if planned else ()) if node.loopback4
    }


def destinations(table: Collection[str]) -> frozenset[str]:
    """The addresses to which lines of /proc/net/route lead by a route of their own."""
    found = set()
    for line in table:
        fields = line.split()
        if len(fields) > 7 and fields[7] == _WHOLE:  # noqa: PLR2004 - the mask's column
            found.add(socket.inet_ntoa(struct.pack("=I", int(fields[1], 16))))
    return frozenset(found)


def _missing(tables: dict[str, tuple[str, ...]], wanted: dict[str, str]) -> bool:
    everything = frozenset(wanted.values())
    return any(everything - {wanted.get(name, "")} - destinations(table) for name, table in tables.items())


def _routes(pid: int) -> tuple[str, ...]:
    """Every line of both tables; a node that has ended has none."""
    lines: list[str] = []
    with contextlib.suppress(OSError):
        lines = Path(f"/proc/{pid}/net/route").read_text().splitlines()[1:]
        # Less the counts of users: the last of the fields are device and flags.
        for line in Path(f"/proc/{pid}/net/ipv6_route").read_text().splitlines():
            fields = line.split()
            lines.append(" ".join((fields[0], fields[1], fields[4], fields[-1])))
    return tuple(sorted(lines))
