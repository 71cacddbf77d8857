"""DHCP for IPv4 (RFC 2131, options of RFC 2132): the lease that the model says, as a frame."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from labctl.overlay.packet import BROADCAST, IP4, UDP, address_bytes, ethernet, ipv4, transport_checksum

if TYPE_CHECKING:
    from ipaddress import IPv4Address, IPv4Network

    from labctl.overlay.flow import Packet

__all__ = ["CLIENT_PORT", "SERVER_PORT", "Lease", "answer"]

SERVER_PORT, CLIENT_PORT = 67, 68
LEASE_S = 86400
_DISCOVER, _OFFER, _REQUEST, _ACK, _NAK, _INFORM = 1, 2, 3, 5, 6, 8
_COOKIE = b"\x63\x82\x53\x63"
_OPTIONS_AT = 240
_ALL = bytes(10) + b"\xff" * 6
_PAD, _END = 0, 255
_O_MASK, _O_ROUTER, _O_DNS, _O_HOST, _O_MTU = 1, 3, 6, 12, 26
_O_WANTED, _O_TIME, _O_TYPE, _O_SERVER = 50, 51, 53, 54


@dataclass(frozen=True, slots=True)
class Lease:
    """What a VM is told.

    Attributes:
        address: its own.
        prefix: of the subnet.
        router: its default gateway; None if the network has none.
        dns: name servers.
        mtu: bytes of IP packet.
        name: host name.
        server: identifier of the server; the gateway's address where there is one.
        server_mac: where the answer comes from.
    """

    address: IPv4Address
    prefix: IPv4Network
    router: IPv4Address | None
    dns: tuple[IPv4Address, ...]
    mtu: int
    name: str
    server: IPv4Address
    server_mac: bytes


def _read_options(raw: bytes) -> dict[int, bytes]:
    """Options by code; whatever is cut short is left out."""
    found: dict[int, bytes] = {}
    at = 0
    while at < len(raw) and raw[at] != _END:
        if raw[at] == _PAD:
            at += 1
            continue
        if at + 1 >= len(raw) or at + 2 + raw[at + 1] > len(raw):
            break
        found[raw[at]] = raw[at + 2 : at + 2 + raw[at + 1]]
        at += 2 + raw[at + 1]
    return found


def _option(code: int, value: bytes) -> bytes:
    return bytes((code, len(value))) + value


def _kind_of_answer(kind: int, options: dict[int, bytes], ciaddr: bytes, lease: Lease) -> int:
    """The type of the answer; 0 for silence (RFC 2131, section 4.3)."""
    if kind == _DISCOVER:
        return _OFFER
    if kind == _INFORM:
        return _ACK
    if kind != _REQUEST or options.get(_O_SERVER, lease.server.packed) != lease.server.packed:
        return 0
    wanted = options.get(_O_WANTED, ciaddr)
    return _ACK if wanted == lease.address.packed else _NAK


def answer(packet: Packet, lease: Lease) -> bytes:
    """The frame that goes back to the client; empty where the message deserves none."""
    message = packet.frame[packet.l4 + 8 : 14 + packet.length]
    if len(message) < _OPTIONS_AT or message[0] != 1 or message[236:240] != _COOKIE:
        return b""
    if message[28:34] != packet.smac:
        return b""  # Asked for another one's hardware address.
    options = _read_options(message[_OPTIONS_AT:])
    asked = options.get(_O_TYPE, b"\0")
    ciaddr, flags = message[12:16], message[10] << 8 | message[11]
    kind = _kind_of_answer(asked[0] if asked else 0, options, ciaddr, lease)
    if not kind:
        return b""
    yours = bytes(4) if kind == _NAK or asked[0] == _INFORM else lease.address.packed
    body = struct.pack(
        "!4B4sHH4s4s4s4s", 2, 1, 6, 0, message[4:8], 0, flags, ciaddr, yours, bytes(4), bytes(4)
    )
    body += message[28:44] + bytes(192) + _COOKIE
    body += _option(_O_TYPE, bytes((kind,))) + _option(_O_SERVER, lease.server.packed)
    if kind != _NAK:
        body += _lease_options(lease, with_time=asked[0] != _INFORM)
    body += bytes((_END,))
    return _wrap(packet, lease, body.ljust(300, b"\0"), nak=kind == _NAK, ciaddr=ciaddr)


def _lease_options(lease: Lease, *, with_time: bool) -> bytes:
    body = _option(_O_TIME, struct.pack("!I", LEASE_S)) if with_time else b""
    body += _option(_O_MASK, lease.prefix.netmask.packed) + _option(_O_MTU, struct.pack("!H", lease.mtu))
    body += _option(_O_HOST, lease.name.encode()[:63])
    if lease.router is not None:
        body += _option(_O_ROUTER, lease.router.packed)
    if lease.dns:
        body += _option(_O_DNS, b"".join(server.packed for server in lease.dns))
    return body


def _wrap(packet: Packet, lease: Lease, body: bytes, *, nak: bool, ciaddr: bytes) -> bytes:
    """UDP, IP and Ethernet; to the client's address where it has one already, else to everybody."""
    source = address_bytes(lease.server)
    renews = ciaddr != bytes(4) and not nak
    target = packet.src if renews else _ALL
    udp = struct.pack("!HHHH", SERVER_PORT, CLIENT_PORT, 8 + len(body), 0) + body
    total = transport_checksum(source, target, UDP, udp) or 0xFFFF
    udp = udp[:6] + struct.pack("!H", total) + udp[8:]
    dmac = packet.smac if renews else BROADCAST
    return ethernet(dmac, lease.server_mac, IP4, ipv4(source, target, UDP, udp))
