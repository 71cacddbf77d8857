"""An environment: a tenant with networks and VMs, created and removed as one piece.

All of it is in one document of the state database, so that it is created in one transaction, and
removed in one.
"""

from __future__ import annotations

from itertools import cycle, islice
from typing import TYPE_CHECKING

from labctl.errors import InputError, Problem
from labctl.overlay.config.model import Group, Host, HostKind, Network, Peering, Rule, Tenant, VmPort
from labctl.overlay.config.plan import VmSpec, plan_network, plan_tenant, plan_vm

if TYPE_CHECKING:
    from collections.abc import Sequence

    from labctl.overlay.config.plan import PrefixPools
    from labctl.overlay.config.state import Edit

__all__ = ["computes_of", "plan_environment", "remove_group", "remove_network", "remove_tenant"]


def computes_of(edit: Edit) -> tuple[str, ...]:
    """Names of the compute nodes, in order."""
    return tuple(host.name for host in edit.all(Host) if host.kind is HostKind.COMPUTE)


def plan_environment(
    edit: Edit, name: str, pools: PrefixPools, *, networks: int = 1, vms: int = 0, hosts: Sequence[str] = ()
) -> tuple[VmPort, ...]:
    """A tenant ``name`` with its router and default group, networks and VMs.

    Args:
        edit: is changed.
        name: of the tenant; its networks are NAME-net (or NAME-net1 and so on), its VMs NAME-vm1 and so on.
        pools: where prefixes come from.
        networks: how many.
        vms: how many in all, dealt out over networks and hosts in turn.
        hosts: compute nodes; empty for all of them.

    Returns:
        The VMs' ports.
    """
    places = tuple(hosts) or computes_of(edit)
    if vms and not places:
        raise InputError([Problem("overlay", 0, 0, "there is no compute node for the VMs")])
    plan_tenant(edit, name)
    names = [f"{name}-net"] if networks == 1 else [f"{name}-net{n}" for n in range(1, networks + 1)]
    for network in names:
        plan_network(edit, name, network, pools)
    pairs = zip(islice(cycle(names), vms), cycle(places), strict=False) if names else ()
    return tuple(
        plan_vm(edit, VmSpec(f"{name}-vm{n}", network, host)) for n, (network, host) in enumerate(pairs, 1)
    )


def remove_tenant(edit: Edit, name: str) -> None:
    """A tenant with all that it owns, and its peerings.

    Raises:
        InputError: there is no such tenant.
    """
    edit.get(Tenant, name)
    for peering in edit.all(Peering):
        if name in peering.tenants:
            edit.remove(Peering, peering.name)
    edit.remove_tenant(name)


def remove_network(edit: Edit, name: str) -> None:
    """A network with its subnets, router ports and VMs.

    Raises:
        InputError: there is no such network.
    """
    edit.get(Network, name)
    for item in list(edit.items()):
        if getattr(item, "network", "") == name:
            edit.remove(type(item), item.name)
    edit.remove(Network, name)


def remove_group(edit: Edit, name: str) -> None:
    """A security group with its rules; refused later while VMs or other rules name it.

    Raises:
        InputError: there is no such group.
    """
    edit.get(Group, name)
    for rule in edit.all(Rule):
        if rule.group == name:
            edit.remove(Rule, rule.name)
    edit.remove(Group, name)
