"""Decisions used again for flows that differ in nothing that they were made from.

A decision says which port numbers it was made from (:class:`labctl.overlay.flow.Ports`). Besides,
port numbers are part of the connections that the firewall asked about. So a new flow that differs
from an earlier one just in port numbers that were not read, and gets the same answers about its own
connections, meets the same decision, about its own connections. The kernel finds it by itself
(shape.h), without the agent: a client's next connection to a service, a server's next client.

Left to the simulation: fragments, ICMP, the ports of DHCP (which anti-spoofing and the DHCP server
look at), packets that are longer or older than the entry allows.

Of the entries that the kernel made the agent knows nothing, one by one. Each bears the cookie of its
shape, and dies with it: a shape that is killed takes all of them with it, at once.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple, Protocol

from labctl.overlay.agent.entries import ref_of
from labctl.overlay.datapath.layout import CONNS, INDICES, VARIANTS, Variant, Wanted, shape_key
from labctl.overlay.flow import WATCHED_PORTS, Forward, Fragment, Ports
from labctl.overlay.packet import ICMP, ICMP6, IP4, IP6

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from labctl.overlay.agent.flow_records import FlowTable, Known, Reason
    from labctl.overlay.datapath.layout import ConnRef
    from labctl.overlay.flow import ConnKey, Drop, FlowKey, Packet

__all__ = ["Asked", "Made", "Shape", "ShapeMap", "Shortcuts"]

_ICMPS = (ICMP, ICMP6)
_LONGEST = 65535
_WORD = 1 << 32
_NONE: dict[tuple[ConnRef, ...], Shape] = {}

Asked = list[tuple["ConnKey", bool]]
"""Connections that a simulation asked about, with the answers."""


class ShapeMap(Protocol):
    """Where the kernel has its shapes; :class:`labctl.overlay.datapath.cache.FlowCache` is one."""

    def write_shape(self, key: bytes, variants: Sequence[bytes]) -> None:
        """What to use under a key from now on."""

    def shapes(self) -> list[bytes]:
        """The keys that there are."""

    def live(self) -> list[int]:
        """The valid cookie at each index."""

    def enliven(self, cookies: Sequence[int]) -> None:
        """Make these the valid ones at their indices."""


class Made(NamedTuple):
    """A decision and what became of it.

    Attributes:
        decision: the simulation's.
        known: the entry.
        reason: what it was made from.
        asked: connections that were asked about, with the answers.
    """

    decision: Forward | Drop
    known: Known
    reason: Reason
    asked: Asked


@dataclass(frozen=True, slots=True, eq=False)
class Shape:
    """A decision for any port numbers that it was not made from.

    Attributes:
        key: packed, with all that it was made from.
        flow: that it was first made for.
        read: port numbers that it was made from.
        known: its entry.
        reason: what it was made from.
        asked: connections that were asked about, each KNOWN or UNKNOWN.
        length: longest packet that it is known to hold for.
        ttl: least TTL that it is known to hold for.
        cookie: borne by the entries that the kernel makes from it.
    """

    key: bytes
    flow: FlowKey
    read: Ports
    known: Known
    reason: Reason
    asked: tuple[ConnRef, ...]
    length: int
    ttl: int
    cookie: int

    def answers(self) -> dict[ConnKey, bool]:
        """What was answered about the connections of its flow."""
        return {ref.of(self.flow): ref.wanted is Wanted.KNOWN for ref in self.asked}

    def pack(self) -> bytes:
        """As the kernel wants it."""
        return Variant(
            self.asked, self.length, self.ttl, replace(self.known.entry, cookie=self.cookie)
        ).pack()


class Shortcuts:
    """Shapes by everything that they were made from; below that, by what was asked and answered."""

    def __init__(self, table: FlowTable, kernel: ShapeMap) -> None:
        """None of an earlier agent's shapes is used any more; the entries made from them still are."""
        self._table = table
        self._kernel = kernel
        self._by_key: dict[bytes, dict[tuple[ConnRef, ...], Shape]] = {}
        self._alive: dict[int, Shape] = {}
        self._of_ingress: dict[int, dict[int, Shape]] = {}
        self._changed: set[bytes] = set()
        for key in kernel.shapes():
            kernel.write_shape(key, ())
        self._cookies = kernel.live()
        # Those that no entry bears come first.
        self._free = deque(sorted(range(1, INDICES), key=lambda index: bool(self._cookies[index])))

    def __len__(self) -> int:
        return len(self._alive)

    def is_alive(self, cookie: int) -> bool:
        """Whether entries with this cookie are in use."""
        return cookie in self._alive

    def find(self, flow: FlowKey, packet: Packet, established: Callable[[ConnKey], bool]) -> Shape | None:
        """The shape that a packet fits."""
        if not _is_simple(flow):
            return None
        for read in (Ports.NONE, Ports.SOURCE, Ports.DESTINATION):
            for shape in self._by_key.get(shape_key(flow, read), _NONE).values():
                if packet.length > shape.length or packet.ttl < shape.ttl:
                    continue
                if all(established(ref.of(flow)) is (ref.wanted is Wanted.KNOWN) for ref in shape.asked):
                    return shape
        return None

    def keep(self, flow: FlowKey, packet: Packet, made: Made) -> bool:
        """Remember a decision for others like it, where that can be done; whether it could."""
        decision, known, reason, asked = made
        if decision.read is Ports.BOTH or not _is_simple(flow):
            return False
        found = [(ref_of(conn, flow), answer) for conn, answer in dict(asked).items()]
        refs = tuple(
            ref._replace(wanted=Wanted.KNOWN if answer else Wanted.UNKNOWN) for ref, answer in found if ref
        )
        if len(refs) < len(found) or len(refs) > CONNS:
            return False
        key = shape_key(flow, decision.read)
        alike = self._by_key.get(key, _NONE)
        older = alike.get(refs) or (next(iter(alike.values())) if len(alike) >= VARIANTS else None)
        if older is not None:
            self.kill([older])
        elif not self._free:
            self.kill([self._one_too_many()])
        length, ttl = packet.length, packet.ttl
        if isinstance(decision, Forward):
            length, ttl = known.entry.mtu or _LONGEST, known.ttl + 1
        shape = Shape(
            key, flow, decision.read, known, reason, refs, min(length, _LONGEST), ttl, self._next_cookie()
        )
        self._by_key.setdefault(key, {})[refs] = shape
        self._alive[shape.cookie] = shape
        self._of_ingress.setdefault(flow.ingress, {})[shape.cookie] = shape
        self._table.hold(reason, shape)
        self._changed.add(key)
        return True

    def _one_too_many(self) -> Shape:
        """The oldest of the port that has most of them: who talks to everybody takes nothing from others."""
        return next(iter(max(self._of_ingress.values(), key=len).values()))

    def _next_cookie(self) -> int:
        index = self._free.popleft()
        return self._turn(index)

    def _turn(self, index: int) -> int:
        """The next generation at an index: entries of the one before die."""
        before = self._cookies[index] or index
        cookie = self._cookies[index] = (before + INDICES) % _WORD
        self._kernel.enliven([cookie])
        return cookie

    def flush(self) -> None:
        """Let the kernel use what is new, and no more what was withdrawn."""
        changed, self._changed = self._changed, set()
        for key in changed:
            self._kernel.write_shape(key, [shape.pack() for shape in self._by_key.get(key, _NONE).values()])

    def withdraw(self, shapes: Iterable[Shape]) -> None:
        """Make no new entries from them; those that there are stay in use until they are killed."""
        for shape in shapes:
            alike = self._by_key.get(shape.key, _NONE)
            if alike.get(shape.asked) is shape:
                del alike[shape.asked]
                if not alike:
                    del self._by_key[shape.key]
                self._changed.add(shape.key)
            self._table.release(shape.reason, shape)

    def kill(self, shapes: Iterable[Shape]) -> None:
        """Let all entries that were made from them die."""
        doomed = [shape for shape in shapes if shape.cookie in self._alive]
        self.withdraw(doomed)
        self.flush()
        for shape in doomed:
            del self._alive[shape.cookie]
            alike = self._of_ingress[shape.flow.ingress]
            del alike[shape.cookie]
            if not alike:
                del self._of_ingress[shape.flow.ingress]
            index = shape.cookie % INDICES
            self._turn(index)
            self._free.append(index)

    def kill_strangers(self) -> None:
        """Let entries die that were made from an earlier agent's shapes."""
        for index, cookie in enumerate(self._cookies):
            if index and cookie and cookie not in self._alive:
                self._turn(index)


def _is_simple(flow: FlowKey) -> bool:
    if flow.frag != Fragment.NONE or flow.eth_type not in (IP4, IP6) or flow.proto in _ICMPS:
        return False
    return flow.sport not in WATCHED_PORTS and flow.dport not in WATCHED_PORTS
