"""labctl overlay gateway: who joins the overlay to the outside."""

from typing import Annotated

import typer

from labctl.cli import _overlay
from labctl.cli.console import say
from labctl.cli.params import Force, Json, LabName, NodeName

__all__ = ["gateway"]

gateway = typer.Typer(
    help="Gateways between the overlay and the networks outside; all active, of equal weight."
)


@gateway.command("add")
def gateway_add(lab: LabName, node: NodeName, *, force: Force = False) -> None:
    """Make a node a gateway; undoes a removal."""
    from labctl.overlay.client.gateways import add_gateway

    _overlay.change(lab, lambda overlay: add_gateway(overlay, node), what=f"gateway add {node}", force=force)


@gateway.command("remove")
def gateway_remove(
    lab: LabName,
    node: NodeName,
    *,
    now: Annotated[
        bool, typer.Option("--now", help="Skip the drain; packets inside the gateway are lost.")
    ] = False,
    force: Force = False,
) -> None:
    """Remove a gateway after draining it."""
    from labctl.overlay.client.gateways import remove_gateway

    _overlay.change(
        lab,
        lambda overlay: remove_gateway(overlay, node, now=now),
        what=f"gateway remove {node}",
        force=force,
    )
    _warn_of_none(lab)


@gateway.command("drain")
def gateway_drain(
    lab: LabName,
    node: NodeName,
    *,
    undo: Annotated[bool, typer.Option("--undo", help="End the drain: advertise the routes again.")] = False,
    force: Force = False,
) -> None:
    """Withdraw a gateway's routes while it still forwards what arrives."""
    from labctl.overlay.client.gateways import drain_gateway

    _overlay.change(
        lab,
        lambda overlay: drain_gateway(overlay, node, undo=undo),
        what=f"gateway {'undrain' if undo else 'drain'} {node}",
        force=force,
    )
    _warn_of_none(lab)


def _warn_of_none(lab: str) -> None:
    from labctl.overlay.client.gateways import list_gateways, without_gateway

    none_left = without_gateway(list_gateways(_overlay.opened(lab)))
    if none_left:
        say(f"warning: {none_left}")


@gateway.command("list")
def gateway_list(lab: LabName, json: Json = False) -> None:
    """List the gateways, their tunnel addresses and whether their agents are connected."""
    from labctl.overlay.client.gateways import list_gateways

    rows = [(one.name, one.tunnel, one.alive, one.draining) for one in list_gateways(_overlay.opened(lab))]
    _overlay.show(("GATEWAY", "TUNNEL", "ALIVE", "DRAINING"), rows, as_json=json)
