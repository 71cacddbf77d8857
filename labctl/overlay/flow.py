"""The types between the datapath and the simulation: flow keys, packets, decisions.

The datapath passes a :class:`Packet` and its ingress port's number to the simulation, which
returns a :data:`Decision`. The datapath makes a flow entry of it, or sends the
reply back. Neither knows anything else of the other. docs/overlay.md describes the whole.

Ports are known by their *key*, an integer below 2**24, unique over all tenants and stable for the
life of a port: it is the tunnel key (VXLAN network identifier) of packets on their way to the port.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import NamedTuple

__all__ = [
    "FROM_TUNNEL",
    "KEY_LIMIT",
    "WATCHED_PORTS",
    "Answer",
    "ConnKey",
    "Decision",
    "Drop",
    "FlowKey",
    "Forward",
    "Fragment",
    "Match",
    "Packet",
    "ReadPorts",
    "ToPort",
    "ToTunnel",
    "TraceStep",
    "Unknown",
]

KEY_LIMIT = 1 << 24
"""Port keys are below this: a VXLAN network identifier has 24 bits."""

FROM_TUNNEL = 1 << 24
"""Added to a port's key in ``ingress``: the packet came out of a tunnel, on its way *to* that port.

Without it the packet was sent *by* what hangs on that port (a VM, or a gateway's kernel)."""

WATCHED_PORTS = frozenset((67, 68, 546, 547))
"""UDP ports of DHCP, for IPv4 and IPv6: what a VM sends from or to them is looked at by itself."""

_FLOW_KEY = struct.Struct("=IHBB6s6sHH16s16s")
_CONN_KEY = struct.Struct("=IBxHH16s16s2x")


class Fragment(IntEnum):
    """Which part of an IP packet a frame carries."""

    NONE = 0
    FIRST = 1
    LATER = 2


class Match(IntEnum):
    """Which packets a decision holds for."""

    EXACT = 0
    """Those with the same :class:`FlowKey`."""

    DESTINATION = 1
    """Every unicast IP packet from that ingress to the same destination address whose source is
    not an inside address (:func:`labctl.overlay.simulation.inward.inside_prefixes`)."""

    INGRESS = 2
    """Every packet from that ingress."""


class ReadPorts(IntFlag):
    """Port numbers that a decision was made from, other than as part of a :class:`ConnKey`.

    Of ICMP the type counts as SOURCE, the identifier as DESTINATION.
    """

    NONE = 0
    SOURCE = 1
    DESTINATION = 2
    BOTH = 3


class FlowKey(NamedTuple):
    """What tells one flow from another in the flow cache.

    Attributes:
        ingress: key of the port that the packet came in by; :data:`FROM_TUNNEL` added when it
            came out of a tunnel.
        eth_type: of the frame; 0x0800, 0x86dd, or another one with all later fields 0.
        proto: IP protocol (the last header of IPv6 extension headers that were skipped).
        frag: a :class:`Fragment`. LATER fragments have ports 0.
        dmac: destination MAC.
        smac: source MAC.
        sport: source port of TCP, UDP and SCTP; type << 8 | code of ICMP and ICMPv6; else 0.
        dport: destination port; identifier of ICMP echo; else 0.
        src: source address, 16 bytes; IPv4 in the form ::ffff:a.b.c.d.
        dst: destination address, the same.
    """

    ingress: int
    eth_type: int
    proto: int
    frag: int
    dmac: bytes
    smac: bytes
    sport: int
    dport: int
    src: bytes
    dst: bytes

    def pack(self) -> bytes:
        """56 bytes, integers in the machine's own order, no padding."""
        return _FLOW_KEY.pack(*self)

    @classmethod
    def unpack(cls, raw: bytes) -> FlowKey:
        """The reverse of :meth:`pack`."""
        return cls(*_FLOW_KEY.unpack(raw))


class ConnKey(NamedTuple):
    """A connection as the firewall of one VM port knows it; the same for both directions.

    Attributes:
        port: key of the VM's port.
        proto: IP protocol.
        local_port: port number on the VM's side; identifier of ICMP echo; 0 for protocols
            without ports and for the key that stands for all LATER fragments.
        remote_port: port number on the other side; 0 for ICMP echo.
        local: the VM's address, 16 bytes.
        remote: the other side's address, 16 bytes.
        inbound: whether the other side opened it. A connection that was opened from one side
            lets return traffic through in the other direction, nothing more.
    """

    port: int
    proto: int
    local_port: int
    remote_port: int
    local: bytes
    remote: bytes
    inbound: bool

    def pack(self) -> bytes:
        """44 bytes; ``inbound`` is bit 31 of the first word."""
        return _CONN_KEY.pack(
            self.port | (self.inbound << 31),
            self.proto,
            self.local_port,
            self.remote_port,
            self.local,
            self.remote,
        )

    @classmethod
    def unpack(cls, raw: bytes) -> ConnKey:
        """The reverse of :meth:`pack`."""
        word, proto, local_port, remote_port, local, remote = _CONN_KEY.unpack(raw)
        return cls(word & 0x7FFFFFFF, proto, local_port, remote_port, local, remote, bool(word >> 31))


@dataclass(slots=True)
class Packet:
    """The headers of one frame, as :func:`labctl.overlay.packet.parse` reads them.

    Not changed by anybody once it is made (not frozen only because it is made for every upcall).

    Attributes:
        frame: the whole frame from the destination MAC on, as far as it was captured.
        dmac: destination MAC, 6 bytes.
        smac: source MAC, 6 bytes.
        eth_type: 0x0800, 0x86dd, 0x0806 or whatever stands there.
        src: source address, 16 bytes, IPv4 mapped; of ARP the sender's; empty for other types.
        dst: destination address, the same; of ARP the target's.
        proto: IP protocol; of ARP the operation (1 request, 2 reply); else 0.
        ttl: TTL or hop limit.
        frag: see :class:`Fragment`.
        dont_fragment: IPv4's DF; always True for IPv6.
        sport: as in :class:`FlowKey`.
        dport: as in :class:`FlowKey`.
        tcp_flags: of TCP; else 0.
        length: bytes of IP packet of the longest packet on the wire (a GSO frame is many).
        l4: offset in ``frame`` of the header after IP's; of ARP of the ARP header.
        fault: why the frame cannot be understood (cut short, a bad header); empty if it can.
    """

    frame: bytes
    dmac: bytes
    smac: bytes
    eth_type: int
    src: bytes = b""
    dst: bytes = b""
    proto: int = 0
    ttl: int = 0
    frag: int = Fragment.NONE
    dont_fragment: bool = True
    sport: int = 0
    dport: int = 0
    tcp_flags: int = 0
    length: int = 0
    l4: int = 0
    fault: str = ""

    def key(self, ingress: int) -> FlowKey:
        """The flow that the packet belongs to."""
        if self.eth_type not in (0x0800, 0x86DD):
            return FlowKey(ingress, self.eth_type, 0, 0, self.dmac, self.smac, 0, 0, bytes(16), bytes(16))
        return FlowKey(
            ingress,
            self.eth_type,
            self.proto,
            self.frag,
            self.dmac,
            self.smac,
            self.sport,
            self.dport,
            self.src,
            self.dst,
        )


class TraceStep(NamedTuple):
    """One step of a packet through the virtual topology, for ``labctl trace``.

    Attributes:
        device: kind and name, such as ``bridge t1-net``.
        message: what it decided and why, in words.
    """

    device: str
    message: str


class ToPort(NamedTuple):
    """Out of a port of this host.

    Attributes:
        key: of the port.
        port: its name.
    """

    key: int
    port: str


class ToTunnel(NamedTuple):
    """Into a tunnel.

    Attributes:
        key: the tunnel key: that of the egress port at the other end.
        remote: underlay address of the host there, or the gateways' anycast address; text.
        port: name of the egress port.
    """

    key: int
    remote: str
    port: str


@dataclass(frozen=True, slots=True)
class Forward:
    """Let the packet through.

    Attributes:
        outputs: one, or several for a flood (then ``cacheable`` is False).
        dmac: what the destination MAC becomes.
        smac: what the source MAC becomes.
        ttl_decrement: by how much TTL or hop limit is lowered; a packet whose TTL is not greater
            must go to the simulation again (it answers ICMP time exceeded).
        mtu: longest IP packet, bytes; a longer one must go to the simulation again.
        conns: connections that exist from now on: to be remembered, and refreshed by every packet
            of this flow. All of them belong to ports of this host.
        tags: what the decision was made from; see :mod:`labctl.overlay.simulation.dependencies`.
        match: which packets the decision holds for.
        read: port numbers that it was made from: a packet that differs in another one, and gets the
            same answers about its connections, meets the same decision.
        cacheable: whether a flow entry may be made of it.
        steps: how it was found; empty unless asked for.
    """

    outputs: tuple[ToPort | ToTunnel, ...]
    dmac: bytes
    smac: bytes
    ttl_decrement: int
    mtu: int
    conns: tuple[ConnKey, ...]
    tags: frozenset[str]
    match: Match = Match.EXACT
    cacheable: bool = True
    steps: tuple[TraceStep, ...] = ()
    read: ReadPorts = ReadPorts.BOTH


@dataclass(frozen=True, slots=True)
class Drop:
    """Throw the packet away.

    Attributes:
        reason: a short fixed phrase, good as the name of a counter.
        tags: as in :class:`Forward`.
        cacheable: whether a flow entry (that drops) may be made of it.
        steps: as in :class:`Forward`.
        read: as in :class:`Forward`.
    """

    reason: str
    tags: frozenset[str]
    cacheable: bool = True
    steps: tuple[TraceStep, ...] = ()
    read: ReadPorts = ReadPorts.BOTH


@dataclass(frozen=True, slots=True)
class Answer:
    """Throw the packet away and send frames back out of the port that it came in by.

    Never made a flow entry of: every such packet comes to the simulation, and its port's rate is limited.

    Attributes:
        frames: whole Ethernet frames, checksums filled in.
        what: a short fixed phrase, such as ``arp reply``, good as the name of a counter.
        tags: as in :class:`Forward`.
        hold: whether a flow entry that drops may stand for about a second after it, so that a
            stream to nowhere does not come to the simulation packet by packet.
        steps: as in :class:`Forward`.
    """

    frames: tuple[bytes, ...]
    what: str
    tags: frozenset[str]
    hold: bool = False
    steps: tuple[TraceStep, ...] = ()


@dataclass(frozen=True, slots=True)
class Unknown:
    """The mirror does not hold enough yet: keep the packet and ask again after the next change.

    Attributes:
        waits_for: what is missing, in words.
        tags: any of these in a change is worth another try.
        steps: as in :class:`Forward`.
    """

    waits_for: str
    tags: frozenset[str]
    steps: tuple[TraceStep, ...] = ()


Decision = Forward | Drop | Answer | Unknown
