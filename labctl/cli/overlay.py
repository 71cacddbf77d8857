"""labctl overlay: the virtual networks of a running lab."""

from typing import TYPE_CHECKING, Annotated

import typer

from labctl.cli import _overlay
from labctl.cli._overlay_env import env
from labctl.cli._overlay_gateway import gateway
from labctl.cli._overlay_rule import rule
from labctl.cli.params import Json, LabName

if TYPE_CHECKING:
    from labctl.overlay.config.state import Edit

__all__ = ["app"]

app = typer.Typer(help="Make and remove the virtual networks of a running lab.")
tenant = typer.Typer(help="Tenants: owners of networks, apart from one another unless they are peers.")
network = typer.Typer(help="Networks of tenants.")
app.add_typer(tenant, name="tenant")
app.add_typer(network, name="network")
app.add_typer(rule, name="rule")
app.add_typer(gateway, name="gateway")
app.add_typer(env, name="env")

TenantName = Annotated[str, typer.Argument(metavar="TENANT", help="Name of a tenant.")]
NetworkName = Annotated[str, typer.Argument(metavar="NETWORK", help="Name of a network.")]
Prefix4 = Annotated[str, typer.Option("--ipv4", metavar="PREFIX", help="IPv4 prefix; planned if not given.")]
Prefix6 = Annotated[str, typer.Option("--ipv6", metavar="PREFIX", help="IPv6 /64; planned if not given.")]
Dns = Annotated[
    list[str] | None,
    typer.Option("--dns", metavar="ADDRESS", help="Name server told to the VMs; may be given again."),
]


@tenant.command("add")
def tenant_add(lab: LabName, name: TenantName) -> None:
    """Add a tenant with a router to the outside."""
    from labctl.overlay.config.plan import plan_tenant

    _overlay.change(lab, lambda edit: plan_tenant(edit, name))


@tenant.command("remove")
def tenant_remove(lab: LabName, name: TenantName) -> None:
    """Remove a tenant with all that it owns."""
    from labctl.overlay.config.environment import remove_tenant

    _overlay.change(lab, lambda edit: remove_tenant(edit, name))


@tenant.command("peer")
def tenant_peer(lab: LabName, one: TenantName, other: TenantName) -> None:
    """Let two tenants' networks reach each other."""
    from labctl.overlay.config.plan import plan_peering

    _overlay.change(lab, lambda edit: plan_peering(edit, one, other))


@tenant.command("part")
def tenant_part(lab: LabName, one: TenantName, other: TenantName) -> None:
    """Keep two tenants apart again."""
    from labctl.overlay.config.model import Peering

    def part(edit: "Edit") -> None:
        for peering in edit.all(Peering):
            if set(peering.tenants) == {one, other}:
                edit.remove(Peering, peering.name)

    _overlay.change(lab, part)


@tenant.command("list")
def tenant_list(lab: LabName, json: Json = False) -> None:
    """List the tenants, with how much each has."""
    from labctl.overlay.config.model import Network, Peering, Tenant, VmPort

    state = _overlay.read(lab, lambda database: database.state())
    items = list(state.items())
    owner = {item.name: item.tenant for item in items if isinstance(item, Network)}
    peers = [item.tenants for item in items if isinstance(item, Peering)]
    rows = []
    for name in sorted(item.name for item in items if isinstance(item, Tenant)):
        networks = sum(tenant_name == name for tenant_name in owner.values())
        vms = sum(owner.get(item.network) == name for item in items if isinstance(item, VmPort))
        others = [one for pair in peers if name in pair for one in pair if one != name]
        rows.append((name, str(networks), str(vms), ",".join(others)))
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
) -> None:
    """Add a network to a tenant, joined to its router."""
    from ipaddress import ip_address, ip_network

    from labctl.errors import InputError, Problem
    from labctl.overlay.config.plan import plan_network
    from labctl.overlay.config.topology_section import pools_of

    try:
        prefixes = [ip_network(text) for text in (ipv4, ipv6) if text]
        servers = [ip_address(text) for text in dns or ()]
    except ValueError as error:
        raise InputError([Problem("overlay", 0, 0, str(error))]) from error
    pools = pools_of(_overlay.facts(lab)["section"])
    _overlay.change(
        lab, lambda edit: plan_network(edit, tenant_name, name, pools, prefixes=prefixes, dns=servers)
    )


@network.command("remove")
def network_remove(lab: LabName, name: NetworkName) -> None:
    """Remove a network with all that is on it."""
    from labctl.overlay.config.environment import remove_network

    _overlay.change(lab, lambda edit: remove_network(edit, name))


@network.command("list")
def network_list(lab: LabName, json: Json = False) -> None:
    """List the networks with their prefixes."""
    from labctl.overlay.config.model import Network, Subnet, VmPort

    items = list(_overlay.read(lab, lambda database: database.state()).items())
    rows = []
    for one in sorted((item for item in items if isinstance(item, Network)), key=lambda item: item.name):
        prefixes = [
            str(item.prefix) for item in items if isinstance(item, Subnet) and item.network == one.name
        ]
        vms = sum(item.network == one.name for item in items if isinstance(item, VmPort))
        rows.append((one.name, one.tenant, ",".join(sorted(prefixes)), str(one.mtu), str(vms)))
    _overlay.show(("NETWORK", "TENANT", "PREFIXES", "MTU", "VMS"), rows, as_json=json)
