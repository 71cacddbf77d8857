"""Parses frames to :class:`~labctl.overlay.flow.Packet`, and builds the headers of replies.

Headers: RFC 791 (IPv4), RFC 8200 (IPv6), RFC 826 (ARP), RFC 792 and 4443 (ICMP), RFC 9293 (TCP).
"""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv6Address

from labctl.overlay.flow import Fragment, Packet

__all__ = [
    "ARP",
    "BROADCAST",
    "ICMP",
    "ICMP6",
    "IP4",
    "IP6",
    "TCP",
    "UDP",
    "address_bytes",
    "address_of",
    "checksum",
    "ethernet",
    "ipv4",
    "ipv6",
    "is_ipv4",
    "is_link_local",
    "link_local",
    "mac_bytes",
    "mac_text",
    "parse",
    "transport_checksum",
]

IP4, IP6, ARP = 0x0800, 0x86DD, 0x0806
ICMP, TCP, UDP, ICMP6 = 1, 6, 17, 58
_ECHO = {ICMP: (0, 8), ICMP6: (128, 129)}
_PORTS = frozenset((TCP, UDP, 33, 132, 136))  # DCCP, SCTP and UDP-Lite have theirs in the same place
_HOP_BY_HOP, _ROUTING, _FRAGMENT, _OPTIONS = 0, 43, 44, 60
_MAX_EXTENSIONS = 8

BROADCAST = b"\xff" * 6
_MAPPED = bytes(10) + b"\xff\xff"
_SHORT = "cut short"
_ETHERNET, _IP4_HEAD, _IP6_HEAD = 14, 20, 40
_ARP_BYTES = 28  # of Ethernet and IPv4
_MAC, _V4, _V6 = 6, 4, 6


def mac_bytes(text: str) -> bytes:
    """Six bytes of a MAC address in colon form; ValueError if it is none."""
    raw = bytes.fromhex(text.replace(":", ""))
    if len(raw) != _MAC:
        raise ValueError(f"{text!r} is no MAC address")
    return raw


def mac_text(raw: bytes) -> str:
    """Colon form, lower case."""
    return raw.hex(":")


def address_bytes(address: IPv4Address | IPv6Address) -> bytes:
    """Sixteen bytes; IPv4 mapped into ::ffff:0:0/96."""
    return _MAPPED + address.packed if isinstance(address, IPv4Address) else address.packed


def address_of(raw: bytes) -> IPv4Address | IPv6Address:
    """The reverse of :func:`address_bytes`."""
    return IPv4Address(raw[12:]) if is_ipv4(raw) else IPv6Address(raw)


def is_ipv4(raw: bytes) -> bool:
    """Whether the sixteen bytes stand for an IPv4 address."""
    return raw.startswith(_MAPPED)


def link_local(mac: bytes) -> bytes:
    """The IPv6 link-local address that autoconfiguration makes of a MAC (RFC 4291, appendix A)."""
    return b"\xfe\x80" + bytes(6) + bytes((mac[0] ^ 2,)) + mac[1:3] + b"\xff\xfe" + mac[3:]


