"""Packet specs: built once with scapy, compiled to bytes and the fields that change.

A :class:`PacketSpec` needs scapy to be made and nothing at all to be used: sending a packet is
three stores into a buffer. The checksum is mended without touching the rest of the packet: 2**16 is
1 modulo 65535, so the one's complement sum (RFC 1071) of an aligned big-endian field of any width
is its value modulo 65535.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from importlib import import_module
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from labctl.errors import ProbeError
from labctl.probe import payload

if TYPE_CHECKING:
    from collections.abc import Sequence

    from labctl.probe.types import Stream

__all__ = [
    "PacketSpec",
    "check_size",
    "compile_packet",
    "family_of",
    "flow_packet",
    "flow_specs",
    "least_size",
]

_FIELDS = struct.Struct(">Qq")
_SHORT = struct.Struct(">H")
_WORD = struct.Struct(">I")
_IP_HEADER = {4: 20, 6: 40}
_TRANSPORT_HEADER = 8  # of UDP and of ICMP echo alike
_LARGEST = 65535


@dataclass(frozen=True, slots=True)
class PacketSpec:
    """A packet as bytes, and where its changing parts are.

    Attributes:
        data: the packet with sequence number 0 and departure time 0.
        fields_at: offset of the sequence number (8 bytes) and the departure time (8 bytes after
            it); -1 if the packet carries no probe payload and is sent as it is.
        checksum_at: offset of the checksum that covers them; -1 if none does.
        checksum_base: one's complement sum, modulo 65535, of all that it covers but these fields.
    """

    data: bytes
    fields_at: int = -1
    checksum_at: int = -1
    checksum_base: int = 0

    def stamp(self, buffer: bytearray, sequence: int, departure_ns: int) -> None:
        """Write sequence number, departure time and checksum into a copy of ``data``."""
        if self.fields_at < 0:
            return
        _FIELDS.pack_into(buffer, self.fields_at, sequence, departure_ns)
        if self.checksum_at >= 0:
            # 65535 and 0 are the same number here; UDP over IPv6 does not allow 0, so 65535 it is.
            total = (self.checksum_base + sequence + departure_ns) % 65535
            _SHORT.pack_into(buffer, self.checksum_at, 65535 - total)

    def cut(self, start: int) -> PacketSpec:
        """The same without its first bytes, for a kernel that writes the outer headers itself.

        A checksum that lies in the part cut off is left to the kernel as well.
        """
        kept = self.checksum_at >= start
        return PacketSpec(
            self.data[start:],
            self.fields_at - start if self.fields_at >= start else -1,
            self.checksum_at - start if kept else -1,
            self.checksum_base if kept else 0,
        )


def family_of(stream: Stream) -> int:
    """4 or 6.

    Raises:
        ProbeError: an address is no address, or the two are of different families.
    """
    try:
        source, destination = ip_address(stream.source_address), ip_address(stream.destination_address)
    except ValueError as error:
        raise ProbeError(f"stream {stream.name!r}: {error}") from None
    if source.version != destination.version:
        raise ProbeError(f"stream {stream.name!r}: {source} and {destination} are of different families")
    return source.version


def least_size(family: int) -> int:
    """Bytes of the smallest IP packet that can carry the probe's payload."""
    return _IP_HEADER[family] + _TRANSPORT_HEADER + payload.LENGTH


def load_scapy() -> None:
    """Import what :func:`flow_packet` needs; half a second the first time."""
    for module in ("scapy.layers.inet", "scapy.layers.inet6", "scapy.packet"):
        import_module(module)


def check_size(stream: Stream) -> None:
    """Check that the payload fits into the requested size.

    Raises:
        ProbeError: it does not, or no IP packet is that long.
    """
    least = least_size(family_of(stream))
    if not least <= stream.size <= _LARGEST:
        raise ProbeError(
            f"stream {stream.name!r}: size is {stream.size} bytes of IP packet, must be {least} to {_LARGEST}"
        )


