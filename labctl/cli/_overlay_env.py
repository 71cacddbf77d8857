"""labctl overlay env: whole environments, made and removed in one transaction each."""

from collections.abc import Collection
from typing import Annotated

import typer

from labctl.cli import _overlay
from labctl.cli.console import say
from labctl.cli.params import Json, LabName
from labctl.errors import ActionError

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
    wait: Annotated[
        bool, typer.Option("--wait / --no-wait", help="Wait until the VMs have their addresses.")
    ] = True,
    timeout: Annotated[
        float, typer.Option("--timeout", metavar="SECONDS", min=0.1, help="How long the VMs may take.")
    ] = 30.0,
    json: Json = False,
) -> None:
    """Create an environment, in one transaction.

    Its VMs come to life on their hosts. Prints their ports: what they are called, where they are,
    and their addresses. labctl exec and labctl shell take the VMs' names.
    """
    import time

    from labctl.overlay.config.environment import plan_environment
    from labctl.overlay.config.topology_section import pools_of

    began = time.monotonic()
    pools = pools_of(_overlay.facts(lab)["section"])
    ports = _overlay.change(
        lab,
        lambda edit: plan_environment(edit, name, pools, networks=networks, vms=vms, hosts=tuple(host or ())),
    )
    late = _await(lab, {port.name: port.host for port in ports}, timeout, began) if wait and ports else ()
    rows = [
        (port.name, port.network, port.host, port.mac, ",".join(map(str, port.addresses))) for port in ports
    ]
    _overlay.show(("VM", "NETWORK", "HOST", "MAC", "ADDRESSES"), rows, as_json=json)
    if late:
        raise ActionError(f"after {timeout:g} s there is no address yet in {', '.join(sorted(late))}")


def _await(lab: str, wanted: dict[str, str], timeout_s: float, began: float) -> Collection[str]:
    """Wait for the VMs and tell how long it took; those that are late."""
    import time

    from labctl.lab.lifecycle import open_lab
    from labctl.overlay.client.agents import Agents, await_guests

    late = await_guests(Agents(*open_lab(lab)), wanted, timeout_s)
    up = len(wanted) - len(late)
    say(f"{up} of {len(wanted)} VMs have their addresses {time.monotonic() - began:.2f} s after the command")
    return late


@env.command("destroy")
def env_destroy(lab: LabName, name: Name) -> None:
    """Remove an environment with all that is in it, in one transaction."""
    from labctl.overlay.config.environment import remove_tenant

    _overlay.change(lab, lambda edit: remove_tenant(edit, name))


@env.command("list")
def env_list(lab: LabName, json: Json = False) -> None:
    """List every VM of every environment."""
    from labctl.overlay.config.model import Network, VmPort

    items = list(_overlay.read(lab, lambda database: database.state()).items())
    owner = {item.name: item.tenant for item in items if isinstance(item, Network)}
    ports = sorted((item for item in items if isinstance(item, VmPort)), key=lambda item: item.key)
    rows = [
        (owner.get(port.network, ""), port.name, port.network, port.host, ",".join(map(str, port.addresses)))
        for port in ports
    ]
    _overlay.show(("ENVIRONMENT", "VM", "NETWORK", "HOST", "ADDRESSES"), rows, as_json=json)
