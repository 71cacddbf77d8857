"""The receiver process: records arrivals with the kernel's timestamps, in the kernel's order.

Run as ``python -P -m labctl.probe.receiver PARENT_PID``; JSON lines as in the sender. It may be
slow to look, since the kernel stamps each packet when it comes and a big buffer keeps it: every few
milliseconds it fetches all there is with recvmmsg() and takes it apart with numpy, which costs a
twentieth of a wake-up a packet.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import socket
import struct
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from labctl.linux.netns import inside
from labctl.probe import payload, process_setup, shared_memory
from labctl.probe.clock import realtime_offset_ns
from labctl.probe.mmsg import Inbox
from labctl.probe.packetsocket import SO_RCVBUFFORCE, SO_TIMESTAMPNS, attach

__all__ = ["ReceivedStream", "main"]

_INTERVAL_S = 0.004
_BATCH = 512
_WIDTH = 96
_RECEIVE_BUFFER = 64 << 20
_SO_MEMINFO = 55
_MEMINFO_DROPS = 8
_STAMPED = socket.SOL_SOCKET | SO_TIMESTAMPNS << 32  # cmsg_level and cmsg_type as one word
_PORTS_TRIED = 1000
_FIELDS = np.dtype(
    [
        ("magic", "S4"),
        ("session", ">u4"),
        ("stream", ">u4"),
        ("flow", ">u4"),
        ("sequence", ">u8"),
        ("t", ">i8"),
    ]
)


class ReceivedStream:
    """One stream being received."""

    def __init__(self, config: dict[str, Any], sock: socket.socket) -> None:
        self.sock = sock
        self.fd = sock.fileno()
        self.buffer = shared_memory.SampleBuffer(config["buffer_fd"], config["capacity"])
        self.log = self.buffer.array().reshape(-1, 2)
        self.session: int = config["session"]
        self.stream: int = config["stream"]
        self.flows: int = config["flows"]
        self.packets: int = config["packets"]
        # A raw IPv4 socket hands over the IP header as well; its filter lets no options pass.
        self.skip = {("icmp", 4): 28, ("icmp", 6): 8}.get((config["proto"], config["family"]), 0)
        self.count = 0
        self._drops_before = self._drops()

    def take(self, inbox: Inbox, got: int, offset_ns: int) -> None:
        """Record the first ``got`` datagrams of the inbox."""
        kept = np.ascontiguousarray(inbox.data[:got, self.skip : self.skip + payload.LENGTH])
        fields = kept.view(_FIELDS)[:, 0]
        ours = (fields["magic"] == payload.MAGIC) & (fields["session"] == self.session)
        ours &= (fields["stream"] == self.stream) & (fields["flow"] < self.flows)
        ours &= fields["sequence"] <= self.packets // self.flows
        ours &= inbox.lengths[:got] >= self.skip + payload.LENGTH
        index = fields["sequence"].astype(np.int64) * self.flows + fields["flow"].astype(np.int64)
        ours &= index < self.packets
        control = inbox.control[:got]
        stamps = np.where(
            control[:, 1] == _STAMPED,
            control[:, 2] * 1_000_000_000 + control[:, 3] - offset_ns,
            time.monotonic_ns(),
        )
        words = self.buffer.words
        mine = int(np.count_nonzero(ours))
        room = min(mine, len(self.log) - self.count)
        rows = self.log[self.count : self.count + room]
        rows[:, 0] = index[ours][:room]
        rows[:, 1] = stamps[ours][:room]
        self.count += room
        words[shared_memory.FOREIGN] += got - mine
        words[shared_memory.UNLOGGED] += mine - room
        # Rows first, count last: the parent never reads a row that is not whole.
        words[shared_memory.COUNT] = self.count

    def note(self, offset_ns: int) -> None:
        """Record what the kernel could not keep, and the offset between the clocks."""
        words = self.buffer.words
        words[shared_memory.OVERFLOWED] = (self._drops() - self._drops_before) & 0xFFFFFFFF
        if not words[shared_memory.OFFSET_FIRST]:
            words[shared_memory.OFFSET_FIRST] = words[shared_memory.OFFSET_MIN] = words[
                shared_memory.OFFSET_MAX
            ] = offset_ns
        words[shared_memory.OFFSET_MIN] = min(words[shared_memory.OFFSET_MIN], offset_ns)
        words[shared_memory.OFFSET_MAX] = max(words[shared_memory.OFFSET_MAX], offset_ns)

    def _drops(self) -> int:
        raw = self.sock.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, 36)
        return int(struct.unpack_from("=9I", raw)[_MEMINFO_DROPS])


def open_socket(config: dict[str, Any]) -> tuple[socket.socket, int]:
    """The socket of one stream in its node's namespace, and its port (0 for ICMP).

    Raises:
        OSError: no such address, or no port is free.
    """
    family = socket.AF_INET if config["family"] == 4 else socket.AF_INET6  # noqa: PLR2004

    def make() -> tuple[socket.socket, int]:
        if config["proto"] == "icmp":
            sock = _echo_socket(family, config)
            sock.bind((config["address"], 0))
            return sock, 0
        sock = socket.socket(family, socket.SOCK_DGRAM)
        return sock, _bind(sock, config["address"], config["port"])

    sock, port = inside(Path(f"/proc/self/fd/{config['netns_fd']}"), make)
    for option in (SO_RCVBUFFORCE, socket.SO_RCVBUF):
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, option, _RECEIVE_BUFFER)
            break
    sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    sock.setblocking(False)
    return sock, port


def _bind(sock: socket.socket, address: str, first: int) -> int:
    for port in range(first, first + _PORTS_TRIED):
        try:
            sock.bind((address, port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
        else:
            return port
    raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))


def _echo_socket(family: int, config: dict[str, Any]) -> socket.socket:
    """A socket that receives echo replies to this stream only, by a kernel filter set before any arrival."""
    four = family == socket.AF_INET
    at = 28 if four else 8  # of the payload
    reply = 0 if four else 129
    sock = socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_ICMP if four else socket.IPPROTO_ICMPV6)
    head = struct.unpack(">4I", payload.head(config["session"], config["stream"], 0))
    program = [(0x30, 0, 0, 20 if four else 0), (0x15, 0, 7, reply)]  # ldb type; jeq reply else drop
    for index in range(3):  # magic, session, stream
        rest = 2 * (2 - index) + 1
        program += [(0x20, 0, 0, at + 4 * index), (0x15, 0, rest, head[index])]
    program += [(0x06, 0, 0, 0xFFFFFFFF), (0x06, 0, 0, 0)]  # take it; drop it
    attach(sock, program)
    return sock


def run(lanes: list[ReceivedStream]) -> None:
    """Fetch until the parent sets every stop word; then once more, so that nothing is left behind."""
    inbox = Inbox(_BATCH, _WIDTH)
    stopping = False
    while True:
        offset = realtime_offset_ns()
        for lane in lanes:
            while (got := inbox.receive(lane.fd)) > 0:
                lane.take(inbox, got, offset)
                if got < _BATCH:
                    break
            lane.note(offset)
        if stopping:
            return
        stopping = all(lane.buffer.words[shared_memory.STOP] for lane in lanes)
        if not stopping:
            time.sleep(_INTERVAL_S)


def main() -> None:
    """Exchange messages with the parent; see the module's docstring."""
    process_setup.die_with(int(sys.argv[1]), "labctl-receiver")
    process_setup.raise_file_limit()
    configs = json.loads(sys.stdin.readline() or "null")
    if configs is None:
        return
    lanes, ports = [], []
    for config in configs:
        try:
            sock, port = open_socket(config)
        except OSError as error:
            process_setup.send_message(
                {
                    "error": f"stream {config['name']!r}: {config['node']} cannot receive at "
                    f"{config['address']}: {os.strerror(error.errno or 0)}"
                }
            )
            sys.exit(1)
        lanes.append(ReceivedStream(config, sock))
        ports.append(port)
    priority = process_setup.urgent(realtime=False)
    process_setup.send_message({"ready": True, "ports": ports, "priority": priority})
    run(lanes)
    process_setup.send_message({"done": True})


if __name__ == "__main__":
    main()
