"""ICMP from routers: echo replies and errors (RFC 792, RFC 1812, RFC 4443), as frames."""

from __future__ import annotations

import struct
from enum import Enum
from typing import TYPE_CHECKING

from labctl.overlay.flow import Fragment
from labctl.overlay.packet import ICMP, ICMP6, IP4, IP6, checksum, ethernet, ipv4, ipv6, transport_checksum

if TYPE_CHECKING:
    from labctl.overlay.flow import Packet

__all__ = ["Error", "echo_reply", "error", "is_echo_request"]

_ERROR_TYPES = {ICMP: frozenset((3, 4, 5, 11, 12)), ICMP6: frozenset(range(128))}
_QUOTE4, _QUOTE6 = 576 - 20 - 8, 1280 - 40 - 8
"""How much of the packet an error quotes: RFC 1812, section 4.3.2.3; RFC 4443, section 2.4 (c)."""


class Error(Enum):
    """An ICMP error: type and code of ICMP, type and code of ICMPv6."""

    NO_ROUTE = ("network unreachable", 3, 0, 1, 0)
    NO_HOST = ("host unreachable", 3, 1, 1, 3)
    NO_PORT = ("port unreachable", 3, 3, 1, 4)
    TOO_BIG = ("packet too big", 3, 4, 2, 0)
    TIME_EXCEEDED = ("time exceeded", 11, 0, 3, 0)

    @property
    def what(self) -> str:
        """In words."""
        return self.value[0]


def is_echo_request(packet: Packet) -> bool:
    """Whether it is a ping, whole."""
    kind = packet.sport >> 8
    return packet.frag == Fragment.NONE and (packet.proto, kind) in ((ICMP, 8), (ICMP6, 128))


def echo_reply(packet: Packet) -> bytes:
    """The answer to a ping from the address that was pinged; empty if the ping was not all captured."""
    end = 14 + packet.length
    if len(packet.frame) < end:
        return b""
    body = bytearray(packet.frame[packet.l4 : end])
    body[0] = 0 if packet.proto == ICMP else 129
    body[2:4] = b"\0\0"
    if packet.eth_type == IP4:
        body[2:4] = struct.pack("!H", checksum(bytes(body)))
        inner = ipv4(packet.dst, packet.src, ICMP, bytes(body), tos=packet.frame[15])
    else:
        body[2:4] = struct.pack("!H", transport_checksum(packet.dst, packet.src, ICMP6, bytes(body)))
        inner = ipv6(packet.dst, packet.src, ICMP6, bytes(body))
    return ethernet(packet.smac, packet.dmac, packet.eth_type, inner)


def error(packet: Packet, kind: Error, source: bytes | None, mtu: int = 0) -> bytes:
    """An error about a packet, back to its sender; empty where none may be sent.

    None is sent about another error, a fragment that is not the first, a packet to or from more
    than one (RFC 1122, section 3.2.2; RFC 4443, section 2.4 (e)), or without an address to send
    it from.

    Args:
        packet: what it is about.
        kind: what went wrong.
        source: the router's address, 16 bytes.
        mtu: for TOO_BIG: bytes of IP packet that would fit.
    """
    if source is None or not _may_tell(packet):
        return b""
    _, type4, code4, type6, code6 = kind.value
    end = 14 + packet.length
    if packet.eth_type == IP4:
        quote = packet.frame[14 : min(end, 14 + _QUOTE4)]
        head = struct.pack("!BBHI", type4, code4, 0, mtu & 0xFFFF)
        total = checksum(head + quote)
        body = head[:2] + struct.pack("!H", total) + head[4:] + quote
        inner = ipv4(source, packet.src, ICMP, body)
    else:
        # Only Packet Too Big tells of packets to a multicast address, and none comes this far.
        quote = packet.frame[14 : min(end, 14 + _QUOTE6)]
        body = struct.pack("!BBHI", type6, code6, 0, mtu) + quote
        total = transport_checksum(source, packet.src, ICMP6, body)
        body = body[:2] + struct.pack("!H", total) + body[4:]
        inner = ipv6(source, packet.src, ICMP6, body)
    return ethernet(packet.smac, packet.dmac, packet.eth_type, inner)


def _may_tell(packet: Packet) -> bool:
    if packet.eth_type not in (IP4, IP6) or packet.frag == Fragment.LATER or packet.dmac[0] & 1:
        return False
    if packet.sport >> 8 in _ERROR_TYPES.get(packet.proto, ()):
        return False
    if packet.eth_type == IP4:
        return 0 < packet.src[12] < 224 and packet.src[12] != 127 and packet.dst[12] < 224  # noqa: PLR2004
    return packet.src != bytes(16) and packet.src[0] != 0xFF and packet.dst[0] != 0xFF  # noqa: PLR2004
