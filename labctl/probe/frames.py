"""Raw frames: sends crafted frames through an interface, and captures the frames that pass one.

The kernel routes nothing here: a frame leaves by the named interface, byte for byte.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import struct
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from labctl.errors import ProbeError
from labctl.probe.clock import realtime_offset_ns
from labctl.probe.packetsocket import SO_TIMESTAMPNS, Instruction, dropped, open_packet_socket
from labctl.probe.spec import PacketSpec, compile_packet

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from types import TracebackType

__all__ = ["Capture", "Frame", "FrameReport", "capture", "send_frames"]

_OUTGOING = 4  # PACKET_OUTGOING of sockaddr_ll
_LONGEST_S = 600.0
_BATCH = 64
_TIMESPEC = struct.Struct("=qq")
_REFUSED = (errno.ENOBUFS, errno.ENETDOWN, errno.EMSGSIZE, errno.EAGAIN, errno.ENXIO)


@dataclass(frozen=True, slots=True)
class FrameReport:
    """What :func:`send_frames` did.

    Attributes:
        sent: frames that the kernel took.
        refused: frames that it refused (no buffer, interface down, too long).
        start_ns, end_ns: departure of the first, and of the last batch.
        late_max_ns: behind schedule at most; 0 without a rate.
    """

    sent: int
    refused: int
    start_ns: int
    end_ns: int
    late_max_ns: int


def send_frames(
    netns: Path,
    interface: str,
    packets: Sequence[Any],
    *,
    rounds: int = 1,
    rate_pps: float | None = None,
) -> FrameReport:
    """Send frames, link header included, in order; again and again for several rounds.

    Frames with the probe's payload carry their round as sequence number and their departure time;
    all others leave as they are. Returns when the last has left.

    Args:
        netns: a path that setns() can open.
        interface: where they leave.
        packets: scapy packets, bytes, or :class:`PacketSpec`.
        rounds: how often all of them are sent.
        rate_pps: frames a second; None for as fast as the kernel takes them.

    Raises:
        ProbeError: no such interface, nothing to send, or it would take more than ten minutes.
    """
    specs = [_compiled(packet) for packet in packets]
    if not specs or rounds < 1:
        raise ProbeError("no frame to send")
    total = len(specs) * rounds
    if rate_pps is not None and not 0 < total / _LONGEST_S <= rate_pps:
        raise ProbeError(f"{total} frames at {rate_pps:g} pps would take longer than {_LONGEST_S:g} s")
    with open_packet_socket(netns, interface, protocol=0) as sock:
        return _send(sock.fileno(), specs, rounds, rate_pps)


def _compiled(packet: Any) -> PacketSpec:  # noqa: ANN401 - a scapy packet; scapy is not typed
    if isinstance(packet, PacketSpec):
        return packet
    return PacketSpec(packet) if isinstance(packet, bytes) else compile_packet(packet)


def _send(fd: int, specs: Sequence[PacketSpec], rounds: int, rate_pps: float | None) -> FrameReport:
    from labctl.probe.mmsg import Outbox  # noqa: PLC0415 - numpy

    # A burst of little frames is copied until it fills a batch: one system call sends it all.
    copies = min(rounds, max(1, _BATCH // len(specs)))
    outbox = Outbox([spec.data for spec in specs] * copies)
    stamps = [(row, spec) for row, spec in enumerate([*specs] * copies) if spec.fields_at >= 0]
    total, done, sent, refused, late_max = len(specs) * rounds, 0, 0, 0, 0
    start = last = time.monotonic_ns()
    limit = start + int(_LONGEST_S * 1e9)
    while done < total:
        at = done % len(outbox.data)
        due = (
            total if rate_pps is None else min(total, 1 + int((time.monotonic_ns() - start) * rate_pps / 1e9))
        )
        count = min(due - done, len(outbox.data) - at, _BATCH)
        if count <= 0:
            time.sleep(max(0.0, done / (rate_pps or 1.0) - (time.monotonic_ns() - start) * 1e-9))
            continue
        last = time.monotonic_ns()
        if last > limit:
            break
        for row, spec in stamps:
            if at <= row < at + count:
                spec.stamp(memoryview(outbox.data[row]), (done + row - at) // len(specs), last)  # type: ignore[arg-type]
        took, stopped = outbox.send(fd, at, count)
        if stopped and stopped not in _REFUSED:
            raise ProbeError(f"frames cannot be sent: {os.strerror(stopped)}")
        refused += 1 if stopped else 0
        sent += took
        if rate_pps is not None:
            late_max = max(late_max, last - start - int(done * 1e9 / rate_pps))
        done += took + (1 if stopped else 0)
    return FrameReport(sent, refused, start, last, late_max)


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame as it passed an interface.

    Attributes:
        t_ns: the kernel's time stamp, CLOCK_MONOTONIC.
        interface: its name.
        outgoing: it left the node there; else it came.
        data: link header and all.
    """

    t_ns: int
    interface: str
    outgoing: bool
    data: bytes


class Capture:
    """Frames captured since its creation; a context manager."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._dropped = 0

    def read(self, count: int | None = None, timeout_s: float = 0.0) -> list[Frame]:
        """The frames captured since the last call.

        Args:
            count: return as soon as there are so many.
            timeout_s: wait so long for them; 0 takes what is there.
        """
        frames: list[Frame] = []
        deadline = time.monotonic() + timeout_s
        offset = realtime_offset_ns()
        while count is None or len(frames) < count:
            try:
                data, control, _flags, address = self._sock.recvmsg(1 << 16, 64)
            except BlockingIOError:
                left = deadline - time.monotonic()
                if left <= 0:
                    break
                select.select([self._sock], [], [], left)
                offset = realtime_offset_ns()
                continue
            frames.append(Frame(_stamp(control, offset), address[0], address[2] == _OUTGOING, data))
        return frames

    @property
    def dropped(self) -> int:
        """Number of frames that passed and could not be kept; above 0 the capture is incomplete."""
        self._dropped += dropped(self._sock)
        return self._dropped

    def close(self) -> None:
        """End the capture."""
        self._sock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _stamp(control: list[tuple[int, int, bytes]], offset_ns: int) -> int:
    for level, kind, data in control:
        if level == socket.SOL_SOCKET and kind == SO_TIMESTAMPNS:
            seconds, nanoseconds = _TIMESPEC.unpack_from(data)
            return int(seconds * 1_000_000_000 + nanoseconds - offset_ns)
    return time.monotonic_ns()


def capture(
    netns: Path,
    interface: str | None = None,
    *,
    program: Sequence[Instruction] = (),
    outgoing: bool = True,
) -> Capture:
    """Capture every frame that passes an interface (all interfaces if None), from now on.

    The kernel keeps up to 64 MiB until :meth:`Capture.read`.

    Raises:
        ProbeError: no such namespace or interface, or no right to do it.
    """
    return Capture(open_packet_socket(netns, interface, program=program, outgoing=outgoing))
