"""The agent's core: an upcall in, entries and frames out; a change in, entries corrected.

No I/O of its own: the cache, the channel and the clock are handed to it. It runs in one thread, so a
decision can never be written after the change that made it false.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple, Protocol

from labctl.overlay.agent.entries import entry_of, reply, rewritten, tunnel_entry
from labctl.overlay.agent.parking import Parking
from labctl.overlay.agent.shortcut import Made, Shortcuts
from labctl.overlay.agent.synthetic import packet_of
from labctl.overlay.agent.table import FlowTable, Known, conns_in, make_known
from labctl.overlay.datapath.layout import Action, Entry, flow_key
from labctl.overlay.flow import FROM_TUNNEL, Answer, Drop, FlowKey, Forward, Match, ToPort
from labctl.overlay.packet import parse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from labctl.overlay.agent.connections import Connections
    from labctl.overlay.agent.ports import Ports
    from labctl.overlay.agent.shortcut import Asked
    from labctl.overlay.agent.table import Reason
    from labctl.overlay.datapath.channel import Upcall
    from labctl.overlay.flow import ConnKey, Decision, Packet

__all__ = ["Cache", "Engine", "Sender"]

HOLD_NS = 1_000_000_000
IDLE_NS = 60_000_000_000
_DROP = Entry(Action.DROP)
_UPCALL = make_known(Entry(Action.UPCALL))


class Cache(Protocol):
    """What the engine needs of the kernel's cache."""

    def write(self, rows: Sequence[tuple[bytes, Entry]], *, fixed: bool = False) -> None:
        """Write entries."""

    def put(self, rows: Sequence[tuple[bytes, bytes]]) -> None:
        """Write entries that are packed already."""

    def restore(self, key: bytes, value: bytes) -> bool:
        """Write a packed entry if it is no more there; whether it was not."""

    def remove(self, keys: Iterable[bytes], *, fixed: bool = False) -> int:
        """Delete entries."""


class Sender(Protocol):
    """What the engine needs of the channel."""

    def again(self, upcall: Upcall) -> None:
        """Send a packet into the cache once more."""

    def out_of(self, interface: str, frame: bytes, head: bytes = ...) -> None:
        """Send a frame out of an interface; ``head`` is that of the upcall it is a copy of."""

    def into(self, origin: int, frame: bytes, head: bytes = ...) -> None:
        """Send a frame into the cache as if it came from ``origin``."""


