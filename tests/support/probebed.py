"""Two ends and a middle to try the probe on: the middle a router, or a relay that loses on order.

The relay is a program between two links that knows every packet of the probe by name, does to
each what it was told to, and says exactly what it did.
"""

from __future__ import annotations

import contextlib
import os
import select
import struct
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from labctl.probe import Stream, payload
from labctl.probe.packetsocket import dropped, open_packet_socket

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

__all__ = ["Action", "Bed", "Ledger", "Packet", "Plan", "bed", "children_of", "relay"]

_SOL_PACKET, _PACKET_VNET_HDR = 263, 15
_VNET_HDR = 10


@dataclass(frozen=True)
class Bed:
    """Nodes ``a``, ``m`` (the middle) and ``b``, with an address of each family at both ends."""

    prefix: str
    routed: bool

    def netns(self, node: str) -> Path:
        return Path("/run/netns") / f"{self.prefix}-{node}"

    def ip(self, node: str, *words: str) -> None:
        subprocess.run(["ip", "-n", f"{self.prefix}-{node}", *words], check=True, capture_output=True)

    def address(self, node: str, family: int) -> str:
        subnet = {"a": 1, "b": 2 if self.routed else 1}[node]
        host = {"a": 2, "b": 3}[node]
        return f"10.77.{subnet}.{host}" if family == 4 else f"fd77:{subnet}::{host}"

    def stream(
        self,
        name: str,
        source: str,
        destination: str,
        *,
        family: int = 4,
        proto: str = "udp",
        rate_pps: float = 2000.0,
        flows: int = 64,
    ) -> Stream:
        ends = self.address(source, family), self.address(destination, family)
        return Stream(name, source, destination, *ends, proto=proto, rate_pps=rate_pps, flows=flows)

    def both_ways(self, **options: object) -> list[Stream]:
        return [
            self.stream("in", "a", "b", **options),  # type: ignore[arg-type]
            self.stream("out", "b", "a", **options),  # type: ignore[arg-type]
        ]


@contextlib.contextmanager
def bed(*, routed: bool) -> Iterator[Bed]:
    """Three namespaces in a row; gone at the end."""
    made = Bed(f"probe{os.getpid()}", routed)
    names = [f"{made.prefix}-{node}" for node in "amb"]
    try:
        for name in names:
            subprocess.run(["ip", "netns", "add", name], check=True)
        _wire(made)
        yield made
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)


def _wire(made: Bed) -> None:
    for number, (end, port) in enumerate((("a", "left"), ("b", "right"))):
        sysctl = ["net.ipv6.conf.default.accept_dad=0", "net.ipv4.ip_forward=1"]
        sysctl += ["net.ipv6.conf.all.forwarding=1", "net.ipv6.conf.default.disable_ipv6=0"]
        # A relay has no addresses of its own: its links stay mute.
        mute = [] if made.routed else ["net.ipv6.conf.default.disable_ipv6=1"]
        for node, extra in ((end, []), ("m", mute)):
            subprocess.run(
                ["ip", "netns", "exec", f"{made.prefix}-{node}", "sysctl", "-qw", *sysctl, *extra], check=True
            )
        indexes = str(101 + 2 * number), str(102 + 2 * number)
        made.ip(end, "link", "add", "eth1", "index", indexes[0], "type", "veth",
                "peer", "name", port, "index", indexes[1], "netns", f"{made.prefix}-m")  # fmt: skip
        for node, interface in ((end, "lo"), (end, "eth1"), ("m", port)):
            made.ip(node, "link", "set", interface, "up")
        for family, length in ((4, 24), (6, 64)):
            own = made.address(end, family)
            made.ip(end, "addr", "add", f"{own}/{length}", "dev", "eth1")
            if made.routed:
                gateway = own[:-1] + "1"
                made.ip("m", "addr", "add", f"{gateway}/{length}", "dev", port)
                made.ip(end, "route", "add", "default", "via", gateway)


