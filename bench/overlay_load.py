"""Loads for the overlay's benchmarks, each bounded: TCP streams, small packets, new flows, sessions."""

from __future__ import annotations

import ctypes
import os
import socket
import struct
import time
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

from overlay_bed import Bed, inside

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "agent_cpu_s",
    "first_packets",
    "new_decisions",
    "new_echoes",
    "new_flows",
    "sessions",
    "small_packets",
    "stream",
]

_LIBC = ctypes.CDLL(None, use_errno=True)
_PORT = 7000


class _Iovec(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("len", ctypes.c_size_t))


class _Msghdr(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_void_p),
        ("namelen", ctypes.c_uint32),
        ("iov", ctypes.POINTER(_Iovec)),
        ("iovlen", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("controllen", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class _Mmsghdr(ctypes.Structure):
    _fields_ = (("hdr", _Msghdr), ("len", ctypes.c_uint32))


def _apart(namespace: str, work: Callable[[float], float], seconds: float) -> Callable[[], float]:
    """Run in another process and namespace; the returned function waits for its result."""
    context = get_context("fork")
    here, there = context.Pipe(duplex=False)

    def run() -> None:
        with inside(namespace):
            there.send("ready")
            there.send(work(seconds))

    process = context.Process(target=run)
    process.start()
    here.recv()
    time.sleep(0.05)  # until it listens; what comes sooner is counted as lost, never as gained

    def wait() -> float:
        result: float = here.recv()
        process.join()
        return result

    return wait


def _sink(seconds: float) -> float:
    """Bits a second of one TCP stream, as received; its sender ends it."""
    with socket.create_server(("", _PORT)) as server:
        server.settimeout(seconds + 5)
        connection, _ = server.accept()
        buffer, total = bytearray(1 << 20), 0
        started = time.monotonic()
        with connection:
            while got := connection.recv_into(buffer):
                total += got
        return total * 8 / (time.monotonic() - started)


def stream(bed: Bed, seconds: float) -> float:
    """Throughput of one TCP stream, bits a second."""
    wait = _apart(bed.vms[1], _sink, seconds)
    with inside(bed.vms[0]), socket.create_connection((bed.addresses[1], _PORT), 5) as connection:
        data, end = bytes(1 << 18), time.monotonic() + seconds
        while time.monotonic() < end:
            connection.sendall(data)
    return wait()


def small_packets(bed: Bed, seconds: float) -> float:
    """UDP packets of 18 bytes that were sent a second, one flow, one CPU; those that got there count.

    Sent by sendmmsg: the kernel's way from the sender's socket to the receiver's queue is walked in
    the sender's own time, so this is what the datapath costs.
    """
    with inside(bed.vms[1]):
        receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with inside(bed.vms[0]):
        sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with receiver, sender:
        receiver.bind(("", _PORT))
        receiver.settimeout(1)
        sender.connect((bed.addresses[1], _PORT))
        sender.send(b"first")
        receiver.recv(100)
        payload = ctypes.create_string_buffer(18)
        part = _Iovec(ctypes.addressof(payload), 18)
        header = _Msghdr(None, 0, ctypes.pointer(part), 1, None, 0, 0)
        batch = (_Mmsghdr * 64)(*[_Mmsghdr(header, 0) for _ in range(64)])
        before = _counted(bed, "Udp", "InDatagrams", "InErrors")
        started = time.monotonic()
        while time.monotonic() - started < seconds:
            _LIBC.sendmmsg(sender.fileno(), batch, 64, 0)
        took = time.monotonic() - started
        time.sleep(0.05)
        return (_counted(bed, "Udp", "InDatagrams", "InErrors") - before) / took


def _counted(bed: Bed, proto: str, *names: str) -> int:
    """The sum of some of the second VM's counters of a protocol."""
    with inside(bed.vms[1]):
        lines = Path("/proc/thread-self/net/snmp").read_text(encoding="ascii").splitlines()
    rows = [line.split() for line in lines if line.startswith(f"{proto}:")]
    counts = dict(zip(rows[0][1:], rows[1][1:], strict=True))
    return sum(int(counts[name]) for name in names)


def first_packets(bed: Bed, flows: int) -> tuple[list[float], list[float], list[float]]:
    """Of each new flow, seconds: first packet one way, first there and back, second there and back."""
    with inside(bed.vms[1]):
        far = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    one_way: list[float] = []
    first: list[float] = []
    second: list[float] = []
    with far:
        far.bind(("", _PORT))
        far.settimeout(2)
        for _ in range(flows):
            with inside(bed.vms[0]):
                near = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            with near:
                near.connect((bed.addresses[1], _PORT))
                near.settimeout(2)
                for times in (first, second):
                    started = time.perf_counter()
                    near.send(b"ping")
                    data, whose = far.recvfrom(100)
                    if times is first:
                        one_way.append(time.perf_counter() - started)
                    far.sendto(data, whose)
                    near.recv(100)
                    times.append(time.perf_counter() - started)
    return one_way, first, second


_ECHO_REQUEST, _ECHO_REPLY = 8, 0
_IP_HEADER = 20


def _echo(number: int) -> bytes:
    """An ICMP echo request; each identifier is a flow of its own."""
    head = struct.pack("!BBHHH", _ECHO_REQUEST, 0, 0, number, 1)
    total = sum(struct.unpack("!4H", head))
    return struct.pack("!BBHHH", _ECHO_REQUEST, 0, ~(total + (total >> 16)) & 0xFFFF, number, 1)


def _raw(namespace: str) -> socket.socket:
    with inside(namespace):
        made = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    made.settimeout(2)
    return made


def _await(raw: socket.socket, kind: int, number: int) -> None:
    """Until an echo of that kind and identifier is there."""
    while True:
        packet = raw.recv(200)
        if packet[_IP_HEADER] == kind and struct.unpack_from("!H", packet, _IP_HEADER + 4)[0] == number:
            return


def new_echoes(bed: Bed, flows: int) -> tuple[list[float], list[float]]:
    """Of each echo with an identifier of its own, seconds: one way, there and back.

    ICMP is always decided by the agents: the request of each is an upcall at both hosts.
    """
    one_way, both = [], []
    with _raw(bed.vms[0]) as near, _raw(bed.vms[1]) as far:
        for number in range(1, flows + 1):
            started = time.perf_counter()
            near.sendto(_echo(number), (bed.addresses[1], 0))
            _await(far, _ECHO_REQUEST, number)
            one_way.append(time.perf_counter() - started)
            _await(near, _ECHO_REPLY, number)
            both.append(time.perf_counter() - started)
    return one_way, both


def new_decisions(bed: Bed, rate: int, seconds: float, first: int) -> float:
    """Offer ``rate`` echoes a second, each with an identifier of its own: the share that arrived."""
    many, sent = int(rate * seconds), 0
    with _raw(bed.vms[0]) as near:
        before = _counted(bed, "Icmp", "InEchos")
        started = time.monotonic()
        while sent < many:
            due = min(many, int((time.monotonic() - started) * rate))
            for number in range(sent, due):
                near.sendto(_echo((first + number) % 65536), (bed.addresses[1], 0))
            sent = due
            time.sleep(0.0005)
        time.sleep(0.5)
    return (_counted(bed, "Icmp", "InEchos") - before) / many


def agent_cpu_s(bed: Bed) -> float:
    """CPU seconds that the agents have used."""
    total = 0
    for pid in bed.agents:
        words = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        total += int(words[11]) + int(words[12])
    return total / os.sysconf("SC_CLK_TCK")


def new_flows(bed: Bed, rate: int, seconds: float, first_port: int) -> float:
    """Offer one packet on each of ``rate`` new flows a second: the share that arrived."""
    with inside(bed.vms[0]):
        sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    many, sent = int(rate * seconds), 0
    with sender:
        before = _counted(bed, "Udp", "InDatagrams", "NoPorts")
        started = time.monotonic()
        while sent < many:
            due = min(many, int((time.monotonic() - started) * rate))
            for number in range(sent, due):
                port = 1024 + (first_port + number) % 64000
                sender.sendto(b"x", (bed.addresses[1], port))
            sent = due
            time.sleep(0.0005)
        time.sleep(0.5)
        return (_counted(bed, "Udp", "InDatagrams", "NoPorts") - before) / many


def _answer_sessions(seconds: float) -> float:
    with socket.create_server(("", _PORT), backlog=512) as server:
        server.settimeout(1)
        end = time.monotonic() + seconds + 1
        while time.monotonic() < end:
            try:
                connection, _ = server.accept()
            except TimeoutError:
                break
            with connection:
                connection.sendall(connection.recv(100))
    return seconds


def sessions(bed: Bed, seconds: float) -> float:
    """TCP sessions a second, one after the other: connect, ask, answer, close."""
    wait = _apart(bed.vms[1], _answer_sessions, seconds)
    done, started = 0, time.monotonic()
    with inside(bed.vms[0]):
        while time.monotonic() - started < seconds:
            with socket.create_connection((bed.addresses[1], _PORT), 2) as connection:
                connection.sendall(b"question")
                connection.recv(100)
            done += 1
    took = time.monotonic() - started
    wait()
    return done / took