class _Case(NamedTuple):
    """An upcall that has to be decided."""

    upcall: Upcall
    ingress: int
    packet: Packet
    key: bytes
    now_ns: int


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
        self._shortcuts = Shortcuts()
        self._unseen: set[bytes] = set()
        # Entries to be written and packets to be sent after them, gathered over a few upcalls.
        self._rows: list[tuple[bytes, bytes]] = []
        self._sends: list[Upcall] = []
        self._parking = Parking()
        self.counts: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._table)

    def use(self, simulate: Callable[[int, Packet, Callable[[ConnKey], bool]], Decision]) -> None:
        """Decide by another snapshot from now on; :meth:`change` must follow with what differs."""
        self._simulate = simulate
        self._shortcuts.clear()

    def established(self, conn: ConnKey) -> bool:
        """Whether a connection is known."""
        return self._connections.established(conn)

    def upcall(self, upcall: Upcall, now_ns: int) -> None:
        """A packet that the kernel had no entry for, or that was too long or too old for its entry."""
        self.serve((upcall,), now_ns)

    def serve(self, upcalls: Iterable[Upcall], now_ns: int) -> None:
        """Several of them; their entries are written at once, and all packets are sent after that."""
        for upcall in upcalls:
            self._take(upcall, now_ns)
        self._flush()

    def _flush(self) -> None:
        """Write, then send. Connections first: an entry must not outlive what the next agent knows of."""
        self._connections.tell()
        rows, self._rows = self._rows, []
        self._cache.put(rows)
        sends, self._sends = self._sends, []
        for upcall in sends:
            self._sender.again(upcall)

    def _take(self, upcall: Upcall, now_ns: int) -> None:
        ingress = self._ports.ingress(upcall.origin)
        if ingress is None:
            self.counts["unbound"] += 1
            return
        packet = parse(upcall.frame, upcall.gso_size())
        if packet.fault:
            self.counts[f"fault: {packet.fault}"] += 1
            return
        key = packet.key(ingress).pack()
        known = self._table.get(key)
        if known is not None and _covers(known, packet, now_ns):
            # One of several that came up before the entry stood, or the entry was evicted since.
            self.counts["again"] += 1
            if self._cache.restore(key, known.value(now_ns)):
                self.counts["written again"] += 1
            self._sends.append(upcall)
            return
        case = _Case(upcall, ingress, packet, key, now_ns)
        if not self._by_shortcut(case):
            self._decide(case)

    def _by_shortcut(self, case: _Case) -> bool:
        """Use an earlier decision that was made from nothing that this packet differs in."""
        known = self._like_another(case.ingress, case.packet, case.key, case.now_ns)
        if known is None:
            return False
        if known.entry.action is not Action.DROP:
            self._reply_ahead(case, known)
            self._sends.append(case.upcall)
        return True

    def _like_another(self, ingress: int, packet: Packet, key: bytes, now_ns: int) -> Known | None:
        found = self._shortcuts.find(ingress, packet, self._connections.established)
        if found is None:
            return None
        shape, conns, hangs_on = found
        known = shape.known
        if conns or hangs_on:
            known = Known(known.entry, known.head, conns, hangs_on, known.ttl)
        self.counts["flow, like another"] += 1
        self._rows.append((key, known.value(now_ns)))
        self._table.put(key, known, shape.reason)
        if conns:
            self._seen(conns, now_ns)
        return known

    def _reply_ahead(self, case: _Case, known: Known) -> None:
        """Make the entry for the answer as well, where a connection lets it back in: one upcall less."""
        if not known.conns:
            return
        made = reply(case.packet, case.ingress, known.entry, self._ports)
        if made is None:
            return
        ingress, packet = made
        key = packet.key(ingress).pack()
        if self._table.get(key) is not None:
            return
        if self._like_another(ingress, packet, key, case.now_ns) is not None:
            return
        decision, asked = self._asking(ingress, packet)
        if isinstance(decision, Forward) and decision.cacheable:
            entry = entry_of(decision, self._ports)
            if entry is not None:
                self._seen(decision.conns, case.now_ns)
                self._keep(_Case(case.upcall, ingress, packet, key, case.now_ns), entry, decision, asked)

    def _asking(self, ingress: int, packet: Packet) -> tuple[Decision, Asked]:
        """Simulate, and note what was asked about connections."""
        asked: Asked = []

        def established(conn: ConnKey) -> bool:
            answer = self._connections.established(conn)
            asked.append((conn, answer))
            return answer

        return self._simulate(ingress, packet, established), asked

    def _decide(self, case: _Case) -> None:
        decision, asked = self._asking(case.ingress, case.packet)
        if isinstance(decision, Forward):
            self._forward(case, decision, asked)
        elif isinstance(decision, Drop):
            self.counts[f"drop: {decision.reason}"] += 1
            if decision.cacheable:
                self._keep(case, _DROP, decision, asked)
        elif isinstance(decision, Answer):
            self.counts[f"answer: {decision.what}"] += 1
            self._answer(case, decision)
        else:
            self.counts[f"wait: {decision.waits_for}"] += 1
            self._parking.park(case.upcall, decision.tags, case.now_ns)

    def _keep(self, case: _Case, entry: Entry, decision: Forward | Drop, asked: Asked) -> Known:
        """Make an entry, and let others like it have the same."""
        known, reason = self._put(case.key, entry, decision, case.now_ns)
        self._shortcuts.keep(case.ingress, case.packet, Made(decision, known, reason, asked))
        return known

    def _forward(self, case: _Case, decision: Forward, asked: Asked) -> None:
        self._seen(decision.conns, case.now_ns)
        entry = entry_of(decision, self._ports) if decision.cacheable else None
        if entry is None:
            self._copy(case.upcall, case.packet, decision)
        else:
            self.counts["flow"] += 1
            self._reply_ahead(case, self._keep(case, entry, decision, asked))
            self._sends.append(case.upcall)

    def _copy(self, upcall: Upcall, packet: Packet, decision: Forward) -> None:
        """Send a packet on without an entry, once to each output."""
        self.counts["flood"] += 1
        frame = rewritten(packet, decision)
        for output in decision.outputs:
            if isinstance(output, ToPort):
                interface = self._ports.interface(output.key)
                if interface is not None:
                    self._sender.out_of(interface, frame, upcall.head)
            else:
                origin = self._ports.direct(output)
                self._cache.write([(_ingress_key(origin), tunnel_entry(output))], fixed=True)
                self._sender.into(origin, frame, upcall.head)

    def _answer(self, case: _Case, decision: Answer) -> None:
        interface = self._ports.interface(case.ingress % FROM_TUNNEL)
        if interface is not None and not case.upcall.by_tunnel:
            for frame in decision.frames:
                self._sender.out_of(interface, frame)
        if decision.hold:
            self._put(case.key, _DROP, decision, case.now_ns, case.now_ns + HOLD_NS)

    def _put(
        self, key: bytes, entry: Entry, decision: Forward | Drop | Answer, now_ns: int, until_ns: int = 0
    ) -> tuple[Known, Reason]:
        tags, hangs_on = conns_in(decision.tags)
        conns, ttl = (decision.conns, decision.ttl_decrement) if isinstance(decision, Forward) else ((), 0)
        known = make_known(entry, conns, hangs_on, ttl, until_ns)
        self._rows.append((key, known.value(now_ns)))
        reason = self._table.reason(tags)
        self._table.put(key, known, reason)
        return known, reason

    def _seen(self, conns: Iterable[ConnKey], now_ns: int) -> None:
        new = self._connections.note(conns, now_ns)
        if new:
            # What was dropped because nobody knew the connection may pass from now on.
            self._again_decide(self._table.hanging_on(new), now_ns)

    def change(self, tags: Iterable[str], now_ns: int) -> int:
        """Facts have changed: decide again what was decided from them; how many entries that were."""
        changed = list(tags)
        self._shortcuts.clear()
        touched = self._table.touched(changed)
        self._again_decide(touched, now_ns)
        for upcall in self._parking.ready(changed, now_ns):
            self.upcall(upcall, now_ns)
        return len(touched)

    def _again_decide(self, keys: set[bytes], now_ns: int) -> None:
        """Overwrite entries by what holds now, without waiting for their next packet.

        One that is let through may make a connection known that others were waiting for.
        """
        waiting = set(keys)
        if waiting and self._rows:
            # What was decided before must not be written after.
            rows, self._rows = self._rows, []
            self._cache.put(rows)
        while waiting:
            rows = []
            gone: list[bytes] = []
            new: list[ConnKey] = []
            for key in waiting:
                known = self._by_key(key)
                rows.append((key, (known or _UPCALL).value(now_ns)))
                if known is None:
                    gone.append(key)
                else:
                    new += self._connections.note(known.conns, now_ns)
            self._connections.tell()
            # Overwritten, not deleted: a packet that looks at this moment sees either entry, never none.
            self._cache.put(rows)
            self._table.remove(gone)
            waiting = self._table.hanging_on(new)

    def _by_key(self, key: bytes) -> Known | None:
        """The decision for a flow without a packet of it; None where only a packet can tell."""
        flow = FlowKey.unpack(key)
        decision = self._simulate(flow.ingress, packet_of(flow), self._connections.established)
        if not isinstance(decision, Forward | Drop) or not decision.cacheable:
            return None
        tags, hangs_on = conns_in(decision.tags)
        if isinstance(decision, Drop):
            known = make_known(_DROP, (), hangs_on)
        else:
            entry = entry_of(decision, self._ports)
            if entry is None:
                return None
            known = make_known(entry, decision.conns, hangs_on, decision.ttl_decrement)
        self._table.put(key, known, self._table.reason(tags))
        return known

    def adopt(self, keys: Iterable[bytes], now_ns: int) -> int:
        """Decide anew every entry of an earlier agent; how many were kept as entries."""
        self._again_decide(set(keys), now_ns)
        return len(self._table)

    def seen(self, rows: Iterable[tuple[bytes, Entry]], now_ns: int) -> None:
        """Some entries with the kernel's counters: keep connections alive, expire what is idle."""
        idle: list[bytes] = []
        for key, entry in rows:
            known = self._table.get(key)
            self._unseen.discard(key)
            if known is None or now_ns - entry.last_ns > IDLE_NS:
                idle.append(key)
            else:
                self._connections.note(known.conns, entry.last_ns)
        self._drop(idle)

    def scan_begins(self) -> None:
        """From now on :meth:`seen` is told of all entries in the kernel, part by part."""
        self._unseen = self._table.keys()

    def scan_ends(self) -> None:
        """What was known at the beginning and not seen since was evicted, and is forgotten here as well.

        The kernel may have passed over an entry that is there: it goes too, since nobody would
        correct it any more.
        """
        self._drop(list(self._unseen))
        self._unseen = set()

    def tick(self, now_ns: int) -> None:
        """Once in a while: end holds, forget connections and parked packets that are too old."""
        self._drop(self._table.over(now_ns))
        gone = self._connections.expire(now_ns)
        if gone:
            self._again_decide(self._table.hanging_on(gone), now_ns)
        self.counts["parked too long"] += self._parking.expire(now_ns)

    def _drop(self, keys: Sequence[bytes]) -> None:
        self._cache.remove(keys)
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
