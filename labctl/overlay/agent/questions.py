"""What an operator may ask an agent, and the answers: status, flows, the way of a packet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from labctl.errors import ActionError
from labctl.overlay.datapath.layout import Action
from labctl.overlay.flow import Answer, Drop, FlowKey, Forward
from labctl.overlay.packet import address_of, mac_text, parse
from labctl.overlay.simulation.engine import simulate

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from labctl.overlay.agent.config import AgentConfig
    from labctl.overlay.agent.engine import Engine
    from labctl.overlay.agent.feed import MirrorFeed
    from labctl.overlay.agent.host import Host
    from labctl.overlay.datapath.cache import FlowCache
    from labctl.overlay.datapath.layout import Entry
    from labctl.overlay.flow import Decision

__all__ = ["Questions"]

_IP = (0x0800, 0x86DD)


class Questions:
    """Answers from what the agent knows at this moment."""

    def __init__(
        self, config: AgentConfig, host: Host, engine: Engine, cache: FlowCache, feed: MirrorFeed
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
        raise ActionError(f"an agent does not know {asked!r}: status, flows, trace")

    def _flows(self, most: int) -> Iterator[dict[str, Any]]:
        for raw, entry in self._cache.entries()[:most]:
            key = FlowKey.unpack(raw)
            yield {**_key_words(key), **_entry_words(entry)}

    def _trace(self, ingress: int, frame: bytes) -> dict[str, Any]:
        packet = parse(frame)
        decision = simulate(
            self._host.topology, self._config.host, packet, ingress, self._engine.established, explain=True
        )
        return {"host": self._config.host, **_decision_words(decision)}


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


def _entry_words(entry: Entry) -> dict[str, Any]:
    words: dict[str, Any] = {
        "action": entry.action.name.lower(),
        "packets": entry.packets,
        "bytes": entry.octets,
        "ttl": entry.ttl,
        "mtu": entry.mtu,
    }
    if entry.action is Action.TUNNEL:
        words |= {"tunnel": entry.tunnel_key, "remote": entry.tunnel_dst}
    elif entry.action is Action.PORT:
        words["out"] = entry.out_ifindex
    return words


def _decision_words(decision: Decision) -> dict[str, Any]:
    words: dict[str, Any] = {
        "decision": type(decision).__name__.lower(),
        "steps": [{"device": step.device, "said": step.said} for step in decision.steps],
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