class Packet(NamedTuple):
    """One packet of the probe by name."""

    stream: int
    flow: int
    sequence: int


class Action(NamedTuple):
    """What the relay is to do with a packet.

    Attributes:
        copies: how many go on; 0 loses it.
        hold: send it only after the next packet of the same flow.
    """

    copies: int = 1
    hold: bool = False


Plan = Callable[[Packet, int], Action]
"""Of a packet and its departure time: what the relay is to do with it."""


@dataclass
class Ledger:
    """Exactly what the relay did.

    Attributes:
        seen: how many packets of the probe came.
        lost, copied, held: by name.
        overflowed: frames that the relay itself could not keep: 0, or the trial is worth nothing.
    """

    seen: int = 0
    lost: set[Packet] = field(default_factory=set)
    copied: dict[Packet, int] = field(default_factory=dict)
    held: set[Packet] = field(default_factory=set)
    overflowed: int = 0


class _Relay:
    def __init__(self, ends: tuple[socket.socket, socket.socket], plan: Plan) -> None:
        self.ends = ends
        self.plan = plan
        self.ledger = Ledger()
        self.ended = threading.Event()
        self.waiting: dict[tuple[int, int], bytes] = {}
        self.failure: BaseException | None = None

    def work(self) -> None:
        try:
            while not self.ended.is_set():
                for end in select.select(self.ends, [], [], 0.02)[0]:
                    self.pass_on(end, self.ends[end is self.ends[0]])
        except BaseException as error:  # noqa: BLE001 - raised again in the test's thread
            self.failure = error

    def pass_on(self, source: socket.socket, target: socket.socket) -> None:
        for _ in range(64):
            try:
                frame = source.recv(4096)
            except BlockingIOError:
                return
            found = named(frame)
            if found is None:
                target.send(frame)
                continue
            packet, departed_ns = found
            self.ledger.seen += 1
            action = self.plan(packet, departed_ns)
            flow = packet[:2]
            if action.hold and flow not in self.waiting:
                self.ledger.held.add(packet)
                self.waiting[flow] = frame
                continue
            for _copy in range(action.copies):
                target.send(frame)
            if not action.copies:
                self.ledger.lost.add(packet)
            elif action.copies > 1:
                self.ledger.copied[packet] = action.copies
            if action.copies and flow in self.waiting:
                target.send(self.waiting.pop(flow))


def named(frame: bytes) -> tuple[Packet, int] | None:
    """The packet of the probe that a frame carries, and when it departed."""
    at = frame.find(payload.MAGIC)
    if at < 0:
        return None
    _session, stream, flow, sequence, departed_ns = struct.unpack_from(">IIIQq", frame, at + 4)
    return Packet(stream, flow, sequence), departed_ns


@contextlib.contextmanager
def relay(made: Bed, plan: Plan) -> Iterator[Ledger]:
    """Pass frames between the two links of the middle, as the plan says; the ledger is live."""
    with contextlib.ExitStack() as stack:
        ends = []
        for port in ("left", "right"):
            sock = stack.enter_context(open_packet_socket(made.netns("m"), port, outgoing=False))
            # Checksums that the sending end left to its hardware stay marked so.
            sock.setsockopt(_SOL_PACKET, _PACKET_VNET_HDR, 1)
            ends.append(sock)
        worker = _Relay((ends[0], ends[1]), plan)
        thread = threading.Thread(target=worker.work, daemon=True)
        thread.start()
        try:
            yield worker.ledger
        finally:
            time.sleep(0.05)
            worker.ended.set()
            thread.join()
            worker.ledger.overflowed = sum(dropped(sock) for sock in ends)
    if worker.failure is not None:
        raise worker.failure


def children_of(parent: int, name: str) -> list[int]:
    """Processes whose parent is that one and whose name begins so."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                text = (entry / "stat").read_text()
            except OSError:
                continue
            comm, _, rest = text.partition("(")[2].rpartition(")")
            if comm.startswith(name) and int(rest.split()[1]) == parent:
                found.append(int(entry.name))
    return found
