"""Changes to a virtual world, one of each sort; each does nothing where it has nothing to act on."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address
from typing import TYPE_CHECKING, TypeVar

from virtual import COMPUTES, random_rules

from labctl.overlay.config.model import (
    GatewaySet,
    Group,
    Host,
    Item,
    Network,
    Peering,
    RouterPort,
    Rule,
    Subnet,
    Tenant,
    Uplink,
    VmPort,
)
from labctl.overlay.config.plan import (
    PrefixPools,
    VmSpec,
    plan_group,
    plan_network,
    plan_peering,
    plan_tenant,
    plan_vm,
)
from labctl.overlay.simulation.topology import Change

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable

    from labctl.overlay.config.state import Edit

ItemT = TypeVar("ItemT")


def some(edit: Edit, dice: random.Random, kind: type[ItemT]) -> list[ItemT]:
    """One item of a class in a list, or an empty list."""
    known = edit.all(kind)
    return [dice.choice(known)] if known else []


def move_vm(edit: Edit, dice: random.Random) -> None:
    for port in some(edit, dice, VmPort):
        edit.put(replace(port, host=dice.choice((*COMPUTES, ""))))


def remove_vm(edit: Edit, dice: random.Random) -> None:
    for port in some(edit, dice, VmPort):
        edit.remove(VmPort, port.name)


def add_vm(edit: Edit, dice: random.Random) -> None:
    for network in some(edit, dice, Network):
        plan_vm(edit, VmSpec(f"extra{edit.next_key}", network.name, dice.choice(COMPUTES)))


def toggle_security(edit: Edit, dice: random.Random) -> None:
    for port in some(edit, dice, VmPort):
        edit.put(replace(port, secure=not port.secure))


def change_groups(edit: Edit, dice: random.Random) -> None:
    for port in some(edit, dice, VmPort):
        edit.put(replace(port, groups=tuple(group.name for group in some(edit, dice, Group))))


def rewrite_group(edit: Edit, dice: random.Random) -> None:
    for group in some(edit, dice, Group):
        edit.remove(Group, group.name)
        plan_group(edit, group.tenant, group.name, random_rules(dice, group.tenant))


def remove_rule(edit: Edit, dice: random.Random) -> None:
    for rule in some(edit, dice, Rule):
        edit.remove(Rule, rule.name)


def change_rule(edit: Edit, dice: random.Random) -> None:
    for rule in some(edit, dice, Rule):
        edit.put(replace(rule, proto=dice.choice((0, 6, 17)), port_min=-1, port_max=-1))


def make_peers(edit: Edit, dice: random.Random) -> None:
    tenants = [tenant.name for tenant in edit.all(Tenant)]
    if len(tenants) > 1:
        plan_peering(edit, *dice.sample(tenants, 2))


def part_peers(edit: Edit, dice: random.Random) -> None:
    for peering in some(edit, dice, Peering):
        edit.remove(Peering, peering.name)


def move_host(edit: Edit, dice: random.Random) -> None:
    for host in some(edit, dice, Host):
        edit.put(replace(host, tunnel=ip_address(f"198.18.9.{dice.randint(1, 250)}")))


def remove_host(edit: Edit, dice: random.Random) -> None:
    for host in some(edit, dice, Host):
        edit.remove(Host, host.name)


def move_gateways(edit: Edit, dice: random.Random) -> None:
    for gateways in some(edit, dice, GatewaySet):
        edit.put(replace(gateways, anycast=ip_address(f"198.18.255.{dice.randint(1, 250)}")))


def change_mtu(edit: Edit, dice: random.Random) -> None:
    for network in some(edit, dice, Network):
        edit.put(replace(network, mtu=dice.choice((1280, 1400, 1450))))


def remove_subnet(edit: Edit, dice: random.Random) -> None:
    for subnet in some(edit, dice, Subnet):
        edit.remove(Subnet, subnet.name)


def change_router_port(edit: Edit, dice: random.Random) -> None:
    for port in some(edit, dice, RouterPort):
        edit.put(replace(port, mac=f"02:00:00:00:88:{dice.randint(0, 255):02x}"))


def remove_router_port(edit: Edit, dice: random.Random) -> None:
    for port in some(edit, dice, RouterPort):
        edit.remove(RouterPort, port.name)


def change_uplink(edit: Edit, dice: random.Random) -> None:
    for uplink in some(edit, dice, Uplink):
        edit.put(replace(uplink, kernel_mac=f"02:00:00:00:77:{dice.randint(0, 255):02x}"))


def remove_uplink(edit: Edit, dice: random.Random) -> None:
    for uplink in some(edit, dice, Uplink):
        edit.remove(Uplink, uplink.name)


def add_tenant(edit: Edit, dice: random.Random) -> None:
    name = f"new{edit.next_key}"
    plan_tenant(edit, name)
    plan_network(edit, name, f"{name}-net", PrefixPools())
    plan_vm(edit, VmSpec(f"{name}-vm", f"{name}-net", dice.choice(COMPUTES)))


def remove_tenant(edit: Edit, dice: random.Random) -> None:
    for tenant in some(edit, dice, Tenant):
        edit.remove_tenant(tenant.name)


MUTATIONS = (
    move_vm,
    remove_vm,
    add_vm,
    toggle_security,
    change_groups,
    rewrite_group,
    remove_rule,
    change_rule,
    make_peers,
    part_peers,
    move_host,
    remove_host,
    move_gateways,
    change_mtu,
    remove_subnet,
    change_router_port,
    remove_router_port,
    change_uplink,
    remove_uplink,
    add_tenant,
    remove_tenant,
)


def mutate(edit: Edit, dice: random.Random) -> None:
    """Change something, anything; the rules of the model need not hold afterwards."""
    dice.choice(MUTATIONS)(edit, dice)


def changes_between(old: Iterable[Item], new: Iterable[Item]) -> list[Change]:
    """What to apply to a topology of the old items to get that of the new ones."""
    before = {(type(item), item.name): item for item in old}
    after = {(type(item), item.name): item for item in new}
    gone = [Change(kind, name, None) for kind, name in before.keys() - after.keys()]
    return gone + [Change(k, n, item) for (k, n), item in after.items() if before.get((k, n)) != item]
