"""The inventory of a lab with an overlay: nodes, VMs (nodes of the lab or not), and their addresses."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from labctl.errors import ActionError, InputError, Problem
from labctl.lab.definition_cache import plan_of
from labctl.lab.runtime import NodeStatus

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from labctl.lab.runtime import Runtime
    from labctl.lab.state import LabDir
    from labctl.overlay.client.agents import Agents

__all__ = ["Inventory"]


@dataclass(frozen=True, slots=True)
class Inventory:
    """Found once, for one question.

    Attributes:
        addresses: name -> version of IP -> address, of nodes and VMs.
        spaces: name -> network namespace, of what runs.
        ports: VM -> what an agent says of its port.
        peers: ``node:interface`` -> the node at the other end of that link.
        tunnels: underlay address -> node.
        uplink_key: key of the gateways' way out.
        names: of every VM, of interest or not.
    """

    addresses: Mapping[str, Mapping[int, str]]
    spaces: Mapping[str, Path]
    ports: Mapping[str, Mapping[str, Any]]
    peers: Mapping[str, str]
    tunnels: Mapping[str, str]
    uplink_key: int
    names: tuple[str, ...] = ()

    @classmethod
    def find(cls, runtime: Runtime, lab: LabDir, agents: Agents, about: Collection[str]) -> Inventory:
        """Look at the lab's plan, what runs of it, and what an agent knows.

        Args:
            runtime: that runs the lab.
            lab: the lab.
            agents: of the lab.
            about: names and addresses that are of interest.

        Raises:
            ActionError: no agent answers.
        """
        plan = plan_of(lab)
        if plan is None:
            raise ActionError(f"lab {lab.name} has no plan: it was brought up from a containerlab file")
        reply = _ports(agents, about)
        ports = {port["name"]: port for port in reply["ports"]}
        addresses: dict[str, dict[int, str]] = {}
        for node in plan.nodes:
            own = {4: node.loopback4, 6: node.loopback6}
            addresses[node.name] = {version: str(one.ip) for version, one in own.items() if one}
        for name, port in ports.items():
            addresses[name] = {6 if ":" in text else 4: text for text in port["addresses"]}
        states = runtime.states(lab)
        running = [name for name, state in states.items() if state.status is not NodeStatus.OFF]
        spaces = {name: runtime.netns(lab, name) for name in running if states[name].init_pid}
        spaces |= {name: guest.netns for name, guest in agents.guests().items()}
        peers = {}
        for link in plan.links:
            peers[str(link.a)] = link.b.node
            peers[str(link.b)] = link.a.node
        uplink = next((one["key"] for one in reply["uplinks"]), 0)
        return cls(addresses, spaces, ports, peers, agents.by_tunnel, uplink, tuple(reply["names"]))

    def namespaces(self) -> Mapping[str, Path]:
        """Of everything that runs."""
        return self.spaces

    def netns(self, name: str) -> Path:
        """Of one.

        Raises:
            ActionError: it does not run.
        """
        try:
            return self.spaces[name]
        except KeyError:
            raise ActionError(f"{name} does not run") from None

    def host_at(self, address: str) -> str:
        """Node with that underlay address; empty for the gateways' common one."""
        return self.tunnels.get(address, "")

    def owner(self, address: str) -> str:
        """Node or VM with that address; empty if it is nobody's."""
        return next((name for name, own in self.addresses.items() if address in own.values()), "")

    def port(self, name: str) -> Mapping[str, Any] | None:
        """A VM's port; None for a node."""
        return self.ports.get(name)

    def address(self, name: str, version: int, where: str) -> str:
        """Address of a node or VM; an address stands for itself.

        Raises:
            InputError: nobody is called so, or has none of that version.
        """
        if ":" in name or name.replace(".", "").isdecimal():
            return name
        if name not in self.addresses:
            near = get_close_matches(name, {*self.addresses, *self.names}, 1)
            hint = f"did you mean {near[0]!r}?" if near else ""
            raise InputError([Problem(where, 0, 0, f"no node or VM is called {name!r}", hint)])
        if version not in self.addresses[name]:
            raise InputError([Problem(where, 0, 0, f"{name} has no IPv{version} address of its own")])
        return self.addresses[name][version]


def _ports(agents: Agents, about: Collection[str]) -> Mapping[str, Any]:
    """VM ports of those names and addresses, from the first agent that answers."""
    trouble = "no node with an agent is running"
    for host in agents.running:
        try:
            return agents.ask(host, {"ask": "ports", "names": list(about), "addresses": list(about)})
        except ActionError as error:
            trouble = str(error)
    raise ActionError(trouble)
