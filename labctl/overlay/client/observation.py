"""A traced packet as observed on one interface: bare or in a tunnel, the packet itself or a reply."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from labctl.overlay.packet import ICMP, ICMP6, UDP, address_of, parse

if TYPE_CHECKING:
    from labctl.overlay.flow import Packet
    from labctl.probe.frames import Frame
    from labctl.probe.packetsocket import Instruction

__all__ = ["Observation", "Tunnel", "lengths", "program", "read_frame"]

_VXLAN, _ETHERNET = 8, 14
_UDP_HEADER = 8
_KEY_GIVEN = 0x08
_TAKEN = 65535
_QUOTED = {4: 28, 6: 48}
"""Bytes that an ICMP error puts before the packet that it tells of."""
_OUTER = (50, 70)
"""Bytes that a tunnel over IPv4 or IPv6 puts before a frame."""
_ICMP_NAMES = {
    (ICMP, 0): "echo reply",
    (ICMP, 3): "destination unreachable",
    (ICMP, 8): "echo request",
    (ICMP, 11): "time exceeded",
    (ICMP6, 1): "destination unreachable",
    (ICMP6, 2): "packet too big",
    (ICMP6, 3): "time exceeded",
    (ICMP6, 128): "echo request",
    (ICMP6, 129): "echo reply",
}


@dataclass(frozen=True, slots=True)
class Tunnel:
    """The outside of a packet in a tunnel.

    Attributes:
        key: VXLAN network identifier: key of the port that it goes to.
        source: underlay address of the host that sent it.
        remote: underlay address that it goes to.
        sport: source port of the outer UDP: what the underlay's hash tells flows by.
    """

    key: int
    source: str
    remote: str
    sport: int


@dataclass(frozen=True, slots=True)
class Observation:
    """The packet, or an answer to it, at one interface.

    Attributes:
        t_ns: CLOCK_MONOTONIC, of the kernel.
        node: name of the node or VM.
        interface: of it.
        outgoing: it left the node there; else it came.
        answer: it is on its way back.
        summary: the packet in words.
        tunnel: what is around it; None for a bare one.
        frame: as it was, link header and all.
    """

    t_ns: int
    node: str
    interface: str
    outgoing: bool
    answer: bool
    summary: str
    tunnel: Tunnel | None
    frame: bytes


def lengths(packet: int, version: int) -> tuple[int, ...]:
    """How long a frame can be that carries an IP packet of so many bytes, or an error about it."""
    bare = (packet + _ETHERNET, packet + _ETHERNET + _QUOTED[version])
    return tuple(length + outer for length in bare for outer in (0, *_OUTER))


def program(taken: tuple[int, ...]) -> list[Instruction]:
    """A socket filter that takes frames of just these lengths: other traffic costs nothing."""
    lines: list[Instruction] = [(0x80, 0, 0, 0)]  # A = length
    for number, length in enumerate(taken):
        lines.append((0x15, len(taken) - number, 0, length))  # equal: to the last line
    return [*lines, (0x06, 0, 0, 0), (0x06, 0, 0, _TAKEN)]


def read_frame(node: str, frame: Frame, token: bytes, sent: Packet, tunnel_port: int) -> Observation | None:
    """What a frame is to the packet that was sent; None if it has nothing to do with it."""
    if token not in frame.data:
        return None
    packet, tunnel = parse(frame.data), None
    if packet.proto == UDP and packet.dport == tunnel_port and len(frame.data) > packet.l4 + 16:
        flags, key = struct.unpack_from("!B3xI", frame.data, packet.l4 + _UDP_HEADER)
        if flags & _KEY_GIVEN:
            tunnel = Tunnel(key >> 8, str(address_of(packet.src)), str(address_of(packet.dst)), packet.sport)
            packet = parse(frame.data[packet.l4 + _UDP_HEADER + _VXLAN :])
    if not packet.src:
        return None
    same = (packet.proto, packet.dst) == (sent.proto, sent.dst) and packet.src == sent.src
    return Observation(
        frame.t_ns, node, frame.interface, frame.outgoing, not same, in_words(packet), tunnel, frame.data
    )


def in_words(packet: Packet) -> str:
    """``10.0.0.1 > 10.0.0.2 icmp echo request ttl 64``."""
    kind = packet.sport >> 8
    if packet.proto in (ICMP, ICMP6):
        kind_name = _ICMP_NAMES.get((packet.proto, kind), f"type {kind}")
        what = f"icmp {kind_name}" if packet.proto == ICMP else f"icmp6 {kind_name}"
        ports = ("", "")
    else:
        what = "udp" if packet.proto == UDP else "tcp"
        ports = (f":{packet.sport}", f":{packet.dport}")
    ends = [str(address_of(end)) for end in (packet.src, packet.dst)]
    shown = [
        f"[{end}]{port}" if ":" in end and port else f"{end}{port}"
        for end, port in zip(ends, ports, strict=True)
    ]
    return f"{shown[0]} > {shown[1]} {what} ttl {packet.ttl}"
