"""Tenants and their networks: added, removed, listed."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING

from labctl.errors import InputError, Problem
from labctl.overlay.config import environment
from labctl.overlay.config.model import Network, Peering, Subnet, Tenant, VmPort
from labctl.overlay.config.plan import plan_network, plan_peering, plan_tenant
from labctl.overlay.config.topology_section import pools_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from labctl.overlay.client.database import Overlay
    from labctl.overlay.config.state import Edit

__all__ = [
    "NetworkSummary",
    "TenantSummary",
    "add_network",
    "add_tenant",
    "list_networks",
    "list_tenants",
    "part_tenants",
    "peer_tenants",
    "remove_network",
    "remove_tenant",
]


@dataclass(frozen=True, slots=True)
class TenantSummary:
    """A tenant and how much it has.

    Attributes:
        name: of the tenant.
        networks: how many.
        vms: how many.
        peers: tenants whose networks its own may reach.
    """

    name: str
    networks: int
    vms: int
    peers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NetworkSummary:
    """A network and how much is on it.

    Attributes:
        name: of the network.
        tenant: its owner.
        prefixes: of its subnets, in order of their text.
        mtu: bytes of IP packet.
        vms: how many.
    """

    name: str
    tenant: str
    prefixes: tuple[str, ...]
    mtu: int
    vms: int


def add_tenant(overlay: Overlay, name: str) -> None:
    """Add a tenant, with a router that has an uplink.

    Raises:
        InputError: there is one of that name.
        ActionError: the state database does not answer.
    """
    overlay.database.change(lambda edit: plan_tenant(edit, name))


def remove_tenant(overlay: Overlay, name: str) -> None:
    """Remove a tenant and everything that it owns.

    Raises:
        InputError: there is none of that name.
        ActionError: the state database does not answer.
    """
    overlay.database.change(lambda edit: environment.remove_tenant(edit, name))


def peer_tenants(overlay: Overlay, one: str, other: str) -> None:
    """Route between the networks of two tenants.

    Raises:
        InputError: one of them does not exist.
        ActionError: the state database does not answer.
    """
    overlay.database.change(lambda edit: plan_peering(edit, one, other))


def part_tenants(overlay: Overlay, one: str, other: str) -> None:
    """Keep two tenants apart again; nothing happens if they are no peers.

    Raises:
        InputError: one of them does not exist.
        ActionError: the state database does not answer.
    """

    def part(edit: Edit) -> None:
        for name in (one, other):
            edit.get(Tenant, name)
        for peering in edit.all(Peering):
            if set(peering.tenants) == {one, other}:
                edit.remove(Peering, peering.name)

    overlay.database.change(part)


def list_tenants(overlay: Overlay) -> tuple[TenantSummary, ...]:
    """Every tenant, in order of name.

    Raises:
        ActionError: the state database does not answer.
    """
    items = list(overlay.database.state().items())
    owner = {item.name: item.tenant for item in items if isinstance(item, Network)}
    peerings = [item.tenants for item in items if isinstance(item, Peering)]
    return tuple(
        TenantSummary(
            name,
            networks=sum(tenant == name for tenant in owner.values()),
            vms=sum(owner.get(item.network) == name for item in items if isinstance(item, VmPort)),
            peers=tuple(one for pair in peerings if name in pair for one in pair if one != name),
        )
        for name in sorted(item.name for item in items if isinstance(item, Tenant))
    )


def add_network(
    overlay: Overlay, tenant: str, name: str, *, prefixes: Iterable[str] = (), dns: Iterable[str] = ()
) -> None:
    """Add a network to a tenant and connect it to the tenant's router.

    Args:
        overlay: of the lab.
        tenant: its owner.
        name: of the network.
        prefixes: one of each IP version at the most, in text; planned where there is none.
        dns: addresses of name servers, in text.

    Raises:
        InputError: a prefix or address is none, or the network breaks a rule of the model.
        ActionError: the state database does not answer.
    """
    try:
        networks = [ip_network(text) for text in prefixes]
        servers = [ip_address(text) for text in dns]
    except ValueError as error:
        raise InputError([Problem("overlay", 0, 0, str(error))]) from error
    pools = pools_of(overlay.plan["section"])
    overlay.database.change(
        lambda edit: plan_network(edit, tenant, name, pools, prefixes=networks, dns=servers)
    )


def remove_network(overlay: Overlay, name: str) -> None:
    """Remove a network and every VM on it.

    Raises:
        InputError: there is none of that name.
        ActionError: the state database does not answer.
    """
    overlay.database.change(lambda edit: environment.remove_network(edit, name))


def list_networks(overlay: Overlay) -> tuple[NetworkSummary, ...]:
    """Every network, in order of name.

    Raises:
        ActionError: the state database does not answer.
    """
    items = list(overlay.database.state().items())
    networks = sorted((item for item in items if isinstance(item, Network)), key=lambda item: item.name)
    return tuple(
        NetworkSummary(
            one.name,
            one.tenant,
            tuple(
                sorted(
                    str(item.prefix)
                    for item in items
                    if isinstance(item, Subnet) and item.network == one.name
                )
            ),
            one.mtu,
            vms=sum(item.network == one.name for item in items if isinstance(item, VmPort)),
        )
        for one in networks
    )
