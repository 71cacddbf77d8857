"""Keeps one link without carrier, and saves and restores what its ends lose by that.

A veth pair loses carrier only when one of its ends is administratively down. That end (the *admin-down* end)
is chosen so that the effect on its node matters least: a host's end before a router's. The other end sees
NO-CARRIER and keeps its addresses and routes, as if the device at the far end had gone. At the admin-down end
the kernel would drop the global IPv6 addresses and every route through the interface. keep_addr_on_down keeps
the addresses. Routes that no daemon installs again (static routes) are saved and restored here.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labctl.clab.labels import acts_as, is_end_system
from labctl.errors import ActionError
from labctl.events import now_ns
from labctl.fault import routes
from labctl.fault.ends import label, place
from labctl.fault.registry import Fault, faults, record
from labctl.lab.definition_cache import definition_of
from labctl.linux import netlink
from labctl.linux.netns import inside
from labctl.model.topology import Behaviour

if TYPE_CHECKING:
    from labctl.clab.definition import NodeDefinition
    from labctl.lab.runtime import Runtime
    from labctl.lab.state import LabDir
    from labctl.model.lab import Endpoint, LinkPlan

__all__ = ["CUT", "EndDown", "admin_down_end", "note_cut", "set_end_down", "set_ends_up"]

CUT = "link-cut"
"""What a link without carrier is called in the registry."""

_END_SYSTEM, _SWITCH, _FORWARDER = range(3)


def admin_down_end(lab: LabDir, link: LinkPlan) -> Endpoint:
    """Which end goes down in a cut: an end system's before a switch's before a router's, else the second.

    What a node is follows from what it acts as and from its traits, whatever its role is called.
    """
    definition = definition_of(lab)
    a, b = (_rank(definition.node(end.node)) for end in link.ends)
    return link.a if a < b else link.b


def _rank(spec: NodeDefinition) -> int:
    if is_end_system(spec):
        return _END_SYSTEM
    return _SWITCH if acts_as(spec) is Behaviour.SWITCH else _FORWARDER


@dataclass(frozen=True, slots=True)
class EndDown:
    """A link that was taken down.

    Attributes:
        end: that is down.
        sent_ns: just before the request to the kernel: until then nothing had happened to the link.
        pull_ns: how long the kernel took.
    """

    end: Endpoint
    sent_ns: int
    pull_ns: int


def set_end_down(runtime: Runtime, lab: LabDir, link: LinkPlan, *, not_at: str = "") -> EndDown:
    """Keep a link down by one of its ends, and record in the registry which end.

    Args:
        runtime: that runs the lab.
        lab: the lab.
        link: the link.
        not_at: a node whose own boot program would set its end up again.

    Returns:
        The end that is down, and when the kernel was told.

    Raises:
        ActionError: the end is not there.
    """
    end = admin_down_end(lab, link)
    if end.node == not_at:
        end = link.b if end == link.a else link.a
    where = place(runtime, lab, end.node)
    if where is None:
        raise ActionError(f"the links of {end.node} are lost: its namespace is gone")
    note_cut(lab, link, end, where)
    sent_ns, done_ns = inside(where, lambda: _down(end.interface))
    return EndDown(end, sent_ns, done_ns - sent_ns)


def note_cut(lab: LabDir, link: LinkPlan, end: Endpoint, where: Path) -> None:
    """Record that a link is about to be taken down by one of its ends, and what that end will lose.

    The record comes first: whoever undoes the fault must find it, whatever becomes of this process.

    Args:
        lab: the lab.
        link: the link.
        end: that will be down.
        where: the namespace that the end is in.
    """
    before = _noted(lab, link)
    kept = {} if before.get(_key(end)) is None else dict(before[_key(end)])
    if not kept:
        kept = inside(where, lambda: _keep(end.interface))
    ends = [f"{each.node}:{each.interface}" for each in link.ends]
    record(lab, Fault(CUT, label(link), {**before, "ends": ends, _key(end): kept}))


def _down(interface: str) -> tuple[int, int]:
    """Set an interface down; the moments just before and after the kernel did it."""
    sent_ns = now_ns()
    _set(interface, up=False)
    return sent_ns, now_ns()


def set_ends_up(runtime: Runtime, lab: LabDir, link: LinkPlan) -> None:
    """Set both ends up where they are in a running node, and give back what the admin-down end lost."""
    before = _noted(lab, link)
    for end in link.ends:
        where = place(runtime, lab, end.node)
        if where is None or where.parent == lab.parked:
            continue  # its own power-on sets it up
        inside(where, lambda end=end: _set(end.interface, up=True))  # type: ignore[misc]
    for end in link.ends:
        kept = before.get(_key(end))
        where = place(runtime, lab, end.node)
        if kept and where is not None and where.parent != lab.parked:
            inside(where, lambda end=end, kept=kept: _give_back(end.interface, kept))  # type: ignore[misc]


def _key(end: Endpoint) -> str:
    return f"held {end.node}:{end.interface}"


def _noted(lab: LabDir, link: LinkPlan) -> dict[str, Any]:
    for fault in faults(lab):
        if (fault.action, fault.target) == (CUT, label(link)):
            return dict(fault.detail)
    return {}


def _keep(interface: str) -> dict[str, list[str]]:
    """In the end's namespace: what must be given back later."""
    index = netlink.index_of(interface)
    setting = Path(f"/proc/sys/net/ipv6/conf/{interface}/keep_addr_on_down")
    old = []
    with contextlib.suppress(OSError):  # a node without IPv6 has nothing to keep
        old = [setting.read_text().strip()]
        setting.write_text("1")
    return {"routes": routes.static_by(index), "keep_addr_on_down": old}


def _set(interface: str, *, up: bool) -> None:
    with contextlib.closing(netlink.Route()) as route:
        route.batch([netlink.set_link(netlink.index_of(interface), up=up)])


def _give_back(interface: str, kept: dict[str, list[str]]) -> None:
    for old in kept.get("keep_addr_on_down", ()):
        with contextlib.suppress(OSError):
            Path(f"/proc/sys/net/ipv6/conf/{interface}/keep_addr_on_down").write_text(old)
    routes.put_back(kept.get("routes", []))
