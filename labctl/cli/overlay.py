"""labctl overlay: the virtual networks of a running lab."""

from typing import Annotated

import typer

from labctl.cli import _overlay
from labctl.cli._overlay_env import env
from labctl.cli._overlay_gateway import gateway
from labctl.cli._overlay_rule import rule
from labctl.cli.params import Force, Json, LabName

__all__ = ["app"]

app = typer.Typer(help="Make and remove the virtual networks of a running lab.")
tenant = typer.Typer(help="Tenants own networks and are isolated from one another unless they are peers.")
network = typer.Typer(help="Networks of the tenants.")
app.add_typer(tenant, name="tenant")
app.add_typer(network, name="network")
app.add_typer(rule, name="rule")
app.add_typer(gateway, name="gateway")
app.add_typer(env, name="env")

TenantName = Annotated[str, typer.Argument(metavar="TENANT", help="Name of a tenant.")]
NetworkName = Annotated[str, typer.Argument(metavar="NETWORK", help="Name of a network.")]
Prefix4 = Annotated[
    str, typer.Option("--ipv4", metavar="PREFIX", help="IPv4 prefix; chosen from the pool if not given.")
]
Prefix6 = Annotated[
    str, typer.Option("--ipv6", metavar="PREFIX", help="IPv6 /64; chosen from the pool if not given.")
]
Dns = Annotated[
    list[str] | None,
    typer.Option("--dns", metavar="ADDRESS", help="Name server that DHCP gives to the VMs; repeatable."),
]


@tenant.command("add")
def tenant_add(lab: LabName, name: TenantName, *, force: Force = False) -> None:
    """Add a tenant, with a router that has an uplink."""
    from labctl.overlay.client.tenants import add_tenant

    _overlay.change(lab, lambda overlay: add_tenant(overlay, name), what=f"tenant add {name}", force=force)


@tenant.command("remove")
def tenant_remove(lab: LabName, name: TenantName, *, force: Force = False) -> None:
    """Remove a tenant and everything that it owns."""
    from labctl.overlay.client.tenants import remove_tenant

    _overlay.change(
        lab, lambda overlay: remove_tenant(overlay, name), what=f"tenant remove {name}", force=force
    )


@tenant.command("peer")
def tenant_peer(lab: LabName, one: TenantName, other: TenantName, *, force: Force = False) -> None:
    """Route between the networks of two tenants."""
    from labctl.overlay.client.tenants import peer_tenants

    _overlay.change(
        lab, lambda overlay: peer_tenants(overlay, one, other), what=f"tenant peer {one} {other}", force=force
    )


@tenant.command("part")
def tenant_part(lab: LabName, one: TenantName, other: TenantName, *, force: Force = False) -> None:
    """Stop routing between the networks of two tenants."""
    from labctl.overlay.client.tenants import part_tenants

    _overlay.change(
        lab, lambda overlay: part_tenants(overlay, one, other), what=f"tenant part {one} {other}", force=force
    )


@tenant.command("list")
def tenant_list(lab: LabName, json: Json = False) -> None:
    """List the tenants, with the number of networks and VMs of each."""
    from labctl.overlay.client.tenants import list_tenants

    rows = [(one.name, one.networks, one.vms, one.peers) for one in list_tenants(_overlay.opened(lab))]
    _overlay.show(("TENANT", "NETWORKS", "VMS", "PEERS"), rows, as_json=json)


@network.command("add")
def network_add(
    lab: LabName,
    tenant_name: TenantName,
    name: NetworkName,
    *,
    ipv4: Prefix4 = "",
    ipv6: Prefix6 = "",
    dns: Dns = None,
    force: Force = False,
) -> None:
    """Add a network to a tenant and connect it to the tenant's router."""
    from labctl.overlay.client.tenants import add_network

    prefixes = [text for text in (ipv4, ipv6) if text]
    _overlay.change(
        lab,
        lambda overlay: add_network(overlay, tenant_name, name, prefixes=prefixes, dns=dns or ()),
        what=f"network add {tenant_name} {name}",
        force=force,
    )


@network.command("remove")
def network_remove(lab: LabName, name: NetworkName, *, force: Force = False) -> None:
    """Remove a network and every VM on it."""
    from labctl.overlay.client.tenants import remove_network

    _overlay.change(
        lab, lambda overlay: remove_network(overlay, name), what=f"network remove {name}", force=force
    )


@network.command("list")
def network_list(lab: LabName, json: Json = False) -> None:
    """List the networks and their prefixes."""
    from labctl.overlay.client.tenants import list_networks

    rows = [
        (one.name, one.tenant, one.prefixes, one.mtu, one.vms) for one in list_networks(_overlay.opened(lab))
    ]
    _overlay.show(("NETWORK", "TENANT", "PREFIXES", "MTU", "VMS"), rows, as_json=json)
