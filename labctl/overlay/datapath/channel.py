"""The channel between kernel and agent: carries packets without an entry up, and packets back down.

The channel is a veth pair. The programs redirect an upcall out of the near end with its origin as the
mark; it arrives on the far end. What the agent sends back goes through ``from_agent``, with the same
mark, and follows the entry that was installed meanwhile.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from labctl.overlay.flow import FROM_TUNNEL

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["NO_OFFLOAD", "Channel", "Upcall"]

_ETH_P_ALL = 0x0003
_SOL_PACKET = 263
_PACKET_VNET_HDR = 15
_PACKET_IGNORE_OUTGOING = 23
_SO_RCVMARK = 75
_SO_RCVBUFFORCE = 33
_BUFFER = 16 << 20
_LONGEST = 70_000
_MARK_SPACE = socket.CMSG_SPACE(4)

VNET_HEADER = 10
"""Bytes of struct virtio_net_hdr before each frame: how it is to be segmented and checksummed."""

NO_OFFLOAD = bytes(VNET_HEADER)
"""Of a frame that is complete."""


class Upcall(NamedTuple):
    """A packet that the kernel has no entry for.

    Attributes:
        origin: where it came from: an ifindex, or ``FROM_TUNNEL`` + tunnel key.
        head: the vnet header; needed to send the packet on as it was.
        frame: from the destination MAC on.
    """

    origin: int
    head: bytes
    frame: bytes

    @property
    def by_tunnel(self) -> bool:
        """Whether it came out of a tunnel."""
        return self.origin >= FROM_TUNNEL

    def gso_size(self) -> int:
        """Payload bytes of each segment that the frame will be cut into; 0 if it is one packet."""
        return struct.unpack_from("=H", self.head, 4)[0] if self.head[1] else 0


class Channel:
    """The agent's end of the veth pair, and a way out of any port.

    A packet that the kernel does not take (an interface is down or gone, a queue is full) is lost, as
    on a wire; ``lost`` counts them by the name of the error.
    """

    def __init__(self, agent_end: str) -> None:
        """Open the far end; needs CAP_NET_RAW and CAP_NET_ADMIN."""
        self._up = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)
        self._up.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER)
        self._up.setsockopt(_SOL_PACKET, _PACKET_VNET_HDR, 1)
        self._up.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
        self._up.setsockopt(socket.SOL_SOCKET, _SO_RCVMARK, 1)
        self._up.bind((agent_end, _ETH_P_ALL))
        # Not bound to a protocol: it only sends.
        self._out = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)
        self._out.setsockopt(_SOL_PACKET, _PACKET_VNET_HDR, 1)
        self._buffer = bytearray(_LONGEST)
        self.lost: Counter[str] = Counter()

    def fileno(self) -> int:
        """Readable when an upcall waits."""
        return self._up.fileno()

    def receive(self, most: int) -> Iterator[Upcall]:
        """Upcalls that wait, at most so many; ends when there is none."""
        for _ in range(most):
            try:
                size, ancillary, _, _ = self._up.recvmsg_into([self._buffer], _MARK_SPACE)
            except BlockingIOError:
                return
            except OSError as error:
                # ENETDOWN once, when somebody takes the device down: it is told by the next read.
                self._note(error)
                return
            origin = 0
            for level, kind, value in ancillary:
                if level == socket.SOL_SOCKET and kind == socket.SO_MARK:
                    origin = struct.unpack("=I", value[:4])[0]
            yield Upcall(origin, bytes(self._buffer[:VNET_HEADER]), bytes(self._buffer[VNET_HEADER:size]))

    def again(self, upcall: Upcall) -> None:
        """Send the packet into the cache once more; its entry is there now."""
        mark = [(socket.SOL_SOCKET, socket.SO_MARK, struct.pack("=I", upcall.origin))]
        try:
            self._up.sendmsg([upcall.head, upcall.frame], mark)
        except OSError as error:
            self._note(error)

    def out_of(self, interface: str, frame: bytes, head: bytes = NO_OFFLOAD) -> None:
        """Send a frame straight out of an interface, past all entries.

        ``head`` is that of the upcall where the frame is a copy of its frame: a checksum that its
        sender left to be filled in is filled in then, and a long one is cut.
        """
        try:
            self._out.sendmsg([head, frame], (), 0, (interface, 0))
        except OSError as error:
            self._note(error)

    def into(self, origin: int, frame: bytes, head: bytes = NO_OFFLOAD) -> None:
        """Send a frame into the cache as if it had come from ``origin``; ``head`` as above."""
        self.again(Upcall(origin, head, frame))

    def _note(self, error: OSError) -> None:
        self.lost[errno.errorcode.get(error.errno or 0, "unknown")] += 1

    def close(self) -> None:
        """Close both sockets."""
        self._up.close()
        self._out.close()
