"""Packs keys and values of the kernel's maps into bytes, as tables.h declares them.

The kernel checks sizes when the object is loaded; a test holds the offsets against its BTF.
"""

from __future__ import annotations

import ipaddress
import struct
from dataclasses import dataclass, field
from enum import IntEnum, IntFlag
from typing import TYPE_CHECKING, NamedTuple

from labctl.overlay.flow import ConnKey, FlowKey, Match, ReadPorts

if TYPE_CHECKING:
    from labctl.overlay.flow import Packet

__all__ = [
    "ALL_TUNNELS",
    "CONNS",
    "CONN_KEY_SIZE",
    "FLOW_KEY_SIZE",
    "INDICES",
    "INSIDE_KEY_SIZE",
    "MEGAFLOW_SIZE",
    "SOURCE_KEY_SIZE",
    "VARIANTS",
    "ConnRef",
    "ConnRequirement",
    "Counter",
    "DatapathAction",
    "DatapathSettings",
    "Flag",
    "FlowEntry",
    "PortRecord",
    "Variant",
    "flow_key",
    "inside_key",
    "inside_prefix",
    "megaflow_key",
]

FLOW_KEY_SIZE = 56
CONN_KEY_SIZE = 44
INSIDE_KEY_SIZE = 20
SOURCE_KEY_SIZE = 16
CONNS = 2
"""Connections that an entry or a megaflow may name: at most those of two ports' firewalls."""
VARIANTS = 4
"""Decisions under one key of a megaflow, for connections that are known and for such that are not."""
INDICES = 1 << 14
"""Megaflows valid at once, less one. The low bits of a generation are its index, the rest counts up."""
ALL_TUNNELS = 0
"""In place of an ifindex: the rate limit of what tunnels bring to ports that have none of their own."""

_CONN_SET = 1 << 30
_CONN_PORT = 0xFFFFFF
_ICMP = frozenset((1, 58))
_MATCH_MEGAFLOW = 3
"""In the place of a :class:`Match`, with the ports read added."""
_MAPPED = 96
"""Bits of the prefix ::ffff:0:0/96, that IPv4 addresses stand behind."""
_KEY = struct.Struct("=IHBB6s6sHH16s16s")
_VALUE = struct.Struct("=IIIHBB16s6s6sIIIQQQ")
_GENERATION = struct.Struct("=I")
_GENERATION_AT = struct.calcsize("=IIIHBB16s6s6s")
_VARIANT = struct.Struct("=IIHB5x")
_PORT = struct.Struct("=IIIIQQQ")
_SETTINGS = struct.Struct("=II4sI16s")


class DatapathAction(IntEnum):
    """What an entry does with a packet."""

    DROP = 0
    PORT = 1
    TUNNEL = 2
    STACK = 3
    UPCALL = 4


class Flag(IntFlag):
    """What an entry changes on the way."""

    NONE = 0
    MACS = 1
    TUNNEL_V6 = 2
    PEER = 4


class Counter(IntEnum):
    """Index in the per-CPU counters."""

    HIT = 0
    MISS = 1
    UPCALL = 2
    RATE_LIMITED = 3
    DROP = 4
    TUNNEL_TX = 5
    TUNNEL_RX = 6
    MALFORMED = 7
    TOO_BIG = 8
    STRANGER = 9
    MADE = 10
    STALE = 11
    REFUSED = 12


def flow_key(key: FlowKey, match: Match = Match.EXACT) -> bytes:
    """The key of a map entry: fields that ``match`` does not compare are zero."""
    if match is Match.INGRESS:
        return _KEY.pack(key.ingress, 0, 0, match << 4, bytes(6), bytes(6), 0, 0, bytes(16), bytes(16))
    if match is Match.DESTINATION:
        return _KEY.pack(
            key.ingress, key.eth_type, 0, match << 4, bytes(6), bytes(6), 0, 0, bytes(16), key.dst
        )
    return key.pack()


def inside_key(prefix: ipaddress.IPv4Network | ipaddress.IPv6Network) -> bytes:
    """A prefix as the LPM map wants it; IPv4 in the form ::ffff:a.b.c.d."""
    packed = prefix.network_address.packed
    if prefix.version == 4:  # noqa: PLR2004 - the IP version
        return struct.pack("=I16s", 96 + prefix.prefixlen, bytes(10) + b"\xff\xff" + packed)
    return struct.pack("=I16s", prefix.prefixlen, packed)


