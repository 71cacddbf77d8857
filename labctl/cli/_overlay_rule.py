"""labctl overlay rule: what security groups allow."""

from typing import TYPE_CHECKING, Annotated

import typer

from labctl.cli import _overlay
from labctl.cli.console import out
from labctl.cli.params import Json, LabName

if TYPE_CHECKING:
    from labctl.overlay.config.state import Edit

__all__ = ["rule"]

rule = typer.Typer(help="Rules of security groups; what no rule allows is dropped.")

Group = Annotated[str, typer.Argument(metavar="GROUP", help="Name of a security group.")]
Way = Annotated[str, typer.Argument(metavar="in|out", help="Direction of a connection's first packet.")]
Proto = Annotated[str, typer.Option("--proto", help="any, icmp, tcp, udp, sctp or a number.")]
Ports = Annotated[str, typer.Option("--ports", metavar="N[-M]", help="Destination ports; any if not given.")]
Remote = Annotated[
    str, typer.Option("--remote", help="Prefix or group of the other side; anybody if not given.")
]
Tenant = Annotated[
    str, typer.Option("--tenant", help="Make the group for this tenant if it is not there yet.")
]


@rule.command("add")
def rule_add(
    lab: LabName,
    group: Group,
    way: Way,
    *,
    proto: Proto = "any",
    ports: Ports = "",
    remote: Remote = "",
    tenant: Tenant = "",
) -> None:
    """Add a rule to a security group; print the names of what was made."""
    from labctl.errors import InputError, Problem
    from labctl.overlay.config.model import Direction
    from labctl.overlay.config.model import Group as GroupItem
    from labctl.overlay.config.plan import RuleSpec, plan_group, plan_rule

    if way not in tuple(Direction):
        raise InputError([Problem("overlay", 0, 0, f"a direction is 'in' or 'out', not {way!r}")])
    spec = RuleSpec(Direction(way), proto, ports, remote)

    def add(edit: "Edit") -> tuple[str, ...]:
        if tenant and not edit.has(GroupItem, group):
            plan_group(edit, tenant, group, ())
        return plan_rule(edit, group, spec)

    for name in _overlay.change(lab, add):
        out(name)


@rule.command("remove")
def rule_remove(
    lab: LabName, name: Annotated[str, typer.Argument(metavar="RULE", help="Name of a rule.")]
) -> None:
    """Remove a rule; its connections end with it."""
    from labctl.overlay.config.model import Rule

    def remove(edit: "Edit") -> None:
        edit.get(Rule, name)
        edit.remove(Rule, name)

    _overlay.change(lab, remove)


@rule.command("use")
def rule_use(
    lab: LabName,
    vm: Annotated[str, typer.Argument(metavar="VM", help="Name of a VM.")],
    groups: Annotated[list[str], typer.Argument(metavar="GROUP...", help="Its security groups from now on.")],
) -> None:
    """Put a VM into security groups, in place of those that it is in."""
    from dataclasses import replace

    from labctl.overlay.config.model import VmPort

    _overlay.change(lab, lambda edit: edit.put(replace(edit.get(VmPort, vm), groups=tuple(groups))))


@rule.command("list")
def rule_list(
    lab: LabName,
    group: Annotated[str, typer.Option("--group", help="Of this group only.")] = "",
    json: Json = False,
) -> None:
    """List the rules of the security groups."""
    from labctl.overlay.config.model import Rule

    items = _overlay.read(lab, lambda database: database.state()).items()
    rules = sorted(
        (item for item in items if isinstance(item, Rule)), key=lambda item: (item.group, item.name)
    )
    rows = [
        (
            one.name,
            one.group,
            one.direction.value,
            f"ipv{one.version}",
            str(one.proto or "any"),
            "any" if one.port_min < 0 else f"{one.port_min}-{one.port_max}",
            str(one.remote or one.remote_group or "any"),
        )
        for one in rules
        if group in ("", one.group)
    ]
    _overlay.show(("RULE", "GROUP", "ALLOW", "VERSION", "PROTO", "PORTS", "REMOTE"), rows, as_json=json)
