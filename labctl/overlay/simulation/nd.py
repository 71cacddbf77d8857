"""Neighbour discovery (RFC 4861): reading solicitations, and the answers as frames."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from labctl.overlay.packet import ICMP6, IP6, address_bytes, ethernet, ipv6, transport_checksum

if TYPE_CHECKING:
    from collections.abc import Iterable
    from ipaddress import IPv6Network

    from labctl.overlay.flow import Packet

__all__ = [
    "ADVERTISEMENT",
    "ALL_NODES",
    "KINDS",
    "REDIRECT",
    "ROUTER_ADVERTISEMENT",
    "ROUTER_SOLICITATION",
    "SOLICITATION",
    "advertisement",
    "is_valid",
    "option_macs",
    "router_advertisement",
    "target",
]

ROUTER_SOLICITATION, ROUTER_ADVERTISEMENT, SOLICITATION, ADVERTISEMENT, REDIRECT = 133, 134, 135, 136, 137
KINDS = frozenset((133, 134, 135, 136, 137))
ALL_NODES = b"\xff\x02" + bytes(13) + b"\x01"
_ALL_NODES_MAC = b"\x33\x33\0\0\0\x01"
_ANY = bytes(16)
_ROUTER, _SOLICITED, _OVERRIDE = 0x80, 0x40, 0x20
_SOURCE_MAC, _TARGET_MAC, _PREFIX, _MTU, _DNS = 1, 2, 3, 5, 25
_HOPS = 255
_OPTIONS_AT = {133: 8, 134: 16, 135: 24, 136: 24, 137: 40}

ROUTER_LIFETIME_S = 9000
"""The longest that RFC 4861 allows: the agent says it again long before."""
_PREFIX_LIFETIME_S = 0xFFFFFFFF


def is_valid(packet: Packet) -> bool:
    """Whether the message is whole and came from this very link (hop limit 255)."""
    kind = packet.sport >> 8
    need = 24 if kind in (SOLICITATION, ADVERTISEMENT) else 8
    return packet.ttl == _HOPS and len(packet.frame) >= packet.l4 + need


def target(packet: Packet) -> bytes:
    """The address that a neighbour solicitation or advertisement speaks of."""
    return packet.frame[packet.l4 + 8 : packet.l4 + 24]


def option_macs(packet: Packet) -> frozenset[bytes]:
    """Every link-layer address in the options; one that cannot be read counts as all zero."""
    found: set[bytes] = set()
    end = min(len(packet.frame), 14 + packet.length)
    at = packet.l4 + _OPTIONS_AT.get(packet.sport >> 8, 8)
    while at + 8 <= end:
        kind, units = packet.frame[at], packet.frame[at + 1]
        if units == 0:
            found.add(bytes(6))
            break
        if kind in (_SOURCE_MAC, _TARGET_MAC):
            found.add(packet.frame[at + 2 : at + 8])
        at += units * 8
    return frozenset(found)


def _message(dmac: bytes, smac: bytes, src: bytes, dst: bytes, body: bytes) -> bytes:
    total = transport_checksum(src, dst, ICMP6, body)
    body = body[:2] + struct.pack("!H", total) + body[4:]
    return ethernet(dmac, smac, IP6, ipv6(src, dst, ICMP6, body, ttl=_HOPS))


def advertisement(packet: Packet, mac: bytes, *, router: bool) -> bytes:
    """The answer to a neighbour solicitation: the target is at that MAC."""
    sought = target(packet)
    # Whoever asks without an address of its own (duplicate address detection) hears it with all others.
    asked = packet.src != _ANY
    flags = _OVERRIDE | (_SOLICITED if asked else 0) | (_ROUTER if router else 0)
    body = struct.pack("!BBHB3x16sBB6s", ADVERTISEMENT, 0, 0, flags, sought, _TARGET_MAC, 1, mac)
    if asked:
        return _message(packet.smac, mac, sought, packet.src, body)
    return _message(_ALL_NODES_MAC, mac, sought, ALL_NODES, body)


def router_advertisement(
    mac: bytes,
    link_local: bytes,
    *,
    mtu: int,
    prefixes: Iterable[IPv6Network],
    dns: Iterable[bytes],
    to: tuple[bytes, bytes] = (_ALL_NODES_MAC, ALL_NODES),
) -> bytes:
    """A router advertisement: default route, MTU, prefixes to make addresses of, name servers.

    Args:
        mac: of the router port.
        link_local: its address.
        mtu: of the network, bytes.
        prefixes: of 64 bits, for address autoconfiguration (RFC 4862).
        dns: name servers, 16 bytes each (RFC 8106).
        to: MAC and address of the receiver.
    """
    body = struct.pack("!BBHBBHII", ROUTER_ADVERTISEMENT, 0, 0, 64, 0, ROUTER_LIFETIME_S, 0, 0)
    body += struct.pack("!BB6s", _SOURCE_MAC, 1, mac)
    body += struct.pack("!BBHI", _MTU, 1, 0, mtu)
    for prefix in prefixes:
        body += struct.pack("!BBBBIII", _PREFIX, 4, 64, 0xC0, _PREFIX_LIFETIME_S, _PREFIX_LIFETIME_S, 0)
        body += address_bytes(prefix.network_address)
    servers = b"".join(dns)
    if servers:
        body += struct.pack("!BBHI", _DNS, 1 + len(servers) // 8, 0, ROUTER_LIFETIME_S) + servers
    return _message(to[0], mac, link_local, to[1], body)