def flow_packet(stream: Stream, session: int, flow: int, source_port: int, destination_port: int) -> Any:  # noqa: ANN401 - a scapy packet; scapy is not typed
    """One flow's packet as scapy sees it, from its IP header on.

    For ``icmp`` the source port is the echo identifier and the destination port means nothing.

    Raises:
        ProbeError: the size cannot hold the payload, or the protocol is unknown.
    """
    from scapy.layers.inet import ICMP, IP, UDP  # noqa: PLC0415 - half a second
    from scapy.layers.inet6 import ICMPv6EchoRequest, IPv6  # noqa: PLC0415
    from scapy.packet import Raw  # noqa: PLC0415

    family = family_of(stream)
    check_size(stream)
    network: Any = (IP if family == 4 else IPv6)(  # noqa: PLR2004
        src=stream.source_address, dst=stream.destination_address
    )
    if stream.proto == "udp":
        transport: Any = UDP(sport=source_port, dport=destination_port)
    elif stream.proto == "icmp":
        transport = ICMP(id=source_port) if family == 4 else ICMPv6EchoRequest(id=source_port)  # noqa: PLR2004
    else:
        raise ProbeError(f"stream {stream.name!r}: proto is {stream.proto!r}, must be 'udp' or 'icmp'")
    content = payload.payload(session, payload.stream_id(stream.name), flow)
    return network / transport / Raw(content.ljust(stream.size - least_size(family) + payload.LENGTH, b"\0"))


def flow_specs(
    stream: Stream, session: int, source_ports: Sequence[int], destination_port: int
) -> list[PacketSpec]:
    """Every flow's packet, from its IP header on: the first built by scapy, the others mended from it.

    Raises:
        ProbeError: as :func:`flow_packet`.
    """
    first = compile_packet(flow_packet(stream, session, 0, source_ports[0], destination_port))
    # The source port is the first field of UDP, the identifier the third of an echo request.
    port_at = _IP_HEADER[family_of(stream)] + (4 if stream.proto == "icmp" else 0)
    specs = []
    for flow, port in enumerate(source_ports):
        data = bytearray(first.data)
        _SHORT.pack_into(data, port_at, port)
        _WORD.pack_into(data, first.fields_at - _WORD.size, flow)
        base = (first.checksum_base + flow + port - source_ports[0]) % 65535
        spec = PacketSpec(bytes(data), first.fields_at, first.checksum_at, base)
        spec.stamp(data, 0, 0)
        specs.append(replace(spec, data=bytes(data)))
    return specs


def compile_packet(packet: Any) -> PacketSpec:  # noqa: ANN401 - a scapy packet; scapy is not typed
    """Any scapy packet to bytes. Where its payload is the probe's, its changing places are found.

    The checksum is found by trial: the packet is built again with another sequence number, and
    what differs besides is the checksum. So it works for whatever stands around the payload; in
    nested headers only the innermost checksum differs, since an outer one covers both.

    Raises:
        ProbeError: more than one place differs: the packet cannot be mended by one checksum.
    """
    from scapy.packet import Raw  # noqa: PLC0415

    data = bytes(packet)
    other = packet.copy()
    layer = next(
        (raw for raw in _layers(other) if type(raw) is Raw and raw.load.startswith(payload.MAGIC)), None
    )
    if layer is None or len(layer.load) < payload.LENGTH:
        return PacketSpec(data)
    fields_at = data.rindex(layer.load) + payload.SEQUENCE_AT
    load = layer.load
    layer.load = load[: payload.SEQUENCE_AT] + _FIELDS.pack(0, 0) + load[payload.LENGTH :]
    zeroed = bytes(other)
    layer.load = load[: payload.SEQUENCE_AT] + _FIELDS.pack(1, 0) + load[payload.LENGTH :]
    changed = bytes(other)
    inside = range(fields_at, fields_at + _FIELDS.size)
    places = [at for at in range(len(zeroed)) if zeroed[at] != changed[at] and at not in inside]
    if not places:
        return PacketSpec(zeroed, fields_at)
    # The sum changes by one: the low byte always differs, the high byte at a carry.
    checksum_at = places[-1] - 1
    if any(at not in (checksum_at, checksum_at + 1) for at in places) or (fields_at - checksum_at) % 2:
        raise ProbeError(f"the packet has more than one checksum over its payload: {packet.summary()}")
    sum_of_rest = 65535 - _SHORT.unpack_from(zeroed, checksum_at)[0]
    return PacketSpec(zeroed, fields_at, checksum_at, sum_of_rest % 65535)


def _layers(packet: Any) -> list[Any]:  # noqa: ANN401 - a scapy packet; scapy is not typed
    found = []
    while packet:
        found.append(packet)
        packet = packet.payload
    return found
