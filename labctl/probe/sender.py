"""The sender process: sends packets on an absolute schedule and records each departure.

Run as ``python -P -m labctl.probe.sender PARENT_PID``; it speaks JSON lines with
:mod:`labctl.probe.helpers`: one :class:`SentStream` configuration each in, ``{"ready": ...}`` out,
``{"start_ns": ...}`` in, a summary out. No numpy, no scapy: it starts in 50 ms.

The kernel does the routing: one bound, *unconnected* UDP socket a flow. A connected one would keep
a pending ICMP error and answer the next packet with it, which would then have been swallowed
silently; an unconnected one without IP_RECVERR never has one, so a refused packet is exactly a
send() that raised.
"""

from __future__ import annotations

import contextlib
import errno
import gc
import json
import os
import socket
import struct
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labctl.linux.netns import inside
from labctl.probe import process_setup, shared_memory
from labctl.probe.schedule import CATCH_UP_NS
from labctl.probe.shared_memory import HEADER_WORDS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["SentStream", "main", "run"]

_REALTIME_UP_TO_PPS = 50_000  # about half a core: what else runs on it must still get on
_LEAST_SLEEP_NS = 100_000  # a wake-up costs as much as two packets: high rates leave in pairs
_LONGEST_SLEEP_NS = 20_000_000  # a stop word is seen soon at low rates too
_BURST = 32  # packets of one lane before the others and the stop word are looked at
_FIELDS = struct.Struct(">Qq")
_SHORT = struct.Struct(">H")
_SEND_BUFFER = 8 << 20
_LAST_PORT = 65535
_SO_SNDBUFFORCE = 32
_IP_MTU_DISCOVER, _IPV6_MTU_DISCOVER, _PMTUDISC_PROBE = 10, 23, 3
_SOL_RAW, _ICMP_FILTER, _ICMPV6_FILTER = 255, 1, 1


