"""Builds a packet from a flow's key alone, to simulate the flow again when a fact has changed.

A decision depends on the key and on length and TTL. The kernel checks length and TTL by
itself and sends such packets to the agent. So the key is enough, and no packet has to be kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from labctl.overlay.flow import Packet

if TYPE_CHECKING:
    from labctl.overlay.flow import FlowKey

__all__ = ["packet_of"]

_TTL = 64


def packet_of(key: FlowKey) -> Packet:
    """A short packet of that flow, with a TTL that lasts."""
    return Packet(
        frame=b"",
        dmac=key.dmac,
        smac=key.smac,
        eth_type=key.eth_type,
        src=key.src,
        dst=key.dst,
        proto=key.proto,
        ttl=_TTL,
        frag=key.frag,
        sport=key.sport,
        dport=key.dport,
    )
