"""The agent's core: an upcall in, entries and frames out; a change in, entries corrected.

No I/O of its own: the cache, the channel and the clock are handed to it. It runs in one thread, so a
decision can never be written after the change that made it false.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from labctl.overlay.agent.entries import entry_of, rewritten, tunnel_entry
from labctl.overlay.agent.parking import Parking
from labctl.overlay.agent.synthetic import packet_of
from labctl.overlay.agent.table import FlowTable, Known
from labctl.overlay.datapath.layout import Action, Entry, flow_key
from labctl.overlay.flow import FROM_TUNNEL, Answer, Drop, FlowKey, Forward, Match, ToPort, Unknown
from labctl.overlay.packet import parse
from labctl.overlay.simulation.tags import conn_tag

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from labctl.overlay.agent.connections import Connections
    from labctl.overlay.agent.ports import Ports
    from labctl.overlay.datapath.channel import Upcall
    from labctl.overlay.flow import ConnKey, Decision, Packet

__all__ = ["Cache", "Engine", "Sender"]

HOLD_NS = 1_000_000_000
IDLE_NS = 60_000_000_000


class Cache(Protocol):
    """What the engine needs of the kernel's cache."""

    def write(self, rows: Sequence[tuple[bytes, Entry]], *, fixed: bool = False) -> None:
        """Write entries."""

    def remove(self, keys: Iterable[bytes], *, fixed: bool = False) -> int:
        """Delete entries."""


class Sender(Protocol):
    """What the engine needs of the channel."""

    def again(self, upcall: Upcall) -> None:
        """Send a packet into the cache once more."""

    def out_of(self, interface: str, frame: bytes) -> None:
        """Send a frame out of an interface."""

    def into(self, origin: int, frame: bytes) -> None:
        """Send a frame into the cache as if it came from ``origin``."""


