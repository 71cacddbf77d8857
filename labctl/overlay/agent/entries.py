"""A decision as an entry of the kernel's cache."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from labctl.overlay.datapath.layout import Action, Entry, Flag
from labctl.overlay.flow import ToPort
from labctl.overlay.packet import IP4, IP6, checksum

if TYPE_CHECKING:
    from labctl.overlay.agent.ports import Ports
    from labctl.overlay.flow import Forward, Packet, ToTunnel

__all__ = ["entry_of", "rewritten", "tunnel_entry"]

_MTU_MOST = 65535


def tunnel_entry(output: ToTunnel) -> Entry:
    """An entry that encapsulates a packet as it is."""
    return Entry(Action.TUNNEL, tunnel_key=output.key, tunnel_dst=output.remote)


def entry_of(decision: Forward, ports: Ports) -> Entry | None:
    """The entry of a decision with one output; None if it has several, or its port is not here."""
    if len(decision.outputs) != 1:
        return None
    output = decision.outputs[0]
    mtu = 0 if decision.mtu >= _MTU_MOST else decision.mtu
    common = (mtu, decision.ttl_decrement, Flag.MACS, decision.dmac, decision.smac)
    if isinstance(output, ToPort):
        ifindex = ports.ifindex(output.key)
        return None if ifindex is None else Entry(Action.PORT, ifindex, 0, "", *common)
    return Entry(Action.TUNNEL, 0, output.key, output.remote, *common)


def rewritten(packet: Packet, decision: Forward) -> bytes:
    """The frame as it leaves: new MACs, lower TTL, IPv4 header checksum made good."""
    frame = bytearray(packet.frame)
    frame[0:12] = decision.dmac + decision.smac
    if decision.ttl_decrement and packet.eth_type == IP4:
        frame[22] -= decision.ttl_decrement
        frame[24:26] = bytes(2)
        frame[24:26] = struct.pack("!H", checksum(bytes(frame[14 : 14 + (frame[14] & 15) * 4])))
    elif decision.ttl_decrement and packet.eth_type == IP6:
        frame[21] -= decision.ttl_decrement
    return bytes(frame)
