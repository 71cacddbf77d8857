"""Environments: a tenant with networks, VMs and rules, created and destroyed in one transaction each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from labctl.errors import ActionError
from labctl.overlay.client.agents import await_guests
from labctl.overlay.config import environment
from labctl.overlay.config.model import Network, VmPort
from labctl.overlay.config.topology_section import pools_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from labctl.overlay.client.database import Overlay

__all__ = [
    "EnvironmentVm",
    "await_environment",
    "create_environment",
    "destroy_environment",
    "list_environments",
    "need_addresses",
]

ADDRESSES_WITHIN_S = 30.0


@dataclass(frozen=True, slots=True)
class EnvironmentVm:
    """A VM of an environment.

    Attributes:
        environment: the tenant that owns its network; empty if there is none.
        port: where it meets its network.
    """

    environment: str
    port: VmPort


def create_environment(
    overlay: Overlay, name: str, *, networks: int = 1, vms: int = 0, hosts: Sequence[str] = ()
) -> tuple[VmPort, ...]:
    """Create an environment in one transaction; its VMs come to life on their hosts after that.

    Args:
        overlay: of the lab.
        name: of the environment, and of its tenant.
        networks: how many.
        vms: how many in all.
        hosts: compute nodes for the VMs; all of them if empty.

    Returns:
        The VMs' ports.

    Raises:
        InputError: there is one of that name, or it breaks a rule of the model.
        ActionError: the state database does not answer.
    """
    pools = pools_of(overlay.plan["section"])
    return overlay.database.change(
        lambda edit: environment.plan_environment(
            edit, name, pools, networks=networks, vms=vms, hosts=tuple(hosts)
        )
    )


def await_environment(overlay: Overlay, ports: Sequence[VmPort], timeout_s: float) -> tuple[str, ...]:
    """Wait until VMs have their addresses; names of those that have none when the time is over.

    Raises:
        ActionError: the lab has gone.
    """
    wanted = {port.name: port.host for port in ports}
    return await_guests(overlay.agents(), wanted, timeout_s) if wanted else ()


def need_addresses(late: Sequence[str], timeout_s: float) -> None:
    """Refuse VMs that came too late.

    Raises:
        ActionError: there are some; names them.
    """
    if late:
        raise ActionError(f"after {timeout_s:g} s there is no address yet in {', '.join(sorted(late))}")


def destroy_environment(overlay: Overlay, name: str) -> None:
    """Remove an environment and everything in it, in one transaction.

    Raises:
        InputError: there is none of that name.
        ActionError: the state database does not answer.
    """
    overlay.database.change(lambda edit: environment.remove_tenant(edit, name))


def list_environments(overlay: Overlay) -> tuple[EnvironmentVm, ...]:
    """Every VM of every environment, in order of its port's key.

    Raises:
        ActionError: the state database does not answer.
    """
    items = list(overlay.database.state().items())
    owner = {item.name: item.tenant for item in items if isinstance(item, Network)}
    ports = sorted((item for item in items if isinstance(item, VmPort)), key=lambda item: item.key)
    return tuple(EnvironmentVm(owner.get(port.network, ""), port) for port in ports)
