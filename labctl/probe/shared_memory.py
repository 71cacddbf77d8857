"""The records of sender and receiver, in memory that the parent reads while they write.

One memfd a stream and a side; each has one writer. Word ``i`` is the i-th 64-bit integer.

Departures (sender)::

    words 0..511    header: START_NS, STOP_NS (both set by the parent), NEXT, errors by errno
    word 512 + k    packet k of the stream (flow k % flows, sequence k // flows):
                    0 never tried, t departed at t, -t tried at t and refused by the kernel

Arrivals (receiver), in the order in which the kernel queued them::

    words 0..511    header: COUNT, OVERFLOWED, FOREIGN, UNLOGGED, clock offsets, STOP (by the parent)
    words 512 + 2i  k of the i-th arrival, then the kernel's receive time
"""

from __future__ import annotations

import contextlib
import mmap
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = [
    "COUNT",
    "ERRNO_AT",
    "FOREIGN",
    "HEADER_WORDS",
    "NEXT",
    "OFFSET_FIRST",
    "OFFSET_MAX",
    "OFFSET_MIN",
    "OVERFLOWED",
    "START_NS",
    "STOP",
    "STOP_NS",
    "UNLOGGED",
    "SampleBuffer",
]

HEADER_WORDS = 512
_WORD = 8

START_NS = 0
STOP_NS = 1
NEXT = 2
ERRNO_AT = 64  # + errno, up to 255

COUNT = 0
OVERFLOWED = 1
FOREIGN = 2
UNLOGGED = 3
STOP = 4
OFFSET_FIRST = 5
OFFSET_MIN = 6
OFFSET_MAX = 7


class SampleBuffer:
    """A header and a long array of 64-bit integers in memory shared by descriptor.

    Pages that were never written cost nothing, so the array is as long as the longest run.

    Attributes:
        fd: the memfd, to hand to the process that writes.
        words: every word, header first; ``words[i]`` costs tens of nanoseconds.
        capacity: words behind the header.
    """

    def __init__(self, fd: int, capacity: int) -> None:
        self.fd = fd
        self.capacity = capacity
        self._map: mmap.mmap | None = mmap.mmap(fd, (HEADER_WORDS + capacity) * _WORD)
        self.words = memoryview(self._map).cast("q")

    @classmethod
    def new(cls, name: str, capacity: int) -> SampleBuffer:
        """A fresh one, all zero; the memory is gone when the last process has closed it."""
        fd = os.memfd_create(name, os.MFD_CLOEXEC)
        os.ftruncate(fd, (HEADER_WORDS + capacity) * _WORD)
        return cls(fd, capacity)

    def array(self) -> NDArray[np.int64]:
        """The words behind the header, shared, not copied.

        Raises:
            ValueError: the buffer is closed.
        """
        import numpy as np  # noqa: PLC0415 - the sender does without

        if self._map is None:
            raise ValueError("the buffer is closed")
        return np.frombuffer(self._map, dtype=np.int64, offset=HEADER_WORDS * _WORD)

    def close(self) -> None:
        """Release the memory; arrays handed out keep it until they are released. Again is no error.

        The mapping has a descriptor of its own: whoever keeps this object must not keep that.
        """
        self.words.release()
        mapped, self._map = self._map, None
        if mapped is not None:
            with contextlib.suppress(BufferError):  # an array is out; the last one takes the mapping with it
                mapped.close()
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
