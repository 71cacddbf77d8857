"""The bytes of a traced packet: its headers, and a token that identifies it."""

from __future__ import annotations

import struct
from ipaddress import ip_address
from typing import TYPE_CHECKING

from labctl.errors import InputError, Problem
from labctl.overlay.packet import (
    ICMP,
    ICMP6,
    IP4,
    IP6,
    TCP,
    UDP,
    address_bytes,
    checksum,
    ethernet,
    ipv4,
    ipv6,
    mac_bytes,
    transport_checksum,
)

if TYPE_CHECKING:
    from labctl.overlay.client.packet_spec import TracePacket

__all__ = ["TOKEN_BYTES", "as_frame", "ip_packet"]

TOKEN_BYTES = 16
_NUMBERS = {"tcp": TCP, "udp": UDP}
_HEADER = {"tcp": 20, "udp": 8, "icmp": 8}
_IP = {4: 20, 6: 40}
_SHORT = 84
_USUAL_TTL = 64
_SYN = 0x02
_V4 = 4


def ip_packet(wanted: TracePacket, source: str, destination: str, token: bytes) -> bytes:
    """From the IP header on, checksums and all. TCP is the first segment of a connection (SYN).

    Raises:
        InputError: ``size`` leaves no room for the token.
    """
    src, dst = address_bytes(ip_address(source)), address_bytes(ip_address(destination))
    version = ip_address(destination).version
    least = _IP[version] + _HEADER[wanted.proto] + TOKEN_BYTES
    size = wanted.size or max(least, _SHORT)
    if size < least:
        message = f"size is {size}, must be at least {least}: the packet carries what it is known by"
        raise InputError([Problem("PACKET", 0, 0, message)])
    content = token.ljust(size - _IP[version] - _HEADER[wanted.proto], b"\0")
    sport = wanted.sport or int.from_bytes(token[:2]) | 0x8000
    if wanted.proto == "icmp":
        proto = ICMP if version == _V4 else ICMP6
        kind = 8 if version == _V4 else 128
        segment = struct.pack("!BBHHH", kind, 0, 0, sport, 1) + content
        total = checksum(segment) if version == _V4 else transport_checksum(src, dst, proto, segment)
        segment = segment[:2] + struct.pack("!H", total) + segment[4:]
    elif wanted.proto == "udp":
        proto = UDP
        segment = struct.pack("!HHHH", sport, wanted.port, 8 + len(content), 0) + content
        total = transport_checksum(src, dst, proto, segment) or 0xFFFF
        segment = segment[:6] + struct.pack("!H", total) + segment[8:]
    else:
        proto = TCP
        segment = struct.pack("!HHIIBBHHH", sport, wanted.port, 1, 0, 5 << 4, _SYN, 64240, 0, 0) + content
        total = transport_checksum(src, dst, proto, segment)
        segment = segment[:16] + struct.pack("!H", total) + segment[18:]
    build = ipv4 if version == _V4 else ipv6
    return build(src, dst, proto, segment, ttl=wanted.ttl or _USUAL_TTL)


def as_frame(packet: bytes, dmac: str, smac: str) -> bytes:
    """The packet on a link; MACs with colons."""
    return ethernet(mac_bytes(dmac), mac_bytes(smac), IP4 if packet[0] >> 4 == _V4 else IP6, packet)
