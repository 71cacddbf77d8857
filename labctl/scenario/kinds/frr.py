"""What an FRR node says of its BGP sessions: ``show bgp summary json``, FRR 8.4 to 10."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from labctl.errors import ActionError
from labctl.scenario.kinds.node_command import shown

if TYPE_CHECKING:
    from labctl.scenario.backend import LabBackend

__all__ = ["BgpPeer", "peers_of", "runs_bgp"]

_TIMEOUT_S = 5.0
_SOCKET = "/var/run/frr/bgpd.vty"


@dataclass(frozen=True, slots=True)
class BgpPeer:
    """One BGP session as a node sees it.

    Attributes:
        name: interface or address.
        host: the peer's host name; empty before it said it.
        state: as FRR calls it, such as ``Established``; the least of its address families'.
        prefixes: received, over all address families.
    """

    name: str
    host: str
    state: str
    prefixes: int

    @property
    def label(self) -> str:
        """For people."""
        return f"{self.host} ({self.name})" if self.host else self.name


def runs_bgp(backend: LabBackend, node: str) -> bool:
    """Whether a node runs FRR's bgpd, or did: its socket stays when it dies, and then it does not answer.

    Raises:
        ActionError: the node is off.
    """
    return backend.execute(node, ["test", "-S", _SOCKET], _TIMEOUT_S).ok


def peers_of(backend: LabBackend, node: str) -> list[BgpPeer]:
    """The BGP sessions of a node.

    Raises:
        ActionError: the node is off, or its FRR does not answer.
    """
    result = backend.execute(node, ["vtysh", "-c", "show bgp summary json"], _TIMEOUT_S)
    if not result.ok:
        raise ActionError(f"vtysh ended with {result.code}: {shown(result.stderr or result.stdout)}")
    try:
        families: dict[str, Any] = json.loads(result.stdout or b"{}")
        found: dict[str, list[dict[str, Any]]] = {}
        for family in families.values():
            for name, peer in family.get("peers", {}).items() if isinstance(family, dict) else ():
                found.setdefault(str(name), []).append(dict(peer))
        return [_peer(name, views) for name, views in found.items()]
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise ActionError(f"vtysh: {shown(result.stdout)!r} cannot be read") from error


def _peer(name: str, views: list[dict[str, Any]]) -> BgpPeer:
    host = next((str(view["hostname"]) for view in views if view.get("hostname")), "")
    states = [str(view.get("state", "")) for view in views]
    state = next((one for one in states if one != "Established"), "Established")
    return BgpPeer(name, host, state, sum(int(view.get("pfxRcd") or 0) for view in views))