class SentStream:
    """One stream being sent: its sockets, its templates, its place in the schedule."""

    def __init__(self, config: dict[str, Any], sockets: Sequence[socket.socket]) -> None:
        self.buffer = shared_memory.SampleBuffer(config["buffer_fd"], config["capacity"])
        self.period: float = config["period_ns"]
        self.flows: int = config["flows"]
        addresses = config["destinations"] or [config["destination"]] * self.flows
        self.targets = [(address, config["destination_port"]) for address in addresses]
        self.sends: list[Callable[..., int]] = [sock.sendto for sock in sockets] * (
            self.flows // len(sockets)
        )
        self.buffers = [bytearray.fromhex(text) for text in config["templates"]]
        self.fields_at: int = config["fields_at"]
        self.checksum_at: int = config["checksum_at"]
        self.bases: list[int] = config["checksum_bases"]
        self.next = 0
        self.start = 0

    def begin(self, start_ns: int) -> None:
        """Packet 0 is due at ``start_ns``."""
        self.start = start_ns

    def burst(self, stop_ns: int) -> int:
        """Send what is due, at most a burst; returns when the next is due, 0 when all are done."""
        clock, words, flows, fields_at = time.monotonic_ns, self.buffer.words, self.flows, self.fields_at
        buffers, sends, targets, pack = self.buffers, self.sends, self.targets, _FIELDS.pack_into
        start, period, checksum_at, k = self.start, self.period, self.checksum_at, self.next
        due = start + int(k * period)
        for _ in range(_BURST):
            if due >= stop_ns or k >= self.buffer.capacity:
                due = 0
                break
            now = clock()
            if due > now:
                break
            if now - due > CATCH_UP_NS:
                k = max(k + 1, int((now - CATCH_UP_NS - start) / period))
                due = start + int(k * period)
                continue
            flow = k % flows
            buffer = buffers[flow]
            pack(buffer, fields_at, k // flows, now)
            if checksum_at >= 0:
                _SHORT.pack_into(buffer, checksum_at, 65535 - (self.bases[flow] + k // flows + now) % 65535)
            try:
                sends[flow](buffer, targets[flow])
            except OSError as error:
                words[HEADER_WORDS + k] = -now
                words[shared_memory.ERRNO_AT + min(error.errno or 0, 255)] += 1
            else:
                words[HEADER_WORDS + k] = now
            k += 1
            due = start + int(k * period)
        self.next = k
        words[shared_memory.NEXT] = k
        return due


def run(lanes: Sequence[SentStream], start_ns: int) -> None:
    """Send until every lane's stop word or the end of its buffer is reached."""
    for lane in lanes:
        lane.begin(start_ns)
    active = list(lanes)
    clock, sleep = time.monotonic_ns, time.sleep
    while active:
        nearest = 1 << 62
        for lane in tuple(active):
            due = lane.burst(lane.buffer.words[shared_memory.STOP_NS])
            if due:
                nearest = min(nearest, due)
            else:
                active.remove(lane)
        if active:
            wait = nearest - clock()
            if wait > 0:
                sleep(max(_LEAST_SLEEP_NS, min(wait, _LONGEST_SLEEP_NS)) * 1e-9)


def open_sockets(config: dict[str, Any]) -> tuple[list[socket.socket], list[int]]:
    """The sockets of one lane in its node's namespace, and the source port of each flow.

    Raises:
        OSError: no such address, or no port is left.
    """
    family = socket.AF_INET if config["family"] == 4 else socket.AF_INET6  # noqa: PLR2004

    def make() -> tuple[list[socket.socket], list[int]]:
        if config["proto"] == "icmp":
            return [_echo_socket(family, config["source"])], list(config["source_ports"])
        return _flow_sockets(family, config["source"], config["source_ports"])

    return inside(Path(f"/proc/self/fd/{config['netns_fd']}"), make)


def _flow_sockets(family: int, source: str, wanted: Sequence[int]) -> tuple[list[socket.socket], list[int]]:
    """A socket a flow; a port that somebody else has is passed over."""
    sockets: list[socket.socket] = []
    ports: list[int] = []
    port = wanted[0]
    while len(sockets) < len(wanted):
        sock = socket.socket(family, socket.SOCK_DGRAM)
        try:
            sock.bind((source, port))
        except OSError as error:
            sock.close()
            if error.errno != errno.EADDRINUSE or port == _LAST_PORT:
                raise
        else:
            _prepare(sock, family)
            sockets.append(sock)
            ports.append(port)
        port += 1
    return sockets, ports


def _echo_socket(family: int, source: str) -> socket.socket:
    """Open a socket that sends echo requests and receives nothing: the receiver gets the replies."""
    if family == socket.AF_INET:
        sock = socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_ICMP)
        sock.setsockopt(_SOL_RAW, _ICMP_FILTER, struct.pack("=I", 0xFFFFFFFF))
    else:
        sock = socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
        sock.setsockopt(socket.IPPROTO_ICMPV6, _ICMPV6_FILTER, b"\xff" * 32)
    sock.bind((source, 0))
    _prepare(sock, family)
    return sock


def _prepare(sock: socket.socket, family: int) -> None:
    """Never blocks, never fragments, never waits for a buffer."""
    sock.setblocking(False)
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, _SEND_BUFFER)
    if family == socket.AF_INET:
        sock.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, _PMTUDISC_PROBE)
    else:
        sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_MTU_DISCOVER, _PMTUDISC_PROBE)


def main() -> None:
    """Exchange messages with the parent; see the module's docstring."""
    process_setup.die_with(int(sys.argv[1]), "labctl-sender")
    process_setup.raise_file_limit()
    configs = json.loads(sys.stdin.readline() or "null")
    if configs is None:
        return
    opened = []
    for config in configs:
        try:
            opened.append(open_sockets(config))
        except OSError as error:
            process_setup.send_message(
                {
                    "error": f"stream {config['name']!r}: {config['node']} cannot send from "
                    f"{config['source']}: {os.strerror(error.errno or 0)}"
                }
            )
            sys.exit(1)
    process_setup.send_message({"ports": [ports for _sockets, ports in opened]})
    templates = json.loads(sys.stdin.readline() or "null")
    if templates is None:
        return
    lanes = [
        SentStream(config | template, sockets)
        for config, template, (sockets, _ports) in zip(configs, templates, opened, strict=True)
    ]
    total_pps = sum(1e9 / lane.period for lane in lanes)
    priority = process_setup.urgent(realtime=total_pps <= _REALTIME_UP_TO_PPS)
    gc.disable()
    gc.freeze()
    process_setup.send_message({"ready": True, "priority": priority})
    start = json.loads(sys.stdin.readline() or "null")
    if start is None:
        return
    run(lanes, start["start_ns"])
    process_setup.send_message({"done": True})


if __name__ == "__main__":
    main()
