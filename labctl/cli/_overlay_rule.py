"""labctl overlay rule: what security groups allow."""

from typing import Annotated

import typer

from labctl.cli import _overlay
from labctl.cli.console import out
from labctl.cli.params import Force, Json, LabName

__all__ = ["rule"]

rule = typer.Typer(help="Security group rules; packets that no rule allows are dropped.")

Group = Annotated[str, typer.Argument(metavar="GROUP", help="Name of a security group.")]
Way = Annotated[str, typer.Argument(metavar="in|out", help="Direction of a connection's first packet.")]
Proto = Annotated[str, typer.Option("--proto", help="any, icmp, tcp, udp, sctp or a number.")]
Ports = Annotated[str, typer.Option("--ports", metavar="N[-M]", help="Destination ports; any if not given.")]
Remote = Annotated[
    str, typer.Option("--remote", help="Prefix or security group of the remote end; any if not given.")
]
Tenant = Annotated[
    str, typer.Option("--tenant", help="Create the group for this tenant if it does not exist.")
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
    force: Force = False,
) -> None:
    """Add a rule to a security group; print the names of the new items."""
    from labctl.overlay.client.rules import add_rule

    made = _overlay.change(
        lab,
        lambda overlay: add_rule(overlay, group, way, proto=proto, ports=ports, remote=remote, tenant=tenant),
        what=f"rule add {group} {way}",
        force=force,
    )
    for name in made:
        out(name)


@rule.command("remove")
def rule_remove(
    lab: LabName,
    name: Annotated[str, typer.Argument(metavar="RULE", help="Name of a rule.")],
    *,
    force: Force = False,
) -> None:
    """Remove a rule; connections that it allowed are cut."""
    from labctl.overlay.client.rules import remove_rule

    _overlay.change(lab, lambda overlay: remove_rule(overlay, name), what=f"rule remove {name}", force=force)


@rule.command("use")
def rule_use(
    lab: LabName,
    vm: Annotated[str, typer.Argument(metavar="VM", help="Name of a VM.")],
    groups: Annotated[list[str], typer.Argument(metavar="GROUP...", help="New security groups of the VM.")],
    *,
    force: Force = False,
) -> None:
    """Replace the security groups of a VM."""
    from labctl.overlay.client.rules import use_groups

    _overlay.change(lab, lambda overlay: use_groups(overlay, vm, groups), what=f"rule use {vm}", force=force)


@rule.command("list")
def rule_list(
    lab: LabName,
    group: Annotated[str, typer.Option("--group", help="List only this group.")] = "",
    json: Json = False,
) -> None:
    """List the rules of the security groups."""
    from labctl.overlay.client.rules import list_rules

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
        for one in list_rules(_overlay.opened(lab), group)
    ]
    _overlay.show(("RULE", "GROUP", "ALLOW", "VERSION", "PROTO", "PORTS", "REMOTE"), rows, as_json=json)
