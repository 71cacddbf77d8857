"""A ring of probe packets at one link end: which packets were transmitted and received there, and when.

The kernel copies the head of every frame with the probe's payload into mapped memory (packet(7),
PACKET_RX_RING with TPACKET_V2). No process has to run for that: a stalled or busy process loses nothing as
long as the ring has room. A classic BPF program selects the frames and returns a length that says where in
the frame the payload stands, so that reading needs no parser.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import socket
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from labctl.errors import ProbeError
from labctl.linux.netns import inside
from labctl.probe import payload
from labctl.probe.clock import realtime_offset_ns
from labctl.probe.packetsocket import ETH_P_ALL, Instruction, attach, bind, dropped

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    Ints = NDArray[np.int64]
    Bools = NDArray[np.bool_]

__all__ = ["FRAME_BYTES", "PLACES", "Passages", "Ring", "ring_program"]

PLACES = {4: (28, 78, 98), 6: (48, 98, 118)}
"""Where the payload begins, in bytes after the start of the outer IP header, by its version: behind IP
and UDP (or ICMP); or behind IP, UDP, VXLAN (8), Ethernet (14), inner IPv4 or IPv6, and UDP again."""

FRAME_BYTES = 256
"""Of one slot: the kernel's header, and as much of a frame as the farthest payload needs."""

_BLOCK_BYTES = 1 << 16
_ETHERNET = 14
_ETHERTYPE = {4: 0x0800, 6: 0x86DD}
_MAGIC = int.from_bytes(payload.MAGIC)

_SOL_PACKET, _PACKET_VERSION, _PACKET_RX_RING = 263, 10, 5
_TPACKET_V2 = 1
_USER = 1  # TP_STATUS_USER: the slot is filled and ours
_OUTGOING = 4  # PACKET_OUTGOING of sockaddr_ll
_MAC_AT = 66  # where a slot's frame begins: tpacket2_hdr (32) and sockaddr_ll (20), aligned, less Ethernet

_SLOT = np.dtype(
    {
        "names": ["status", "kept", "seconds", "nanoseconds", "direction"],
        "formats": ["<u4", "<u4", "<u4", "<u4", "u1"],
        "offsets": [0, 8, 16, 20, 42],
        "itemsize": FRAME_BYTES,
    }
)
_PAYLOAD = np.dtype(
    [("magic", ">u4"), ("session", ">u4"), ("stream", ">u4"), ("flow", ">u4"), ("sequence", ">u8")]
)
_ICMP_TYPE_BEFORE = 8  # bytes before the payload: the type field of an ICMP echo header
_REPLIES = (0, 129)  # ICMP echo reply, ICMPv6 echo reply


def ring_program() -> list[Instruction]:
    """Classic BPF: keep a frame if the magic stands at one of the places, up to the payload's end."""
    lines: list[Instruction] = []
    for version in (4, 6):
        for at in PLACES[version]:
            lines += [
                (0x28, 0, 0, 12),  # A = ethertype
                (0x15, 0, 3, _ETHERTYPE[version]),  # another one: next test
                (0x20, 0, 0, _ETHERNET + at),  # A = word at the place; a shorter frame is refused
                (0x15, 0, 1, _MAGIC),  # not the magic: next test
                (0x06, 0, 0, _ETHERNET + at + payload.LENGTH),
            ]
    lines.append((0x06, 0, 0, 0))
    return lines


@dataclass(frozen=True, slots=True, eq=False)
class Passages:
    """Probe packets that passed a link end, in order of time; arrays of one length.

    Attributes:
        t_ns: when, CLOCK_MONOTONIC.
        outgoing: it was transmitted onto the link; else it was received from it.
        session: of the traffic that it belongs to.
        stream: :func:`labctl.probe.payload.stream_id` of its stream.
        flow: 0-based.
        sequence: of the flow, 0-based.
        reply: it has the type of an ICMP echo reply; means something for ICMP streams alone.
    """

    t_ns: Ints
    outgoing: Bools
    session: Ints
    stream: Ints
    flow: Ints
    sequence: Ints
    reply: Bools

    def __len__(self) -> int:
        return len(self.t_ns)

    def where(self, chosen: Bools) -> Passages:
        """Those that are chosen."""
        return Passages(*(getattr(self, name)[chosen] for name in self.__slots__))

    @classmethod
    def none(cls) -> Passages:
        """No packet."""
        numbers, flags = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.bool_)
        return cls(numbers, flags, numbers, numbers, numbers, numbers, flags)

    @classmethod
    def joined(cls, parts: list[Passages]) -> Passages:
        """All of them, one after the other."""
        if not parts:
            return cls.none()
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in cls.__slots__))


