"""Packet sockets (packet(7)) in a node's network namespace, and classic BPF programs on sockets."""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
import struct
from typing import TYPE_CHECKING

from labctl.errors import ProbeError
from labctl.linux.netns import inside
from labctl.probe.process_setup import libc

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = [
    "ETH_P_ALL",
    "SO_RCVBUFFORCE",
    "SO_TIMESTAMPNS",
    "Instruction",
    "attach",
    "bind",
    "dropped",
    "open_packet_socket",
]

Instruction = tuple[int, int, int, int]
"""``(code, jump if true, jump if false, constant)``, see linux/filter.h."""

ETH_P_ALL = 3
SO_RCVBUFFORCE, SO_TIMESTAMPNS = 33, 35
_SO_ATTACH_FILTER = 26
_SOL_PACKET, _PACKET_STATISTICS, _PACKET_IGNORE_OUTGOING = 263, 6, 23
_RECEIVE_BUFFER = 64 << 20
_SOCKADDR_LL = struct.Struct("=HHiHBB8s")


def attach(sock: socket.socket, program: Sequence[Instruction]) -> None:
    """Let the kernel hand over only what the program takes."""
    code = b"".join(struct.pack("=HBBI", *line) for line in program)
    buffer = ctypes.create_string_buffer(code)
    head = struct.pack("@HP", len(program), ctypes.addressof(buffer))
    sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, head)


def open_packet_socket(
    netns: Path,
    interface: str | None,
    *,
    protocol: int = ETH_P_ALL,
    program: Sequence[Instruction] = (),
    outgoing: bool = True,
) -> socket.socket:
    """A packet socket that stays in that namespace wherever it is handed to; it never blocks.

    Args:
        netns: a path that setns() can open.
        interface: its name, or None for all of them.
        protocol: ETH_P_ALL to hear, 0 to send only.
        program: classic BPF, set before the first frame can be heard.
        outgoing: hear what leaves too.

    Raises:
        ProbeError: no such namespace or interface, or no right to do it.
    """

    def make() -> socket.socket:
        # Protocol 0 at first: nothing is heard until the filter stands and the socket is bound.
        sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        try:
            if program:
                attach(sock, program)
            if protocol:
                with contextlib.suppress(OSError):
                    sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, _RECEIVE_BUFFER)
                sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
                if not outgoing:
                    sock.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
            bind(sock, interface, protocol)
            sock.setblocking(False)
        except BaseException:
            sock.close()
            raise
        return sock

    try:
        return inside(netns, make)
    except OSError as error:
        where = f"interface {interface!r} in {netns}" if interface else str(netns)
        raise ProbeError(f"{where}: {error.strerror or error}") from error


def bind(sock: socket.socket, interface: str | None, protocol: int) -> None:
    """Bind a packet socket to an interface, or to all of them (None), from within its namespace.

    Python's own bind() needs an interface's name; the kernel takes index 0 for all of them.
    """
    index = socket.if_nametoindex(interface) if interface is not None else 0
    address = _SOCKADDR_LL.pack(socket.AF_PACKET, socket.htons(protocol), index, 0, 0, 0, b"")
    if libc().bind(sock.fileno(), address, len(address)) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def dropped(sock: socket.socket) -> int:
    """Frames that the kernel had for a packet socket and could not keep, since the last call."""
    raw = sock.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8)
    return int(struct.unpack("=II", raw)[1])
