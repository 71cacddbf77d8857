"""Keys and values of the kernel's maps as bytes: what flowcache.bpf.c declares, told again.

The kernel checks sizes when the object is loaded; ``test_layout`` holds the offsets against its BTF.
"""

from __future__ import annotations

import ipaddress
import struct
from dataclasses import dataclass, field
from enum import IntEnum, IntFlag

from labctl.overlay.flow import FlowKey, Match

__all__ = [
    "ALL_TUNNELS",
    "CONN_KEY_SIZE",
    "FLOW_KEY_SIZE",
    "INSIDE_KEY_SIZE",
    "SOURCE_KEY_SIZE",
    "Action",
    "Counter",
    "Entry",
    "Flag",
    "PortRecord",
    "Settings",
    "flow_key",
    "inside_key",
    "inside_prefix",
]

FLOW_KEY_SIZE = 56
CONN_KEY_SIZE = 44
INSIDE_KEY_SIZE = 20
SOURCE_KEY_SIZE = 16
ALL_TUNNELS = 0
"""In place of an ifindex: the ration of what tunnels bring to ports that have none of their own."""

_MAPPED = 96
"""Bits of the prefix ::ffff:0:0/96, that IPv4 addresses stand behind."""
_KEY = struct.Struct("=IHBB6s6sHH16s16s")
_VALUE = struct.Struct("=IIIHBB16s6s6sIQQQ")
_PORT = struct.Struct("=IIIIQQ")
_SETTINGS = struct.Struct("=II4sI16s")


class Action(IntEnum):
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
    RATIONED = 3
    DROP = 4
    TUNNEL_TX = 5
    TUNNEL_RX = 6
    MALFORMED = 7
    TOO_BIG = 8
    STRANGER = 9


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


@dataclass(frozen=True, slots=True)
class Entry:
    """The value of a flow entry.

    Attributes:
        action: see :class:`Action`.
        out_ifindex: interface for ``PORT``.
        tunnel_key: VXLAN network identifier for ``TUNNEL``.
        tunnel_dst: underlay address in text for ``TUNNEL``.
        mtu: longest IP packet in bytes; 0 if not checked.
        ttl: by how much TTL or hop limit is lowered.
        flags: see :class:`Flag`.
        dmac: new destination MAC with ``Flag.MACS``.
        smac: new source MAC with ``Flag.MACS``.
        cookie: the agent's own number for the decision behind it.
        last_ns: CLOCK_MONOTONIC of the last packet, or of the writing; not compared.
        packets: counted by the kernel.
        octets: counted by the kernel, frames as they came in.
    """

    action: Action
    out_ifindex: int = 0
    tunnel_key: int = 0
    tunnel_dst: str = ""
    mtu: int = 0
    ttl: int = 0
    flags: Flag = Flag.NONE
    dmac: bytes = bytes(6)
    smac: bytes = bytes(6)
    cookie: int = 0
    last_ns: int = field(default=0, compare=False)
    packets: int = field(default=0, compare=False)
    octets: int = field(default=0, compare=False)

    SIZE = _VALUE.size

    def pack(self) -> bytes:
        """72 bytes."""
        flags, remote = self.flags, b""
        if self.tunnel_dst:
            address = ipaddress.ip_address(self.tunnel_dst)
            remote = address.packed
            if address.version == 6:  # noqa: PLR2004 - the IP version
                flags |= Flag.TUNNEL_V6
        return _VALUE.pack(
            self.action, self.out_ifindex, self.tunnel_key, self.mtu, flags, self.ttl,
            remote.ljust(16, b"\0"),
            self.dmac, self.smac, self.cookie, self.last_ns, self.packets, self.octets,
        )  # fmt: skip

    @classmethod
    def unpack(cls, raw: bytes) -> Entry:
        """The reverse of :meth:`pack`."""
        action, out, key, mtu, flags, ttl, remote, dmac, smac, cookie, last, packets, octets = _VALUE.unpack(
            raw
        )
        text = ""
        if action == Action.TUNNEL:
            text = str(ipaddress.ip_address(remote if flags & Flag.TUNNEL_V6 else remote[:4]))
        shown = Flag(flags & ~Flag.TUNNEL_V6)
        return cls(
            Action(action), out, key, text, mtu, ttl, shown, dmac, smac, cookie, last, packets, octets
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class PortRecord:
    """An interface that a program stands on.

    Attributes:
        key: the port's key in the overlay.
        rate: upcalls a second that it may cause.
        burst: upcalls at once.
        rationed: upcalls refused so far; counted by the kernel.
    """

    key: int
    rate: int
    burst: int
    rationed: int = 0

    SIZE = _PORT.size

    def pack(self) -> bytes:
        """32 bytes; the bucket starts full."""
        return _PORT.pack(self.key, 0, self.rate, self.burst, 0, self.rationed)

    @classmethod
    def unpack(cls, raw: bytes) -> PortRecord:
        """The reverse of :meth:`pack`."""
        key, _, rate, burst, _, rationed = _PORT.unpack(raw)
        return cls(key, rate, burst, rationed)


@dataclass(frozen=True, slots=True)
class Settings:
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
