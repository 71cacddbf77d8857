"""labctl overlay env: whole environments, made and removed in one transaction each."""

from typing import Annotated

import typer

from labctl.cli import _overlay
from labctl.cli.params import Json, LabName

__all__ = ["env"]

env = typer.Typer(help="Environments: a tenant with networks, VMs and rules, in one command.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the environment; the tenant's name too.")]


@env.command("create")
def env_create(
    lab: LabName,
    name: Name,
    *,
    networks: Annotated[int, typer.Option("--networks", min=1, max=64, help="How many networks.")] = 1,
    vms: Annotated[int, typer.Option("--vms", min=0, max=1000, help="How many VMs in all.")] = 0,
    host: Annotated[
        list[str] | None,
        typer.Option(
            "--host", metavar="NODE", help="Compute node for the VMs; may be given again. All if not."
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Create an environment, in one transaction.

    Prints the ports of its VMs: what they are called, where they are, and their addresses.
    """
    from labctl.overlay.environment import plan_environment
    from labctl.overlay.section import pools_of

    pools = pools_of(_overlay.facts(lab)["section"])
    ports = _overlay.change(
        lab,
        lambda edit: plan_environment(edit, name, pools, networks=networks, vms=vms, hosts=tuple(host or ())),
    )
    rows = [
        (port.name, port.network, port.host, port.mac, ",".join(map(str, port.addresses))) for port in ports
    ]
    _overlay.show(("VM", "NETWORK", "HOST", "MAC", "ADDRESSES"), rows, as_json=json)


@env.command("destroy")
def env_destroy(lab: LabName, name: Name) -> None:
    """Remove an environment with all that is in it, in one transaction."""
    from labctl.overlay.environment import remove_tenant

    _overlay.change(lab, lambda edit: remove_tenant(edit, name))


@env.command("list")
def env_list(lab: LabName, json: Json = False) -> None:
    """List every VM of every environment."""
    from labctl.overlay.model import Network, VmPort

    items = list(_overlay.read(lab, lambda database: database.state()).items())
    owner = {item.name: item.tenant for item in items if isinstance(item, Network)}
    ports = sorted((item for item in items if isinstance(item, VmPort)), key=lambda item: item.key)
    rows = [
        (owner.get(port.network, ""), port.name, port.network, port.host, ",".join(map(str, port.addresses)))
        for port in ports
    ]
    _overlay.show(("ENVIRONMENT", "VM", "NETWORK", "HOST", "ADDRESSES"), rows, as_json=json)
