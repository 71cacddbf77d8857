"""labctl overlay env: whole environments, made and removed in one transaction each."""

import time
from typing import TYPE_CHECKING, Annotated

import typer

from labctl.cli import _overlay
from labctl.cli.console import say
from labctl.cli.params import Force, Json, LabName

if TYPE_CHECKING:
    from collections.abc import Sequence

    from labctl.overlay.config.model import VmPort

__all__ = ["env"]

env = typer.Typer(help="Environments: a tenant with networks, VMs and rules, in one command.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the environment, and of its tenant.")]


@env.command("create")
def env_create(
    lab: LabName,
    name: Name,
    *,
    networks: Annotated[int, typer.Option("--networks", min=1, max=64, help="Number of networks.")] = 1,
    vms: Annotated[int, typer.Option("--vms", min=0, max=1000, help="Number of VMs, over all networks.")] = 0,
    host: Annotated[
        list[str] | None,
        typer.Option(
            "--host",
            metavar="NODE",
            help="Compute node for the VMs; repeatable; all compute nodes if not given.",
        ),
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait / --no-wait", help="Wait until the VMs have their addresses.")
    ] = True,
    timeout: Annotated[
        float,
        typer.Option(
            "--timeout", metavar="SECONDS", min=0.1, help="Time limit for the VMs to get their addresses."
        ),
    ] = 30.0,
    force: Force = False,
    json: Json = False,
) -> None:
    """Create an environment, in one transaction.

    The compute nodes start the VMs. Prints the name, host and addresses of each VM's port. labctl
    exec and labctl shell accept the VMs' names.
    """
    from labctl.overlay.client.environments import create_environment, need_addresses

    began = time.monotonic()
    ports = _overlay.change(
        lab,
        lambda overlay: create_environment(overlay, name, networks=networks, vms=vms, hosts=host or ()),
        what=f"env create {name}",
        force=force,
    )
    late = _await(lab, ports, timeout, began) if wait and ports else ()
    rows = [(port.name, port.network, port.host, port.mac, tuple(map(str, port.addresses))) for port in ports]
    _overlay.show(("VM", "NETWORK", "HOST", "MAC", "ADDRESSES"), rows, as_json=json)
    need_addresses(late, timeout)


def _await(lab: str, ports: "Sequence[VmPort]", timeout_s: float, began: float) -> tuple[str, ...]:
    """Wait for the VMs and say how long it took; those that are late."""
    from labctl.overlay.client.environments import await_environment

    late = await_environment(_overlay.opened(lab), ports, timeout_s)
    up = len(ports) - len(late)
    say(f"{up} of {len(ports)} VMs have their addresses {time.monotonic() - began:.2f} s after the command")
    return late


@env.command("destroy")
def env_destroy(lab: LabName, name: Name, *, force: Force = False) -> None:
    """Remove an environment and everything in it, in one transaction."""
    from labctl.overlay.client.environments import destroy_environment

    _overlay.change(
        lab, lambda overlay: destroy_environment(overlay, name), what=f"env destroy {name}", force=force
    )


@env.command("list")
def env_list(lab: LabName, json: Json = False) -> None:
    """List every VM of every environment."""
    from labctl.overlay.client.environments import list_environments

    rows = [
        (vm.environment, vm.port.name, vm.port.network, vm.port.host, tuple(map(str, vm.port.addresses)))
        for vm in list_environments(_overlay.opened(lab))
    ]
    _overlay.show(("ENVIRONMENT", "VM", "NETWORK", "HOST", "ADDRESSES"), rows, as_json=json)
