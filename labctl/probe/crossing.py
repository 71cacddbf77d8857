"""Which flows cross a node right now: a fault on a node that no flow crosses proves nothing.

A packet socket in the node's namespace, with a filter in the kernel that takes only packets with
the probe's payload as they come in: bare, or inside VXLAN.
"""

from __future__ import annotations

import socket
import threading
import time
from typing import TYPE_CHECKING, Self

import numpy as np

from labctl.probe import payload
from labctl.probe.mmsg import Inbox
from labctl.probe.packetsocket import Instruction, dropped, open_packet_socket

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from types import TracebackType

    from labctl.probe.types import Stream

__all__ = ["Witness", "witness"]

_MAGIC = int.from_bytes(payload.MAGIC)
# Where the payload begins: IP and UDP (or ICMP) headers; or these within VXLAN: IP, UDP, VXLAN (8),
# Ethernet (14), IP, UDP.
_PLACES = {4: (28, 78, 98), 6: (48, 98, 118)}
_WIDTH = 118 + payload.LENGTH
_INTERVAL_S = 0.02
_BATCH = 512
_HEAD = np.dtype([("magic", ">u4"), ("session", ">u4"), ("stream", ">u4"), ("flow", ">u4")])


def _program() -> list[Instruction]:
    """Take a packet if the magic stands at one of the places; hand over its first bytes only."""
    lines: list[Instruction] = []
    places = [(version, at) for version in (4, 6) for at in _PLACES[version]]
    # Each test is five instructions; a packet too short for a load is refused by the kernel, so
    # that the nearest place of each version comes first.
    for version, at in places:
        lines += [
            (0x30, 0, 0, 0),  # A = first byte
            (0x54, 0, 0, 0xF0),  # A &= 0xf0
            (0x15, 0, 3, version << 4),  # not this version: next test
            (0x20, 0, 0, at),  # A = word at the place
            (0x15, 0, 1, _MAGIC),  # not the magic: next test
            (0x06, 0, 0, _WIDTH),  # take it
        ]
    lines.append((0x06, 0, 0, 0))
    return lines


class Witness:
    """Hears until it is closed; a context manager. Cheap: a thread that looks fifty times a second.

    Close it before the node is taken apart: an open socket keeps a network namespace alive.
    """

    def __init__(self, sock: socket.socket, streams: Sequence[Stream]) -> None:
        self._sock = sock
        self._names = {payload.stream_id(stream.name): stream.name for stream in streams}
        self._last = {
            payload.stream_id(stream.name): np.zeros(stream.flows, dtype=np.int64) for stream in streams
        }
        self._inbox = Inbox(_BATCH, _WIDTH)
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._dropped = 0
        self._thread = threading.Thread(target=self._listen, name="labctl-witness", daemon=True)
        self._thread.start()

    def seen(self, since_ns: int = 0) -> dict[str, set[int]]:
        """Of each stream: the flows that entered the node since then (CLOCK_MONOTONIC)."""
        with self._lock:
            self._drain()
            return {
                name: {int(flow) for flow in np.flatnonzero(self._last[number] > max(since_ns, 0))}
                for number, name in self._names.items()
            }

    @property
    def dropped(self) -> int:
        """Packets that it could not keep: above 0, a flow that is missing may have crossed after all."""
        with self._lock:
            if not self._ended.is_set():
                self._dropped += dropped(self._sock)
            return self._dropped

    def close(self) -> None:
        """Hear no more; what was seen stays."""
        if self._ended.is_set():
            return
        self.seen()
        self._dropped += dropped(self._sock)
        self._ended.set()
        self._thread.join()
        self._sock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _listen(self) -> None:
        while not self._ended.wait(_INTERVAL_S):
            with self._lock:
                self._drain()

    def _drain(self) -> None:
        if self._ended.is_set():
            return
        now = time.monotonic_ns()
        while (got := self._inbox.receive(self._sock.fileno())) > 0:
            self._take(got, now)
            if got < _BATCH:
                return

    def _take(self, got: int, now_ns: int) -> None:
        data = self._inbox.data[:got]
        version = data[:, 0] >> 4
        for family, places in _PLACES.items():
            rest = data[version == family]
            for at in places:
                head = np.ascontiguousarray(rest[:, at : at + _HEAD.itemsize]).view(_HEAD)[:, 0]
                found = head["magic"] == _MAGIC
                for number, last in self._last.items():
                    flows = head["flow"][found & (head["stream"] == number)]
                    last[flows[flows < len(last)]] = now_ns
                rest = rest[~found]


def witness(netns: Path, streams: Sequence[Stream]) -> Witness:
    """Listen in a node for the packets of these streams, on every interface, from now on.

    Raises:
        ProbeError: no such namespace, or no right to do it.
    """
    return Witness(
        open_packet_socket(netns, None, kind=socket.SOCK_DGRAM, program=_program(), outgoing=False), streams
    )