def inside_prefix(key: bytes) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    """The reverse of :func:`inside_key`."""
    bits, address = struct.unpack("=I16s", key)
    if bits >= _MAPPED and address.startswith(bytes(10) + b"\xff\xff"):
        return ipaddress.IPv4Network((address[12:], bits - _MAPPED))
    return ipaddress.IPv6Network((address, bits))


class ConnRequirement(IntEnum):
    """What a decision wants of a connection."""

    ANY = 0
    """It is opened, and kept alive."""
    KNOWN = 1
    UNKNOWN = 2


class ConnRef(NamedTuple):
    """A connection as seen from a packet of its flow: the same for all flows that differ in ports alone.

    Attributes:
        port: key of the VM's port whose firewall knows it.
        inbound: whether the other side opened it.
        is_sender: whether the VM of that port sends the packet.
        wanted: what the decision hangs on.
        later: whether the one that stands for later fragments goes with it.
    """

    port: int
    inbound: bool
    is_sender: bool
    wanted: ConnRequirement = ConnRequirement.ANY
    later: bool = False

    def pack(self) -> int:
        """One word; never 0."""
        return (
            self.port
            | self.is_sender << 24
            | self.wanted << 25
            | self.later << 27
            | _CONN_SET
            | self.inbound << 31
        )

    @classmethod
    def unpack(cls, word: int) -> ConnRef:
        """The reverse of :meth:`pack`."""
        return cls(
            word & _CONN_PORT,
            bool(word >> 31),
            bool(word >> 24 & 1),
            ConnRequirement(word >> 25 & 3),
            bool(word >> 27 & 1),
        )

    def of(self, flow: FlowKey | Packet) -> ConnKey:
        """The connection that a flow means by it."""
        if flow.proto in _ICMP:
            here, there = flow.dport, 0
        elif self.is_sender:
            here, there = flow.sport, flow.dport
        else:
            here, there = flow.dport, flow.sport
        ends = (flow.src, flow.dst) if self.is_sender else (flow.dst, flow.src)
        return ConnKey(self.port, flow.proto, here, there, *ends, self.inbound)


def _words(refs: tuple[ConnRef, ...]) -> tuple[int, int]:
    first, second, *_ = (*(ref.pack() for ref in refs), 0, 0)
    return first, second


def _refs(*words: int) -> tuple[ConnRef, ...]:
    return tuple(ConnRef.unpack(word) for word in words if word)