class Engine:
    """Flow entries of one host, and the reasons for them."""

    def __init__(
        self,
        simulate: Callable[[int, Packet, Callable[[ConnKey], bool]], Decision],
        ports: Ports,
        cache: Cache,
        sender: Sender,
        connections: Connections,
    ) -> None:
        """Start with an empty table; :meth:`adopt` takes over what an earlier agent left."""
        self._simulate = simulate
        self._ports = ports
        self._cache = cache
        self._sender = sender
        self._connections = connections
        self._table = FlowTable()
        self._parking = Parking()
        self.counts: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._table)

    def use(self, simulate: Callable[[int, Packet, Callable[[ConnKey], bool]], Decision]) -> None:
        """Decide by another snapshot from now on; :meth:`change` must follow with what differs."""
        self._simulate = simulate

    def established(self, conn: ConnKey) -> bool:
        """Whether a connection is known."""
        return self._connections.established(conn)

    def upcall(self, upcall: Upcall, now_ns: int) -> None:
        """A packet that the kernel had no entry for, or that was too long or too old for its entry."""
        ingress = self._ports.ingress(upcall.origin)
        if ingress is None:
            self.counts["unbound"] += 1
            return
        packet = parse(upcall.frame, upcall.gso_size())
        if packet.fault:
            self.counts[f"fault: {packet.fault}"] += 1
            return
        known = self._table.get(packet.key(ingress))
        if known is not None and _covers(known, packet, now_ns):
            # One of several that came up before the entry stood; it may take the short way.
            self.counts["again"] += 1
            self._sender.again(upcall)
            return
        self._decide(upcall, ingress, packet, now_ns)

    def _decide(self, upcall: Upcall, ingress: int, packet: Packet, now_ns: int) -> None:
        decision = self._simulate(ingress, packet, self._connections.established)
        if isinstance(decision, Forward):
            self._forward(upcall, ingress, packet, decision, now_ns)
        elif isinstance(decision, Drop):
            self.counts[f"drop: {decision.reason}"] += 1
            if decision.cacheable:
                self._put(packet.key(ingress), Known(Entry(Action.DROP), (), 0), decision.tags, now_ns)
        elif isinstance(decision, Answer):
            self.counts[f"answer: {decision.what}"] += 1
            self._answer(upcall, ingress, packet, decision, now_ns)
        else:
            self.counts[f"wait: {decision.waits_for}"] += 1
            self._parking.park(upcall, decision.tags, now_ns)

    def _forward(self, upcall: Upcall, ingress: int, packet: Packet, decision: Forward, now_ns: int) -> None:
        self._seen(decision.conns, now_ns)
        entry = entry_of(decision, self._ports)
        if entry is not None and decision.cacheable:
            self.counts["flow"] += 1
            key = packet.key(ingress)
            self._put(key, Known(entry, decision.conns, decision.ttl_decrement), decision.tags, now_ns)
            self._sender.again(upcall)
            return
        self.counts["flood"] += 1
        frame = rewritten(packet, decision)
        for output in decision.outputs:
            if isinstance(output, ToPort):
                interface = self._ports.interface(output.key)
                if interface is not None:
                    self._sender.out_of(interface, frame)
            else:
                origin = self._ports.direct(output)
                self._cache.write([(_ingress_key(origin), tunnel_entry(output))], fixed=True)
                self._sender.into(origin, frame)

    def _answer(self, upcall: Upcall, ingress: int, packet: Packet, decision: Answer, now_ns: int) -> None:
        interface = self._ports.interface(ingress % FROM_TUNNEL)
        if interface is not None and not upcall.by_tunnel:
            for frame in decision.frames:
                self._sender.out_of(interface, frame)
        if decision.hold:
            known = Known(Entry(Action.DROP), (), 0, now_ns + HOLD_NS)
            self._put(packet.key(ingress), known, decision.tags, now_ns)

    def _put(self, key: FlowKey, known: Known, tags: frozenset[str], now_ns: int) -> None:
        self._cache.write([(flow_key(key), replace(known.entry, last_ns=now_ns))])
        self._table.put(key, known, tags)

    def _seen(self, conns: Iterable[ConnKey], now_ns: int) -> None:
        new = self._connections.note(conns, now_ns)
        if new:
            # What was dropped because nobody knew the connection may pass from now on.
            self._again_decide(self._table.touched([conn_tag(conn) for conn in new]), now_ns)

    def change(self, tags: Iterable[str], now_ns: int) -> int:
        """Facts have changed: decide again what was decided from them; how many entries that were."""
        changed = list(tags)
        touched = self._table.touched(changed)
        self._again_decide(touched, now_ns)
        for upcall in self._parking.ready(changed, now_ns):
            self.upcall(upcall, now_ns)
        return len(touched)

    def _again_decide(self, keys: Iterable[FlowKey], now_ns: int) -> None:
        """Overwrite entries by what holds now, without waiting for their next packet."""
        gone: list[FlowKey] = []
        rows: list[tuple[bytes, Entry]] = []
        for key in keys:
            known, tags = self._by_key(key)
            if known is None:
                gone.append(key)
                rows.append((flow_key(key), Entry(Action.UPCALL)))
            else:
                rows.append((flow_key(key), replace(known.entry, last_ns=now_ns)))
                self._table.put(key, known, tags)
                self._connections.note(known.conns, now_ns)
        # Overwritten, not deleted: a packet that looks at this moment sees either entry, never none.
        self._cache.write(rows)
        self._table.remove(gone)

    def _by_key(self, key: FlowKey) -> tuple[Known | None, frozenset[str]]:
        """The decision for a flow without a packet of it; None where only a packet can tell."""
        decision = self._simulate(key.ingress, packet_of(key), self._connections.established)
        if isinstance(decision, Unknown | Answer) or not decision.cacheable:
            return None, frozenset()
        if isinstance(decision, Drop):
            return Known(Entry(Action.DROP), (), 0), decision.tags
        entry = entry_of(decision, self._ports)
        if entry is None:
            return None, frozenset()
        return Known(entry, decision.conns, decision.ttl_decrement), decision.tags

    def adopt(self, keys: Iterable[bytes], now_ns: int) -> int:
        """Decide anew every entry of an earlier agent; how many were kept as entries."""
        found = [FlowKey.unpack(key) for key in keys]
        self._again_decide(found, now_ns)
        return len(self._table)

    def seen(self, rows: Iterable[tuple[bytes, Entry]], now_ns: int) -> None:
        """Some entries with the kernel's counters: keep connections alive, expire what is idle."""
        idle: list[FlowKey] = []
        for raw, entry in rows:
            key = FlowKey.unpack(raw)
            known = self._table.get(key)
            if known is None or now_ns - entry.last_ns > IDLE_NS:
                idle.append(key)
            else:
                self._connections.note(known.conns, entry.last_ns)
        self._drop(idle)

    def tick(self, now_ns: int) -> None:
        """Once in a while: end holds, forget connections and parked packets that are too old."""
        self._drop(self._table.over(now_ns))
        gone = self._connections.expire(now_ns)
        if gone:
            self._again_decide(self._table.touched([conn_tag(conn) for conn in gone]), now_ns)
        self.counts["parked too long"] += self._parking.expire(now_ns)

    def _drop(self, keys: Sequence[FlowKey]) -> None:
        self._cache.remove([flow_key(key) for key in keys])
        self._table.remove(keys)


def _covers(known: Known, packet: Packet, now_ns: int) -> bool:
    """Whether the kernel will deal with the packet by the entry that stands."""
    entry = known.entry
    if known.until_ns and known.until_ns <= now_ns:
        return False
    if entry.action is Action.DROP:
        return True
    return not (entry.mtu and packet.length > entry.mtu) and packet.ttl > known.ttl


def _ingress_key(origin: int) -> bytes:
    return flow_key(FlowKey(origin, 0, 0, 0, bytes(6), bytes(6), 0, 0, bytes(16), bytes(16)), Match.INGRESS)
