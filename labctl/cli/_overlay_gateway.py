"""labctl overlay gateway: who joins the overlay to the outside."""

from typing import TYPE_CHECKING, Annotated

import typer

from labctl.cli import _overlay
from labctl.cli.params import Json, LabName, NodeName

if TYPE_CHECKING:
    from labctl.overlay.config.state import Edit

__all__ = ["gateway"]

_DRAINED_S = 2.0

gateway = typer.Typer(help="Gateways between the overlay and the outside; all of equal weight.")


@gateway.command("add")
def gateway_add(lab: LabName, node: NodeName) -> None:
    """Let a node be a gateway, or again."""
    from ipaddress import ip_address

    from labctl.errors import ActionError
    from labctl.overlay.config.model import HostKind
    from labctl.overlay.config.plan import plan_host

    known = {host["name"]: host for host in _overlay.facts(lab)["hosts"]}
    host = known.get(node)
    if host is None or host["kind"] != HostKind.GATEWAY:
        raise ActionError(f"node {node} has no agent of a gateway: its role is another one")

    def add(edit: "Edit") -> None:
        plan_host(edit, node, HostKind.GATEWAY, ip_address(host["tunnel"]))
        _set_draining(edit, node, draining=False)

    _overlay.change(lab, add)


@gateway.command("remove")
def gateway_remove(
    lab: LabName,
    node: NodeName,
    *,
    now: Annotated[
        bool, typer.Option("--now", help="Without draining it first: what is under way there is lost.")
    ] = False,
) -> None:
    """Let a node be a gateway no more; it is drained first, so that nobody notices."""
    import time

    from labctl.overlay.config.model import Host

    def drain(edit: "Edit") -> bool:
        _known(edit, node)
        return _set_draining(edit, node, draining=True)

    def remove(edit: "Edit") -> None:
        _known(edit, node)
        _set_draining(edit, node, draining=False)
        edit.remove(Host, node)

    if not now and _overlay.change(lab, drain):
        # Its agent is told, its neighbours hear of it and go other ways: some 100 ms on an idle machine.
        time.sleep(_DRAINED_S)
    _overlay.change(lab, remove)


@gateway.command("drain")
def gateway_drain(
    lab: LabName,
    node: NodeName,
    *,
    undo: Annotated[bool, typer.Option("--undo", help="Let it attract traffic again.")] = False,
) -> None:
    """Let a gateway attract no new traffic while it still passes on what comes."""

    def drain(edit: "Edit") -> None:
        _known(edit, node)
        _set_draining(edit, node, draining=not undo)

    _overlay.change(lab, drain)


@gateway.command("list")
def gateway_list(lab: LabName, json: Json = False) -> None:
    """List the gateways: their tunnel addresses, and whether their agents are in touch."""
    from labctl.overlay.config.model import GatewaySet, Host, HostKind

    state, alive = _overlay.read(lab, lambda database: (database.state(), database.alive()))
    items = list(state.items())
    draining = {name for item in items if isinstance(item, GatewaySet) for name in item.draining}
    rows = [
        (
            item.name,
            str(item.tunnel),
            "yes" if item.name in alive else "no",
            "yes" if item.name in draining else "no",
        )
        for item in sorted((item for item in items if isinstance(item, Host)), key=lambda item: item.name)
        if item.kind is HostKind.GATEWAY
    ]
    _overlay.show(("GATEWAY", "TUNNEL", "ALIVE", "DRAINING"), rows, as_json=json)


def _known(edit: "Edit", node: str) -> None:
    from labctl.errors import ActionError
    from labctl.overlay.config.model import Host, HostKind

    if not edit.has(Host, node) or edit.get(Host, node).kind is not HostKind.GATEWAY:
        raise ActionError(f"{node} is no gateway of the overlay")


def _set_draining(edit: "Edit", node: str, *, draining: bool) -> bool:
    """Whether that was news."""
    from dataclasses import replace

    from labctl.overlay.config.model import GatewaySet
    from labctl.overlay.config.plan import GATEWAYS

    gateways = edit.get(GatewaySet, GATEWAYS)
    names = {*gateways.draining, node} if draining else {*gateways.draining} - {node}
    edit.put(replace(gateways, draining=tuple(sorted(names))))
    return names != {*gateways.draining}