@dataclass(frozen=True, slots=True)
class FlowEntry:
    """The value of a flow entry.

    Attributes:
        action: see :class:`DatapathAction`.
        out_ifindex: interface for ``PORT``.
        tunnel_key: VXLAN network identifier for ``TUNNEL``.
        tunnel_dst: underlay address in text for ``TUNNEL``.
        mtu: longest IP packet in bytes; 0 if not checked.
        ttl: by how much TTL or hop limit is lowered.
        flags: see :class:`Flag`.
        dmac: new destination MAC with ``Flag.MACS``.
        smac: new source MAC with ``Flag.MACS``.
        conns: of a packet that is let through, the connections that it keeps alive; of one that is
            dropped, those that the decision to drop it depends on. At most two.
        generation: of the megaflow that the kernel made it from; 0 where the agent wrote it.
        last_ns: CLOCK_MONOTONIC of the last packet, or of the writing; not compared.
        packets: counted by the kernel.
        octets: counted by the kernel, frames as they came in.
    """

    action: DatapathAction
    out_ifindex: int = 0
    tunnel_key: int = 0
    tunnel_dst: str = ""
    mtu: int = 0
    ttl: int = 0
    flags: Flag = Flag.NONE
    dmac: bytes = bytes(6)
    smac: bytes = bytes(6)
    conns: tuple[ConnRef, ...] = ()
    generation: int = 0
    last_ns: int = field(default=0, compare=False)
    packets: int = field(default=0, compare=False)
    octets: int = field(default=0, compare=False)

    SIZE = _VALUE.size

    def pack(self) -> bytes:
        """80 bytes."""
        flags, remote = self.flags, b""
        if self.tunnel_dst:
            address = ipaddress.ip_address(self.tunnel_dst)
            remote = address.packed
            if address.version == 6:  # noqa: PLR2004 - the IP version
                flags |= Flag.TUNNEL_V6
        return _VALUE.pack(
            self.action, self.out_ifindex, self.tunnel_key, self.mtu, flags, self.ttl,
            remote.ljust(16, b"\0"),
            self.dmac, self.smac, self.generation, *_words(self.conns),
            self.last_ns, self.packets, self.octets,
        )  # fmt: skip

    @staticmethod
    def generation_of(raw: bytes) -> int:
        """The generation alone of a packed entry: many are looked through for it."""
        return int(_GENERATION.unpack_from(raw, _GENERATION_AT)[0])

    @classmethod
    def unpack(cls, raw: bytes) -> FlowEntry:
        """The reverse of :meth:`pack`."""
        action, out, key, mtu, flags, ttl, remote, dmac, smac, *rest = _VALUE.unpack(raw)
        generation, one, other, last, packets, octets = rest
        text = ""
        if action == DatapathAction.TUNNEL:
            text = str(ipaddress.ip_address(remote if flags & Flag.TUNNEL_V6 else remote[:4]))
        shown = Flag(flags & ~Flag.TUNNEL_V6)
        return cls(
            DatapathAction(action), out, key, text, mtu, ttl, shown, dmac, smac,
            _refs(one, other), generation, last, packets, octets,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Variant:
    """A decision for every flow of a megaflow whose connections are as it wants them.

    Attributes:
        asked: connections that the decision was made from, at most two; each KNOWN or UNKNOWN.
        length: longest IP packet in bytes that it is known to hold for.
        ttl: least TTL that it is known to hold for.
        entry: what the kernel writes for such a flow, with the generation of the megaflow.
    """

    asked: tuple[ConnRef, ...]
    length: int
    ttl: int
    entry: FlowEntry

    def pack(self) -> bytes:
        """96 bytes."""
        return _VARIANT.pack(*_words(self.asked), self.length, self.ttl) + self.entry.pack()


MEGAFLOW_SIZE = VARIANTS * (_VARIANT.size + FlowEntry.SIZE)


def megaflow_key(key: FlowKey, read: ReadPorts) -> bytes:
    """The key of a megaflow: all of a flow's but the port numbers that its decision was not made from."""
    sport = key.sport if read & ReadPorts.SOURCE else 0
    dport = key.dport if read & ReadPorts.DESTINATION else 0
    return key._replace(frag=(_MATCH_MEGAFLOW + read) << 4, sport=sport, dport=dport).pack()


@dataclass(frozen=True, slots=True)
class PortRecord:
    """An interface that a program stands on.

    Attributes:
        key: the port's key in the overlay.
        rate: upcalls a second that it may cause.
        burst: upcalls at once.
        rate_limited: upcalls refused so far; counted by the kernel.
    """

    key: int
    rate: int
    burst: int
    rate_limited: int = 0

    SIZE = _PORT.size

    def pack(self) -> bytes:
        """40 bytes; the buckets start full."""
        return _PORT.pack(self.key, 0, self.rate, self.burst, 0, self.rate_limited, 0)

    @classmethod
    def unpack(cls, raw: bytes) -> PortRecord:
        """The reverse of :meth:`pack`."""
        key, _, rate, burst, _, rate_limited, _ = _PORT.unpack(raw)
        return cls(key, rate, burst, rate_limited)


@dataclass(frozen=True, slots=True)
class DatapathSettings:
    """What all programs of a host share.

    Attributes:
        upcall: ifindex that upcalls are sent out of.
        vxlan: ifindex of the tunnel device.
        local: underlay addresses in text, at most one of each version, that tunnels are sent from;
            of a version without one it is as the route says.
        checked: whether tunnels are taken from known hosts alone.
    """

    upcall: int
    vxlan: int
    local: tuple[str, ...] = ()
    checked: bool = False

    SIZE = _SETTINGS.size

    @staticmethod
    def is_checked(raw: bytes) -> bool:
        """Whether packed settings say ``checked``."""
        return bool(_SETTINGS.unpack(raw)[3])

    def pack(self) -> bytes:
        """32 bytes."""
        by_length = {len(packed): packed for packed in (ipaddress.ip_address(a).packed for a in self.local)}
        return _SETTINGS.pack(
            self.upcall, self.vxlan, by_length.get(4, bytes(4)), self.checked, by_length.get(16, bytes(16))
        )
