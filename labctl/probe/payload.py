"""The payload of every probe packet: identifies the packet, and tells it from foreign packets.

Big-endian, 32 bytes, at the start of the UDP payload or after the ICMP echo header::

    0   magic      4   ``b"LCP1"``
    4   session    4   random, one a start of traffic: a late packet of an earlier one is foreign
    8   stream     4   :func:`stream_id` of the stream's name
    12  flow       4   0-based
    16  sequence   8   of the flow, 0-based
    24  departure  8   CLOCK_MONOTONIC, nanoseconds, read just before the packet was handed over
"""

from __future__ import annotations

import struct
import zlib

__all__ = [
    "DEPARTURE_AT",
    "HEAD_LENGTH",
    "LENGTH",
    "MAGIC",
    "SEQUENCE_AT",
    "head",
    "payload",
    "stream_id",
]

MAGIC = b"LCP1"
_HEAD = struct.Struct(">4sIII")
_TAIL = struct.Struct(">Qq")
HEAD_LENGTH = _HEAD.size
SEQUENCE_AT = HEAD_LENGTH
DEPARTURE_AT = SEQUENCE_AT + 8
LENGTH = HEAD_LENGTH + _TAIL.size


def stream_id(name: str) -> int:
    """The number that stands for a stream's name in its packets: its CRC-32."""
    return zlib.crc32(name.encode())


def head(session: int, stream: int, flow: int) -> bytes:
    """The part that is the same in every packet of a flow, 16 bytes."""
    return _HEAD.pack(MAGIC, session, stream, flow)


def payload(session: int, stream: int, flow: int, sequence: int = 0, departure_ns: int = 0) -> bytes:
    """The whole payload, 32 bytes."""
    return head(session, stream, flow) + _TAIL.pack(sequence, departure_ns)