class Ring:
    """Records at one interface from its creation until it is closed.

    Slots are filled by the kernel in turn. ``head`` is the first that was not read yet, ``tail`` the
    first that was not given back. While the kernel's next slot is not given back, frames are lost, and
    counted.
    """

    def __init__(self, netns: Path, interface: str, slots: int) -> None:
        """Open it.

        Args:
            netns: a path that setns() can open.
            interface: its name there.
            slots: frames that it can hold, rounded up to whole blocks of 64 KiB.

        Raises:
            ProbeError: no such namespace or interface, no right, or no memory.
        """
        per_block = _BLOCK_BYTES // FRAME_BYTES
        blocks = -(-slots // per_block)
        self.slots = blocks * per_block
        self._sock = _open(netns, interface, blocks, self.slots)
        self._map = mmap.mmap(self._sock.fileno(), blocks * _BLOCK_BYTES)
        self._bytes = np.frombuffer(self._map, dtype=np.uint8).reshape(self.slots, FRAME_BYTES)
        self._head = np.frombuffer(self._map, dtype=_SLOT)
        self._status = self._head["status"]
        self._read = 0
        self._given_back = 0
        self._overrun = 0

    @property
    def unread(self) -> int:
        """Slots that were filled since the last :meth:`read`."""
        order = (self._read + np.arange(self.slots - (self._read - self._given_back))) % self.slots
        filled = (self._status[order] & _USER) != 0
        return len(filled) if bool(filled.all()) else int(np.argmin(filled))

    @property
    def kept(self) -> int:
        """Slots that were read and not given back."""
        return self._read - self._given_back

    @property
    def attached(self) -> bool:
        """False once its interface has moved to another namespace or is gone."""
        return self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0

    def read(self) -> Passages:
        """What passed since the last call; the slots are kept until :meth:`give_back`."""
        count = self.unread
        rows = (self._read + np.arange(count)) % self.slots
        self._read += count
        return self._parsed(rows)

    def again(self) -> Passages:
        """What was read already and not given back."""
        rows = (self._given_back + np.arange(self.kept)) % self.slots
        return self._parsed(rows)

    def give_back(self, before_ns: int, *, at_most: int) -> int:
        """Return slots to the kernel.

        Args:
            before_ns: those of frames older than this, CLOCK_MONOTONIC ...
            at_most: ... and the oldest beyond so many, however young.

        Returns:
            Since when everything that passed is kept, CLOCK_MONOTONIC.
        """
        rows = (self._given_back + np.arange(self.kept)) % self.slots
        old = int(np.searchsorted(self._times(rows), before_ns))
        count = max(old, self.kept - at_most)
        if count > 0:
            self._status[rows[:count]] = 0
            self._given_back += count
        return int(self._times(rows[count : count + 1])[0]) if count > old else before_ns

    def overrun(self) -> int:
        """Frames that found no free slot, since the ring was made."""
        self._overrun += dropped(self._sock)
        return self._overrun

    def close(self) -> None:
        """Record no more; the namespace is not held any longer."""
        self._sock.close()
        del self._bytes, self._head, self._status
        with contextlib.suppress(BufferError):
            self._map.close()

    def _times(self, rows: Ints) -> Ints:
        head = self._head
        seconds = head["seconds"][rows].astype(np.int64)
        times: Ints = seconds * 1_000_000_000 + head["nanoseconds"][rows] - realtime_offset_ns()
        return times

    def _parsed(self, rows: Ints) -> Passages:
        if not len(rows):
            return Passages.none()
        head, frames = self._head[rows], self._bytes[rows]
        ends = _MAC_AT + head["kept"].astype(np.int64)
        fields = np.zeros(len(rows), dtype=_PAYLOAD)
        kinds = np.zeros(len(rows), dtype=np.uint8)
        for end in set(ends.tolist()):  # np.unique would import numpy.ma first: 30 ms
            of_this = ends == end
            start = end - payload.LENGTH
            taken = np.ascontiguousarray(frames[of_this, start : start + _PAYLOAD.itemsize])
            fields[of_this] = taken.view(_PAYLOAD)[:, 0]
            kinds[of_this] = frames[of_this, start - _ICMP_TYPE_BEFORE]
        return Passages(
            t_ns=self._times(rows),
            outgoing=head["direction"] == _OUTGOING,
            session=fields["session"].astype(np.int64),
            stream=fields["stream"].astype(np.int64),
            flow=fields["flow"].astype(np.int64),
            sequence=fields["sequence"].astype(np.int64),
            reply=np.isin(kinds, _REPLIES),
        )


def _open(netns: Path, interface: str, blocks: int, slots: int) -> socket.socket:
    def make() -> socket.socket:
        # Protocol 0 at first: nothing is heard until the filter stands and the ring is there.
        sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        try:
            attach(sock, ring_program())
            sock.setsockopt(_SOL_PACKET, _PACKET_VERSION, _TPACKET_V2)
            request = struct.pack("=IIII", _BLOCK_BYTES, blocks, FRAME_BYTES, slots)
            sock.setsockopt(_SOL_PACKET, _PACKET_RX_RING, request)
            bind(sock, interface, ETH_P_ALL)
        except BaseException:
            sock.close()
            raise
        return sock

    try:
        return inside(netns, make)
    except OSError as error:
        reason = error.strerror or os.strerror(error.errno or 0)
        raise ProbeError(f"interface {interface!r} in {netns} cannot be recorded: {reason}") from error
