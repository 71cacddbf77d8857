"""Replies to an operator's queries: status, flows, the path of a packet."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

from labctl.errors import ActionError
from labctl.overlay.datapath.layout import DatapathAction, flow_key
from labctl.overlay.flow import Answer, Drop, FlowKey, Forward, Match
from labctl.overlay.packet import address_of, mac_text, parse
from labctl.overlay.simulation.engine import simulate

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from labctl.overlay.agent.config import AgentConfig
    from labctl.overlay.agent.engine import FlowEngine
    from labctl.overlay.agent.feed import MirrorFeed
    from labctl.overlay.agent.host import OverlayHost
    from labctl.overlay.datapath.cache import FlowCache
    from labctl.overlay.datapath.layout import FlowEntry
    from labctl.overlay.flow import Decision
    from labctl.overlay.simulation.snapshot_views import PortView
    from labctl.overlay.simulation.topology import VirtualTopology

__all__ = ["Questions"]

_IP = (0x0800, 0x86DD)


class Questions:
    """Replies from the agent's current state."""

    def __init__(
        self, config: AgentConfig, host: OverlayHost, engine: FlowEngine, cache: FlowCache, feed: MirrorFeed
    ) -> None:
        self._config = config
        self._host = host
        self._engine = engine
        self._cache = cache
        self._feed = feed

    def answer(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """One request.

        Raises:
            ActionError: nobody knows such a question.
        """
        asked = request.get("ask")
        if asked == "status":
            return {**self._host.status(), "fresh": self._feed.fresh, "revision": self._feed.revision}
        if asked == "flows":
            return {"flows": list(self._flows(int(request.get("most", 1000))))}
        if asked == "trace":
            return self._trace(int(request["ingress"]), bytes.fromhex(request["frame"]))
        if asked == "ports":
            return self._ports(set(request.get("names", ())), set(request.get("addresses", ())))
        raise ActionError(f"an agent does not know {asked!r}: status, flows, trace, ports")

    def _flows(self, most: int) -> Iterator[dict[str, Any]]:
        for raw, entry in self._cache.entries()[:most]:
            key = FlowKey.unpack(raw)
            yield {**_key_words(key), **_entry_words(entry)}

    def _trace(self, ingress: int, frame: bytes) -> dict[str, Any]:
        packet = parse(frame)
        decision = simulate(
            self._host.topology, self._config.host, packet, ingress, self._engine.established, explain=True
        )
        found = self._entry(packet.key(ingress))
        entry = None if found is None else _entry_words(found)
        return {"host": self._config.host, "entry": entry, **_decision_words(decision)}

    def _entry(self, key: FlowKey) -> FlowEntry | None:
        """What the kernel would do with a packet, as far as it knows by itself."""
        return (
            self._cache.entry(flow_key(key))
            or self._cache.entry(flow_key(key, Match.DESTINATION), fixed=True)
            or self._cache.entry(flow_key(key, Match.INGRESS), fixed=True)
        )

    def _ports(self, names: set[str], addresses: set[str]) -> dict[str, Any]:
        """VM ports by name or address, the names of all of them, and the uplinks."""
        topology = self._host.topology
        found = [
            _port_words(view, topology)
            for name, view in topology.ports.items()
            if name in names or any(str(address) in addresses for address in view.item.addresses)
        ]
        uplinks = [
            {
                "name": view.name,
                "key": view.key,
                "mac": mac_text(view.mac),
                "kernel": mac_text(view.kernel_mac),
            }
            for view in topology.uplinks.values()
        ]
        return {"ports": found, "names": sorted(topology.ports), "uplinks": uplinks}


def _port_words(view: PortView, topology: VirtualTopology) -> dict[str, Any]:
    item = view.item
    network = topology.networks.get(item.network)
    return {
        "name": item.name,
        "key": view.key,
        "mac": item.mac,
        "addresses": [str(address) for address in item.addresses],
        "network": item.network,
        "prefixes": [str(subnet.prefix) for subnet in network.subnets] if network is not None else [],
        "routers": [mac_text(gateway.mac) for gateway in network.gateways] if network is not None else [],
        "host": item.host,
    }


def _key_words(key: FlowKey) -> dict[str, Any]:
    words: dict[str, Any] = {
        "ingress": key.ingress,
        "eth_type": f"0x{key.eth_type:04x}",
        "dmac": mac_text(key.dmac),
        "smac": mac_text(key.smac),
    }
    if key.eth_type in _IP:
        words |= {
            "src": str(address_of(key.src)),
            "dst": str(address_of(key.dst)),
            "proto": key.proto,
            "sport": key.sport,
            "dport": key.dport,
        }
    return words


def _entry_words(entry: FlowEntry) -> dict[str, Any]:
    words: dict[str, Any] = {
        "action": entry.action.name.lower(),
        "packets": entry.packets,
        "bytes": entry.octets,
        "ttl": entry.ttl,
        "mtu": entry.mtu,
    }
    if entry.action is DatapathAction.TUNNEL:
        words |= {"tunnel": entry.tunnel_key, "remote": entry.tunnel_dst}
    elif entry.action is DatapathAction.PORT:
        words |= {"out": entry.out_ifindex, "interface": _interface(entry.out_ifindex)}
    return words


def _interface(number: int) -> str:
    """Its name; empty once it is gone."""
    try:
        return socket.if_indextoname(number)
    except OSError:
        return ""


def _decision_words(decision: Decision) -> dict[str, Any]:
    words: dict[str, Any] = {
        "decision": type(decision).__name__.lower(),
        "steps": [{"device": step.device, "message": step.message} for step in decision.steps],
    }
    if isinstance(decision, Forward):
        words |= {
            "dmac": mac_text(decision.dmac),
            "smac": mac_text(decision.smac),
            "ttl": decision.ttl_decrement,
            "mtu": decision.mtu,
            "outputs": [
                {"key": output.key, "port": output.port, "remote": getattr(output, "remote", "")}
                for output in decision.outputs
            ],
        }
    elif isinstance(decision, Drop):
        words["reason"] = decision.reason
    elif isinstance(decision, Answer):
        words |= {"reason": decision.what, "frames": [frame.hex() for frame in decision.frames]}
    return words
