"""Many datagrams in one system call: recvmmsg() and sendmmsg() over numpy's memory (64-bit only)."""

from __future__ import annotations

import ctypes
import errno
import os
from typing import TYPE_CHECKING

import numpy as np

from labctl.probe.process_setup import libc

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Inbox", "Outbox"]

# struct mmsghdr { struct msghdr msg_hdr; unsigned int msg_len; } as 64-bit Linux lays it out.
_MMSGHDR = np.dtype(
    [
        ("name", "u8"),
        ("namelen", "u4"),
        ("pad0", "u4"),
        ("iov", "u8"),
        ("iovlen", "u8"),
        ("control", "u8"),
        ("controllen", "u8"),
        ("flags", "i4"),
        ("pad1", "u4"),
        ("length", "u4"),
        ("pad2", "u4"),
    ]
)
_IOVEC = np.dtype([("base", "u8"), ("length", "u8")])
_MSG_DONTWAIT = 0x40
_CONTROL = 64


class Inbox:
    """Room for ``count`` datagrams: the first ``width`` bytes of each, and its control messages.

    Attributes:
        data: ``(count, width)`` bytes.
        control: ``(count, 8)`` 64-bit words of control messages.
        lengths: length of each datagram as far as it was kept.
    """

    def __init__(self, count: int, width: int) -> None:
        self.count = count
        self.data = np.zeros((count, width), dtype=np.uint8)
        self.control = np.zeros((count, _CONTROL // 8), dtype=np.int64)
        self._iovecs = np.zeros(count, dtype=_IOVEC)
        self._iovecs["base"] = self.data.ctypes.data + np.arange(count) * width
        self._iovecs["length"] = width
        self._heads = np.zeros(count, dtype=_MMSGHDR)
        self._heads["iov"] = self._iovecs.ctypes.data + np.arange(count) * _IOVEC.itemsize
        self._heads["iovlen"] = 1
        self._heads["control"] = self.control.ctypes.data + np.arange(count) * _CONTROL
        self._heads["controllen"] = _CONTROL
        self.lengths = self._heads["length"]
        self._call = libc().recvmmsg
        self._call.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int, ctypes.c_void_p)
        self._address = self._heads.ctypes.data

    def receive(self, fd: int) -> int:
        """Fetch what is there, never waiting; returns how many, 0 if none.

        Raises:
            OSError: the socket has an error of its own.
        """
        self._heads["controllen"] = _CONTROL
        got = int(self._call(fd, self._address, self.count, _MSG_DONTWAIT, None))
        if got < 0:
            number = ctypes.get_errno()
            if number in (errno.EAGAIN, errno.EINTR):
                return 0
            raise OSError(number, os.strerror(number))
        return got


class Outbox:
    """Frames of any length that leave through one socket, many a call.

    Attributes:
        data: ``(count, width)`` bytes, a row a frame, for whoever patches them in place.
    """

    def __init__(self, frames: Sequence[bytes]) -> None:
        count = len(frames)
        self.lengths = np.array([len(frame) for frame in frames], dtype=np.uint64)
        width = int(np.max(self.lengths, initial=1))
        self.data = np.zeros((count, width), dtype=np.uint8)
        for row, frame in zip(self.data, frames, strict=True):
            row[: len(frame)] = np.frombuffer(frame, dtype=np.uint8)
        self._iovecs = np.zeros(count, dtype=_IOVEC)
        self._iovecs["base"] = self.data.ctypes.data + np.arange(count) * width
        self._iovecs["length"] = self.lengths
        self._heads = np.zeros(count, dtype=_MMSGHDR)
        self._heads["iov"] = self._iovecs.ctypes.data + np.arange(count) * _IOVEC.itemsize
        self._heads["iovlen"] = 1
        self._call = libc().sendmmsg
        self._call.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int)
        self._address = self._heads.ctypes.data

    def send(self, fd: int, start: int, count: int) -> tuple[int, int]:
        """Hand over frames ``start`` to ``start + count``.

        Returns:
            how many the kernel took, and the errno that stopped it there (0 if it took them all).
        """
        sent = int(self._call(fd, self._address + start * _MMSGHDR.itemsize, count, _MSG_DONTWAIT))
        if sent == count:
            return sent, 0
        # A short count hides its reason; the next call, which begins with the refused one, names it.
        return (0, ctypes.get_errno()) if sent < 0 else (sent, 0)
