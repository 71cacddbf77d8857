"""Gateways between the overlay and the outside: added, drained, removed, listed."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import TYPE_CHECKING

from labctl.errors import ActionError
from labctl.overlay.config.model import GatewaySet, Host, HostKind
from labctl.overlay.config.plan import GATEWAYS, plan_host

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from labctl.overlay.client.database import Overlay
    from labctl.overlay.config.state import Edit

__all__ = [
    "GatewaySummary",
    "add_gateway",
    "drain_gateway",
    "list_gateways",
    "remove_gateway",
    "without_gateway",
]

DRAIN_S = 2.0
"""From a drain to the removal: the agent is notified and its neighbours choose other paths within some
100 ms on an idle machine."""


@dataclass(frozen=True, slots=True)
class GatewaySummary:
    """A gateway.

    Attributes:
        name: of the node.
        tunnel: its address in the underlay.
        alive: whether its agent has a session with the state database.
        draining: whether it is to attract no traffic.
    """

    name: str
    tunnel: str
    alive: bool
    draining: bool


def add_gateway(overlay: Overlay, node: str) -> None:
    """Make a node a gateway, or make it one again.

    Raises:
        ActionError: the node runs no agent of a gateway, or the state database does not answer.
    """
    host = {host["name"]: host for host in overlay.plan["hosts"]}.get(node)
    if host is None or host["kind"] != HostKind.GATEWAY:
        raise ActionError(f"node {node} has no agent of a gateway: its role is another one")
    tunnel = ip_address(host["tunnel"])

    def add(edit: Edit) -> None:
        plan_host(edit, node, HostKind.GATEWAY, tunnel)
        _set_draining(edit, node, draining=False)

    overlay.database.change(add)


def remove_gateway(
    overlay: Overlay, node: str, *, now: bool = False, sleep: Callable[[float], None] = time.sleep
) -> None:
    """Remove a gateway after draining it.

    Args:
        overlay: of the lab.
        node: the gateway.
        now: without draining it first: what is under way there is lost.
        sleep: waits some seconds for the drain.

    Raises:
        ActionError: it is no gateway, or the state database does not answer.
    """

    def drain(edit: Edit) -> bool:
        _need_gateway(edit, node)
        return _set_draining(edit, node, draining=True)

    def remove(edit: Edit) -> None:
        _need_gateway(edit, node)
        _set_draining(edit, node, draining=False)
        edit.remove(Host, node)

    if not now and overlay.database.change(drain):
        sleep(DRAIN_S)
    overlay.database.change(remove)


def drain_gateway(overlay: Overlay, node: str, *, undo: bool = False) -> None:
    """Withdraw a gateway's routes while it still forwards what arrives.

    Args:
        overlay: of the lab.
        node: the gateway.
        undo: let it attract traffic again.

    Raises:
        ActionError: it is no gateway, or the state database does not answer.
    """

    def drain(edit: Edit) -> None:
        _need_gateway(edit, node)
        _set_draining(edit, node, draining=not undo)

    overlay.database.change(drain)


def list_gateways(overlay: Overlay) -> tuple[GatewaySummary, ...]:
    """Every gateway, in order of name.

    Raises:
        ActionError: the state database does not answer.
    """
    items, alive = list(overlay.database.state().items()), overlay.database.alive()
    draining = {name for item in items if isinstance(item, GatewaySet) for name in item.draining}
    hosts = sorted((item for item in items if isinstance(item, Host)), key=lambda item: item.name)
    return tuple(
        GatewaySummary(one.name, str(one.tunnel), one.name in alive, one.name in draining)
        for one in hosts
        if one.kind is HostKind.GATEWAY
    )


def without_gateway(gateways: Iterable[GatewaySummary]) -> str:
    """One line if nobody is left to carry traffic to and from the outside; else empty."""
    if any(one.alive and not one.draining for one in gateways):
        return ""
    return "no gateway is left that is alive and not draining: nothing passes between tenants and the outside"


def _need_gateway(edit: Edit, node: str) -> None:
    if not edit.has(Host, node) or edit.get(Host, node).kind is not HostKind.GATEWAY:
        raise ActionError(f"{node} is no gateway of the overlay")


def _set_draining(edit: Edit, node: str, *, draining: bool) -> bool:
    """Mark a gateway as draining, or as draining no more; whether that changed anything."""
    gateways = edit.get(GatewaySet, GATEWAYS)
    names = {*gateways.draining, node} if draining else {*gateways.draining} - {node}
    edit.put(replace(gateways, draining=tuple(sorted(names))))
    return names != {*gateways.draining}