def is_link_local(raw: bytes) -> bool:
    """Whether the sixteen bytes stand for an IPv6 link-local address."""
    return raw[0] == 0xFE and raw[1] & 0xC0 == 0x80  # noqa: PLR2004 - fe80::/10


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071) of the data."""
    if len(data) % 2:
        data += b"\0"
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xFFFF) + (total >> 16)
    return ~(total + (total >> 16)) & 0xFFFF


def transport_checksum(src: bytes, dst: bytes, proto: int, segment: bytes) -> int:
    """The checksum of UDP, TCP or ICMPv6 with the pseudo header of addresses of 16 bytes."""
    if is_ipv4(src):
        pseudo = src[12:] + dst[12:] + struct.pack("!BBH", 0, proto, len(segment))
    else:
        pseudo = src + dst + struct.pack("!IHBB", len(segment), 0, 0, proto)
    return checksum(pseudo + segment)


def ethernet(dmac: bytes, smac: bytes, eth_type: int, payload: bytes) -> bytes:
    """A frame."""
    return dmac + smac + struct.pack("!H", eth_type) + payload


def ipv4(src: bytes, dst: bytes, proto: int, payload: bytes, *, ttl: int = 64, tos: int = 0) -> bytes:
    """An IPv4 packet with DF set; addresses of 16 bytes."""
    head = struct.pack(
        "!BBHHHBBH4s4s", 0x45, tos, 20 + len(payload), 0, 0x4000, ttl, proto, 0, src[12:], dst[12:]
    )
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + payload


def ipv6(src: bytes, dst: bytes, proto: int, payload: bytes, *, ttl: int = 64) -> bytes:
    """An IPv6 packet."""
    return struct.pack("!IHBB", 6 << 28, len(payload), proto, ttl) + src + dst + payload


def parse(frame: bytes, gso_size: int = 0) -> Packet:
    """Read the headers of a frame.

    Args:
        frame: from the destination MAC on; may be cut short behind the headers.
        gso_size: payload bytes of each packet that the frame stands for; 0 for a single packet.

    Returns:
        The packet; with ``fault`` set where the headers are not whole or make no sense.
    """
    if len(frame) < _ETHERNET:
        return Packet(frame, frame[:6].ljust(6, b"\0"), frame[6:12].ljust(6, b"\0"), 0, fault=_SHORT)
    eth_type = frame[12] << 8 | frame[13]
    packet = Packet(frame, frame[:6], frame[6:12], eth_type)
    if eth_type == IP4:
        _parse_ipv4(packet, gso_size)
    elif eth_type == IP6:
        _parse_ipv6(packet, gso_size)
    elif eth_type == ARP:
        _parse_arp(packet)
    return packet


def _parse_arp(packet: Packet) -> None:
    head = packet.frame[14:42]
    if len(head) < _ARP_BYTES:
        packet.fault = _SHORT
    elif head[:6] != b"\0\1\x08\0\6\4":
        packet.fault = "arp not of ethernet and ipv4"
    else:
        packet.proto = head[6] << 8 | head[7]
        packet.src, packet.dst = _MAPPED + head[14:18], _MAPPED + head[24:28]
        packet.l4 = 14


def _parse_ipv4(packet: Packet, gso_size: int) -> None:
    frame = packet.frame
    if len(frame) < _ETHERNET + _IP4_HEAD:
        packet.fault = _SHORT
        return
    words = (frame[14] & 15) * 4
    total, fragment = struct.unpack_from("!H2xH", frame, 16)
    packet.src, packet.dst = _MAPPED + frame[26:30], _MAPPED + frame[30:34]
    packet.ttl, packet.proto = frame[22], frame[23]
    packet.dont_fragment = bool(fragment & 0x4000)
    if frame[14] >> 4 != _V4 or words < _IP4_HEAD or (total and total < words):
        packet.fault = "bad ip header"
        return
    packet.l4 = _ETHERNET + words
    # A GSO frame of more than 64 KiB says 0.
    packet.length = total or len(frame) - _ETHERNET
    end = min(len(frame), _ETHERNET + packet.length)
    if fragment & 0x1FFF:
        packet.frag = Fragment.LATER
    elif fragment & 0x2000:
        packet.frag = Fragment.FIRST
    _parse_transport(packet, end, gso_size)


def _parse_ipv6(packet: Packet, gso_size: int) -> None:
    frame = packet.frame
    if len(frame) < _ETHERNET + _IP6_HEAD:
        packet.fault = _SHORT
        return
    packet.src, packet.dst = frame[22:38], frame[38:54]
    packet.ttl = frame[21]
    if frame[14] >> 4 != _V6:
        packet.fault = "bad ip header"
        return
    packet.length = _IP6_HEAD + (frame[18] << 8 | frame[19])
    if packet.length == _IP6_HEAD and gso_size:
        packet.length = len(frame) - _ETHERNET
    end = min(len(frame), _ETHERNET + packet.length)
    proto, at = frame[20], _ETHERNET + _IP6_HEAD
    for _ in range(_MAX_EXTENSIONS):
        if proto not in (_HOP_BY_HOP, _ROUTING, _FRAGMENT, _OPTIONS) or packet.frag == Fragment.LATER:
            break
        if end < at + 8:
            packet.fault = _SHORT
            return
        if proto == _FRAGMENT:
            place = frame[at + 2] << 8 | frame[at + 3]
            if place & 0xFFF9:  # an atomic fragment (RFC 6946) is none
                packet.frag = Fragment.LATER if place & 0xFFF8 else Fragment.FIRST
        size = 8 if proto == _FRAGMENT else (frame[at + 1] + 1) * 8
        proto, at = frame[at], at + size
    else:
        packet.fault = "too many extension headers"
    packet.proto, packet.l4 = proto, at
    _parse_transport(packet, end, gso_size)


def _parse_transport(packet: Packet, end: int, gso_size: int) -> None:
    """Ports, ICMP type, TCP flags, and the length of one packet of a GSO frame.

    What stands behind the packet's own ``end`` is none of it: its receiver never looks there. A first
    fragment whose headers go on in the next one (RFC 7112) would seem to be whatever stands there.
    """
    if packet.frag == Fragment.LATER or packet.fault:
        return
    frame, at, proto = packet.frame, packet.l4, packet.proto
    repeated = 0  # bytes of this header; each segment of a GSO frame has it
    if proto in _PORTS or proto in _ECHO:
        need = 14 if proto == TCP else 8 if proto in _ECHO or proto == UDP else 4
        if end < at + need:
            packet.fault = _SHORT
            return
        packet.sport, packet.dport = struct.unpack_from("!HH", frame, at)
        repeated = 8 if proto in _ECHO or proto == UDP else 0
        if proto in _ECHO:
            is_echo = frame[at] in _ECHO[proto]
            packet.dport = frame[at + 4] << 8 | frame[at + 5] if is_echo else 0
        elif proto == TCP:
            packet.tcp_flags = frame[at + 13]
            repeated = (frame[at + 12] >> 4) * 4
    if gso_size:
        packet.length = min(packet.length, at - _ETHERNET + repeated + gso_size)
