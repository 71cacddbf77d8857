"""Converts a decision to an entry of the kernel's flow cache."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from labctl.overlay.datapath.layout import CONNS, ConnRef, ConnRequirement, DatapathAction, Flag, FlowEntry
from labctl.overlay.flow import FROM_TUNNEL, Fragment, Packet, ToPort
from labctl.overlay.packet import ICMP, ICMP6, IP4, IP6, TCP, UDP, checksum

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from labctl.overlay.agent.ports import PortBindings
    from labctl.overlay.flow import ConnKey, FlowKey, Forward, ToTunnel

__all__ = ["drop_entry", "entry_of", "ref_of", "reply", "rewritten", "tunnel_entry"]

_MTU_MOST = 65535
_REPLY_TTL = 64
_SCTP = 132
_ECHO = {(ICMP, 8 << 8): 0, (ICMP6, 128 << 8): 129 << 8}
_WITH_PORTS = frozenset((TCP, UDP, _SCTP))


def tunnel_entry(output: ToTunnel) -> FlowEntry:
    """An entry that encapsulates a packet as it is."""
    return FlowEntry(DatapathAction.TUNNEL, tunnel_key=output.key, tunnel_dst=output.remote)


def ref_of(conn: ConnKey, flow: FlowKey) -> ConnRef | None:
    """A connection as seen from a flow; None where it is none of that flow's."""
    for is_sender in (True, False):
        ref = ConnRef(conn.port, conn.inbound, is_sender)
        if ref.of(flow) == conn:
            return ref
    return None


def _kept_alive(conns: Iterable[ConnKey], hangs_on: Collection[ConnKey], flow: FlowKey) -> list[ConnRef]:
    """The connections of a flow that is let through.

    With a first fragment goes a connection without port numbers beside each, for those that follow.
    """
    is_first = flow.frag == Fragment.FIRST
    refs: dict[ConnRef, None] = {}
    for conn in conns:
        ref = ref_of(conn, flow)
        if ref is not None:
            wanted = ConnRequirement.KNOWN if conn in hangs_on else ConnRequirement.ANY
            refs[ref._replace(wanted=wanted, later=is_first)] = None
    return list(refs)


def drop_entry(asked: Iterable[tuple[ConnKey, bool]], flow: FlowKey) -> FlowEntry | None:
    """An entry that drops as long as these connections stay as they were; None if it cannot be made.

    One that comes may let the packet through as its return traffic. One that goes, whose opener is not
    allowed any more, leaves it to the rules of the packet's own direction.

    Args:
        asked: connections that the decision depends on, each with whether it was known.
        flow: that the entry is for.
    """
    refs: dict[ConnRef, None] = {}
    for conn, known in asked:
        ref = ref_of(conn, flow)
        if ref is None:
            return None
        wanted = ConnRequirement.KNOWN if known else ConnRequirement.UNKNOWN
        refs[ref._replace(wanted=wanted)] = None
    return FlowEntry(DatapathAction.DROP, conns=tuple(refs)) if len(refs) <= CONNS else None


def entry_of(
    decision: Forward, ports: PortBindings, flow: FlowKey | None = None, hangs_on: Collection[ConnKey] = ()
) -> FlowEntry | None:
    """The entry of a decision with one output; None if it has several, or its port is not here.

    Args:
        decision: what to make an entry of.
        ports: of this host.
        flow: that it is for; may be left out where no connections go with it.
        hangs_on: connections that it is made from.
    """
    if len(decision.outputs) != 1:
        return None
    output = decision.outputs[0]
    mtu = 0 if decision.mtu >= _MTU_MOST else decision.mtu
    common = (mtu, decision.ttl_decrement, Flag.MACS, decision.dmac, decision.smac)
    refs = _kept_alive(decision.conns, hangs_on, flow) if flow is not None else []
    if len(refs) > CONNS:
        return None
    if isinstance(output, ToPort):
        ifindex = ports.ifindex(output.key)
        return (
            None if ifindex is None else FlowEntry(DatapathAction.PORT, ifindex, 0, "", *common, tuple(refs))
        )
    return FlowEntry(DatapathAction.TUNNEL, 0, output.key, output.remote, *common, tuple(refs))


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


def reply(packet: Packet, ingress: int, entry: FlowEntry, ports: PortBindings) -> tuple[int, Packet] | None:
    """The expected reply, and its ingress; None where it cannot be predicted.

    A VM answers to the MAC that the packet came from. What comes back through a tunnel has been
    rewritten by the answering VM's host, so it bears the MACs that our VM sent to and from.
    """
    if packet.frag != Fragment.NONE:
        return None
    if packet.proto in _WITH_PORTS:
        sport, dport = packet.dport, packet.sport
    elif (packet.proto, packet.sport) in _ECHO:
        sport, dport = _ECHO[packet.proto, packet.sport], packet.dport
    else:
        return None
    if entry.action is DatapathAction.PORT:
        back = ports.ingress(entry.out_ifindex)
        dmac, smac = entry.smac, entry.dmac
    else:
        back = FROM_TUNNEL | ingress if ingress < FROM_TUNNEL else None
        dmac, smac = packet.smac, packet.dmac
    if back is None:
        return None
    return back, Packet(
        frame=b"", dmac=dmac, smac=smac, eth_type=packet.eth_type, src=packet.dst, dst=packet.src,
        proto=packet.proto, ttl=_REPLY_TTL, sport=sport, dport=dport,
    )  # fmt: skip
