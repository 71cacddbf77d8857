"""Captures everything that one node sends to its peers, at the peers' own interfaces."""

from __future__ import annotations

import contextlib
import functools
import select
import socket
import struct
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from labctl.events import now_ns
from labctl.linux.netns import inside

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["BGP_NOTIFICATION", "BGP_UPDATE", "Heard", "Segment", "wiretap"]

BGP_PORT = 179
BGP_UPDATE = 2
BGP_NOTIFICATION = 3
_BGP_MARKER = b"\xff" * 16
_FIN, _RST = 0x01, 0x04
_ETH_P_ALL = 3
_OUTGOING = 4


@dataclass(frozen=True)
class Segment:
    """One TCP segment as a peer received it."""

    t_ns: int
    flags: int
    payload: bytes

    @property
    def ends_it(self) -> bool:
        """FIN or RST."""
        return bool(self.flags & (_FIN | _RST))

    def bgp_types(self) -> list[int]:
        """Types of the BGP messages that begin in it (RFC 4271, 4.1)."""
        found = []
        at = 0
        while at + 19 <= len(self.payload) and self.payload[at : at + 16] == _BGP_MARKER:
            length, kind = struct.unpack_from("!HB", self.payload, at + 16)
            found.append(kind)
            at += max(19, length)
        return found


@dataclass
class Heard:
    """What came so far."""

    frames: list[tuple[int, bytes]]

    def since(self, t_ns: int) -> list[Segment]:
        """BGP's TCP segments received at or after a moment."""
        return [s for t, frame in list(self.frames) if t >= t_ns and (s := _segment(t, frame))]


@contextlib.contextmanager
def wiretap(ends: list[tuple[Path, str]]) -> Iterator[Heard]:
    """Listen at interfaces: pairs of a namespace and an interface in it."""
    heard = Heard([])
    taps = [inside(space, functools.partial(_tap, name)) for space, name in ends]
    stop = threading.Event()

    def listen() -> None:
        while not stop.is_set():
            for tap in select.select(taps, [], [], 0.05)[0]:
                frame, address = tap.recvfrom(65535)
                if address[2] != _OUTGOING:
                    heard.frames.append((now_ns(), frame))

    thread = threading.Thread(target=listen)
    thread.start()
    try:
        yield heard
    finally:
        stop.set()
        thread.join()
        for tap in taps:
            tap.close()


def _tap(interface: str) -> socket.socket:
    tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL))
    tap.setsockopt(socket.SOL_SOCKET, 33, 8 << 20)  # SO_RCVBUFFORCE
    tap.bind((interface, 0))
    return tap


def _segment(t_ns: int, frame: bytes) -> Segment | None:
    kind = struct.unpack_from("!H", frame, 12)[0]
    if kind == 0x86DD and frame[20] == socket.IPPROTO_TCP:
        at, end = 54, 54 + struct.unpack_from("!H", frame, 18)[0]
    elif kind == 0x0800 and frame[23] == socket.IPPROTO_TCP:
        at, end = 14 + 4 * (frame[14] & 15), 14 + struct.unpack_from("!H", frame, 16)[0]
    else:
        return None
    source, target = struct.unpack_from("!HH", frame, at)
    if BGP_PORT not in (source, target):
        return None
    return Segment(t_ns, frame[at + 13], frame[at + 4 * (frame[at + 12] >> 4) : end])
