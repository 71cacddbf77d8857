"""A node of a running lab: what was planned of it, and what it says of its sessions and routes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from labctl.errors import ActionError
from labctl.scenario.kinds.frr import peers_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from labctl.model.lab import Interface, Lab, NodePlan
    from labctl.scenario.backend import LabBackend
    from labctl.scenario.kinds.frr import BgpPeer

__all__ = ["InstalledRoute", "RunningNode"]

_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class InstalledRoute:
    """A route in the kernel of a node.

    Attributes:
        prefix: as the kernel writes it.
        via: the nodes next on the way, sorted; an address where no node of the lab has it.
        proto: who installed it, such as ``bgp``.
        metric: the kernel's.
    """

    prefix: str
    via: tuple[str, ...]
    proto: str
    metric: int


class RunningNode:
    """One node of a lab.

    Attributes:
        plan: what was planned of it.
    """

    def __init__(self, plan: NodePlan, lab: Lab, backend: LabBackend) -> None:
        """Of a lab that is up."""
        self.plan = plan
        self._lab = lab
        self._backend = backend

    def __repr__(self) -> str:
        return f"<Node {self.name} ({self.role})>"

    @property
    def name(self) -> str:
        """Its name."""
        return self.plan.name

    @property
    def role(self) -> str:
        """Name of its role."""
        return self.plan.role

    @property
    def asn(self) -> int | None:
        """Its AS number; None where it speaks no BGP."""
        return self.plan.asn

    @property
    def loopback4(self) -> str:
        """Its own IPv4 address; empty if it has none."""
        return str(self.plan.loopback4.ip) if self.plan.loopback4 else ""

    @property
    def loopback6(self) -> str:
        """Its own IPv6 address; empty if it has none."""
        return str(self.plan.loopback6.ip) if self.plan.loopback6 else ""

    @property
    def interfaces(self) -> Mapping[str, Interface]:
        """As planned, by name."""
        return {one.name: one for one in self.plan.interfaces}

    @property
    def netns(self) -> Path:
        """A path that setns() can open.

        Raises:
            ActionError: the node is off.
        """
        path: Path = self._live().netns(self._live_folder(), self.name)
        return path

    @property
    def status(self) -> str:
        """``running``, ``frozen``, ``off`` or ``missing``."""
        return str(self._live().states(self._live_folder())[self.name].status)

    def vtysh(self, command: str) -> Any:  # noqa: ANN401 - whatever FRR says
        """What FRR answers to a command that gives JSON; ``json`` is appended where it is missing.

        Raises:
            ActionError: the node is off, FRR refused, or it was no JSON.
        """
        words = command if command.split()[-1:] == ["json"] else f"{command} json"
        result = self._backend.execute(self.name, ["vtysh", "-c", words], _TIMEOUT_S)
        said = result.stdout.decode(errors="replace")
        if not result.ok:
            raise ActionError(
                f"{self.name}: vtysh: {(result.stderr.decode(errors='replace') or said).strip()}"
            )
        try:
            return json.loads(said or "{}")
        except ValueError:
            raise ActionError(f"{self.name}: {command}: {said.strip().splitlines()[0]}") from None

    def bgp(self) -> Mapping[str, BgpPeer]:
        """Its BGP sessions, by the peer's node; by interface or address where no node of the lab has it.

        Raises:
            ActionError: the node is off, or runs no bgpd.
        """
        return {self._peer(one): one for one in peers_of(self._backend, self.name)}

    def route(self, prefix: str) -> InstalledRoute | None:
        """The kernel's route to exactly this prefix; None if there is none.

        Raises:
            ActionError: the node is off, or it is no prefix.
        """
        family = "-6" if ":" in prefix else "-4"
        argv = ["ip", "-json", family, "route", "show", "exact", prefix]
        result = self._backend.execute(self.name, argv, _TIMEOUT_S)
        if not result.ok:
            raise ActionError(f"{self.name}: ip route: {result.stderr.decode(errors='replace').strip()}")
        routes = json.loads(result.stdout or b"[]")
        if not routes:
            return None
        hops = [hop for route in routes for hop in route.get("nexthops", [route])]
        first = routes[0]
        via = tuple(sorted({self._next(hop) for hop in hops}))
        return InstalledRoute(
            str(first["dst"]), via, str(first.get("protocol", "")), int(first.get("metric", 0))
        )

    def _peer(self, peer: BgpPeer) -> str:
        interface = self.interfaces.get(peer.name)
        if interface is not None:
            return interface.peer.node
        return peer.host or self._owner(peer.name) or peer.name

    def _next(self, hop: Mapping[str, Any]) -> str:
        """The node behind a next hop."""
        gateway = hop.get("gateway") or hop.get("via", {}).get("host", "")
        interface = self.interfaces.get(str(hop.get("dev", "")))
        return self._owner(str(gateway)) or (interface.peer.node if interface is not None else str(gateway))

    def _owner(self, address: str) -> str:
        """The node that has an address; empty if none was planned to."""
        for node in self._lab.nodes:
            own = [node.loopback4, node.loopback6]
            own += [one for interface in node.interfaces for one in (interface.ipv4, interface.ipv6)]
            if any(one is not None and str(one.ip) == address for one in own):
                return node.name
        return ""

    def _live(self) -> Any:  # noqa: ANN401 - the runtime of a real lab
        return self._backend.runtime  # type: ignore[attr-defined]

    def _live_folder(self) -> Any:  # noqa: ANN401
        return self._backend.folder  # type: ignore[attr-defined]
