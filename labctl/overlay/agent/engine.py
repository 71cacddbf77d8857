"""The agent's core: decides upcalls, installs entries and sends packets; revalidates entries after a change.

It does no I/O of its own: it gets the cache, the channel and the clock as arguments. It runs in one thread,
so a decision can never be written after the change that made it false.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from labctl.overlay.agent.entries import drop_entry, entry_of, reply, rewritten, tunnel_entry
from labctl.overlay.agent.flow_records import FlowRecord, FlowTable, conns_in, make_record
from labctl.overlay.agent.megaflow import Made, MegaflowTable
from labctl.overlay.agent.parking import Parking
from labctl.overlay.agent.probe_packet import packet_of
from labctl.overlay.datapath.layout import ConnRequirement, DatapathAction, FlowEntry, flow_key
from labctl.overlay.flow import FROM_TUNNEL, Answer, Drop, FlowKey, Forward, Match, ReadPorts, ToPort
from labctl.overlay.packet import parse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from labctl.overlay.agent.connections import Connections, ConnectionUse
    from labctl.overlay.agent.flow_records import DependencySet
    from labctl.overlay.agent.interfaces import Cache, Sender
    from labctl.overlay.agent.megaflow import Asked, Megaflow
    from labctl.overlay.agent.ports import PortBindings
    from labctl.overlay.datapath.channel import Upcall
    from labctl.overlay.datapath.layout import ConnRef
    from labctl.overlay.flow import ConnKey, Decision, Packet

__all__ = ["FlowEngine"]

HOLD_NS = 1_000_000_000
IDLE_NS = 60_000_000_000
_DROP = FlowEntry(DatapathAction.DROP)
_UPCALL = make_record(FlowEntry(DatapathAction.UPCALL))


class _Case(NamedTuple):
    """An upcall that needs a decision."""

    upcall: Upcall
    flow: FlowKey
    packet: Packet
    key: bytes
    now_ns: int


class FlowEngine:
    """Flow entries of one host, and what each was decided from."""

    def __init__(
        self,
        simulate: Callable[[int, Packet, Callable[[ConnKey], bool]], Decision],
        ports: PortBindings,
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
        self._megaflows = MegaflowTable(self._table, cache)
        self._unseen: set[bytes] = set()
        # Entries to be written and packets to be sent after them, gathered over a few upcalls.
        self._rows: list[tuple[bytes, bytes]] = []
        self._sends: list[Upcall] = []
        self._parking = Parking()
        self.counts: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._table)

    def use(self, simulate: Callable[[int, Packet, Callable[[ConnKey], bool]], Decision]) -> None:
        """Decide by another snapshot from now on; :meth:`revalidate` must follow with what differs."""
        self._simulate = simulate

    def established(self, conn: ConnKey) -> bool:
        """Whether a connection is known."""
        return self._connections.established(conn)

    def share_connections(self) -> None:
        """Share the connections that this host can know among its ports, as they are bound now."""
        self._connections.share_among([one.key for one in self._ports.bound()])

    def connection_use(self) -> dict[int, ConnectionUse]:
        """What each port has of its quota of connections."""
        return self._connections.use()

    def upcall(self, upcall: Upcall, now_ns: int) -> None:
        """A packet that the kernel had no entry for, or that was too long or too old for its entry."""
        self.serve((upcall,), now_ns)

    def serve(self, upcalls: Iterable[Upcall], now_ns: int) -> None:
        """Decide several upcalls; their entries are written at once, and all packets are sent after that."""
        for upcall in upcalls:
            self._take(upcall, now_ns)
        self._flush()

    def _flush(self) -> None:
        """Write, then send. Connections first: an entry must not outlive what the next agent knows of."""
        self._connections.write()
        rows, self._rows = self._rows, []
        self._cache.put(rows)
        self._megaflows.flush()
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
        flow = packet.key(ingress)
        key = flow.pack()
        record = self._table.get(key)
        if record is not None and _covers(record, packet, now_ns) and self._holds(record, flow):
            # One of several that came up before the entry stood, or the entry was evicted since.
            self.counts["again"] += 1
            # The connections that it opens may have gone, or the kernel had no room for them.
            if not self._opens(record, flow, now_ns):
                return
            if self._cache.restore(key, record.value(now_ns)):
                self.counts["written again"] += 1
            self._sends.append(upcall)
            return
        case = _Case(upcall, flow, packet, key, now_ns)
        if not self._by_megaflow(case):
            self._decide(case)

    def _holds(self, record: FlowRecord, flow: FlowKey) -> bool:
        """Whether the connections of an entry are as the entry requires."""
        return all(
            ref.wanted is ConnRequirement.ANY
            or self.established(conn) is (ref.wanted is ConnRequirement.KNOWN)
            for ref in record.entry.conns
            for conn in _conns_of(ref, flow)
        )

    def _by_megaflow(self, case: _Case) -> bool:
        """Reuse an earlier decision if the packet matches on every field that the decision depends on."""
        record = self._like_another(case.flow, case.packet, case.key, case.now_ns)
        if record is None:
            return False
        if record.entry.action is not DatapathAction.DROP and self._opens(record, case.flow, case.now_ns):
            self._install_reply(case, record)
            self._sends.append(case.upcall)
        return True

    def _like_another(self, flow: FlowKey, packet: Packet, key: bytes, now_ns: int) -> FlowRecord | None:
        megaflow = self._megaflows.find(flow, packet, self.established)
        if megaflow is None:
            return None
        record = megaflow.record
        self.counts["flow, like another"] += 1
        self._rows.append((key, record.value(now_ns)))
        self._table.put(key, record, megaflow.dependencies)
        return record

    def _opens(self, record: FlowRecord, flow: FlowKey, now_ns: int) -> bool:
        """A packet of a flow that is let through opens its connections; False where there is no room."""
        if record.entry.action is DatapathAction.DROP:
            return True
        return self._admit([conn for ref in record.entry.conns for conn in _conns_of(ref, flow)], now_ns)

    def _admit(self, conns: Iterable[ConnKey], now_ns: int) -> bool:
        admitted = self._connections.record(conns, now_ns)
        if not admitted:
            # No entry says so: the port's upcalls are limited, and there may be room for the next packet.
            self.counts["refused: the port has its quota of connections"] += 1
        return admitted

    def _install_reply(self, case: _Case, record: FlowRecord) -> None:
        """Install the entry for the reply too, where a connection allows the reply: one upcall less."""
        if not record.entry.conns:
            return
        made = reply(case.packet, case.flow.ingress, record.entry, self._ports)
        if made is None:
            return
        ingress, packet = made
        flow = packet.key(ingress)
        key = flow.pack()
        if self._table.get(key) is not None:
            return
        if self._like_another(flow, packet, key, case.now_ns) is not None:
            return
        decision, asked = self._asking(ingress, packet)
        if isinstance(decision, Forward) and decision.cacheable:
            self._connections.record(decision.conns, case.now_ns)
            self._keep(_Case(case.upcall, flow, packet, key, case.now_ns), decision, asked)

    def _asking(self, ingress: int, packet: Packet) -> tuple[Decision, Asked]:
        """Simulate, and record which connections were looked up."""
        asked: Asked = []

        def established(conn: ConnKey) -> bool:
            answer = self._connections.established(conn)
            asked.append((conn, answer))
            return answer

        return self._simulate(ingress, packet, established), asked

    def _decide(self, case: _Case) -> None:
        decision, asked = self._asking(case.flow.ingress, case.packet)
        if isinstance(decision, Forward):
            self._forward(case, decision, asked)
        elif isinstance(decision, Drop):
            self.counts[f"drop: {decision.reason}"] += 1
            if decision.cacheable:
                self._keep(case, decision, asked)
        elif isinstance(decision, Answer):
            self.counts[f"answer: {decision.what}"] += 1
            self._answer(case, decision)
        else:
            self.counts[f"wait: {decision.waits_for}"] += 1
            self._parking.park(case.upcall, decision.tags, case.now_ns)

    def _record_of(
        self, flow: FlowKey, decision: Forward | Drop, asked: Asked
    ) -> tuple[FlowRecord, DependencySet] | None:
        """A decision as a flow record, with its dependencies; None where no entry can be made of it."""
        tags, hangs_on = conns_in(decision.tags)
        if isinstance(decision, Drop):
            depends_on = [(conn, answer) for conn, answer in asked if conn in hangs_on]
            entry, ttl = drop_entry(depends_on, flow), 0
        else:
            entry, ttl = entry_of(decision, self._ports, flow, hangs_on), decision.ttl_decrement
        if entry is None or not decision.cacheable:
            return None
        return make_record(entry, ttl), self._table.dependencies(tags)

    def _keep(self, case: _Case, decision: Forward | Drop, asked: Asked) -> FlowRecord | None:
        """Install an entry, and the megaflow for flows like it."""
        made = self._record_of(case.flow, decision, asked)
        if made is None:
            return None
        record, dependencies = made
        self._rows.append((case.key, record.value(case.now_ns)))
        self._table.put(case.key, record, dependencies)
        self._megaflows.keep(case.flow, case.packet, Made(decision, record, dependencies, asked))
        return record

    def _forward(self, case: _Case, decision: Forward, asked: Asked) -> None:
        if not self._admit(decision.conns, case.now_ns):
            return
        record = self._keep(case, decision, asked)
        if record is None:
            self._copy(case.upcall, case.packet, decision)
        else:
            self.counts["flow"] += 1
            self._install_reply(case, record)
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
        interface = self._ports.interface(case.flow.ingress % FROM_TUNNEL)
        if interface is not None and not case.upcall.by_tunnel:
            for frame in decision.frames:
                self._sender.out_of(interface, frame)
        if decision.hold:
            record = make_record(_DROP, until_ns=case.now_ns + HOLD_NS)
            self._rows.append((case.key, record.value(case.now_ns)))
            self._table.put(case.key, record, self._table.dependencies(conns_in(decision.tags)[0]))

    def revalidate(self, tags: Iterable[str], now_ns: int) -> int:
        """Facts have changed: revalidate what depends on them; how many entries that were.

        The entries that the kernel made by itself die with their megaflows, and are made again from those
        that take their places, by the kernel and without an upcall.
        """
        changed = list(tags)
        touched, megaflows = self._table.touched(changed)
        self._megaflows.withdraw(megaflows)
        followed = [megaflow for megaflow in megaflows if self._revalidate_megaflow(megaflow)]
        self._megaflows.kill(followed)
        # Of a decision to drop the kernel makes no entries, so there are none to be looked for.
        makers = {
            megaflow.generation
            for megaflow in megaflows
            if megaflow.record.entry.action is not DatapathAction.DROP
        }
        orphans = makers.difference(megaflow.generation for megaflow in followed)
        if orphans:
            # No other megaflow stands for all of their flows, so these are decided one by one.
            touched |= set(self._cache.made_by(orphans))
        self._revalidate_flows(touched, now_ns)
        self._megaflows.kill(megaflows)
        for upcall in self._parking.ready(changed, now_ns):
            self.upcall(upcall, now_ns)
        return len(touched)

    def _revalidate_megaflow(self, megaflow: Megaflow) -> bool:
        """Replace a megaflow by what holds now; whether that stands for all of its flows."""
        asked: Asked = []
        answers, packet = megaflow.answers(), packet_of(megaflow.flow)

        def established(conn: ConnKey) -> bool:
            answer = answers[conn] if conn in answers else self.established(conn)
            asked.append((conn, answer))
            return answer

        decision = self._simulate(megaflow.flow.ingress, packet, established)
        # A synthetic packet has no length, so a decision to drop it stands for no longer ones.
        if not isinstance(decision, Forward):
            return False
        made = self._record_of(megaflow.flow, decision, asked)
        if made is None:
            return False
        kept = self._megaflows.keep(megaflow.flow, packet, Made(decision, *made, asked))
        return kept and decision.read in (ReadPorts.NONE, megaflow.read)

    def _revalidate_flows(self, keys: Iterable[bytes], now_ns: int) -> None:
        """Overwrite entries with current decisions, without waiting for their next packet."""
        rows, self._rows = self._rows, []
        gone: list[bytes] = []
        for key in keys:
            record = self._by_key(key, now_ns)
            rows.append((key, (record or _UPCALL).value(now_ns)))
            if record is None:
                gone.append(key)
        self._connections.write()
        # Overwritten, not deleted: a packet that looks at this moment sees either entry, never none.
        self._cache.put(rows)
        self._table.remove(gone)

    def _by_key(self, key: bytes, now_ns: int) -> FlowRecord | None:
        """The decision for a flow without a packet of it; None where only a packet can tell."""
        flow = FlowKey.unpack(key)
        decision, asked = self._asking(flow.ingress, packet_of(flow))
        made = self._record_of(flow, decision, asked) if isinstance(decision, Forward | Drop) else None
        if made is None:
            return None
        record, dependencies = made
        self._table.put(key, record, dependencies)
        if isinstance(decision, Forward):
            self._connections.record(decision.conns, now_ns)
        return record

    def adopt(self, keys: Iterable[bytes], now_ns: int) -> int:
        """Decide anew every entry of an earlier agent; how many were kept as entries."""
        self._revalidate_flows(keys, now_ns)
        return len(self._table)

    def adopted(self) -> None:
        """All of them were: what an earlier agent's megaflows made and nobody found is not used any more."""
        self._megaflows.kill_unowned()

    def seen(self, rows: Iterable[tuple[bytes, FlowEntry]], now_ns: int) -> None:
        """Take some scanned entries with the kernel's counters: idle and unowned ones are removed."""
        self._drop(
            [
                key
                for key, entry in rows
                if now_ns - entry.last_ns > IDLE_NS or not self._is_somebodys(key, entry)
            ]
        )

    def _is_somebodys(self, key: bytes, entry: FlowEntry) -> bool:
        self._unseen.discard(key)
        if entry.generation:
            return self._megaflows.is_alive(entry.generation)
        return self._table.get(key) is not None

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
        self._connections.expire(now_ns)
        self.counts["parked too long"] += self._parking.expire(now_ns)

    def _drop(self, keys: Sequence[bytes]) -> None:
        self._cache.remove(keys)
        self._table.remove(keys)


def _covers(record: FlowRecord, packet: Packet, now_ns: int) -> bool:
    """Whether the kernel will deal with the packet by the entry that stands."""
    entry = record.entry
    if record.until_ns and record.until_ns <= now_ns:
        return False
    if entry.action is DatapathAction.DROP:
        return True
    return not (entry.mtu and packet.length > entry.mtu) and packet.ttl > record.ttl


def _conns_of(ref: ConnRef, flow: FlowKey) -> Iterator[ConnKey]:
    """The connections that the kernel asks for or keeps alive by one word of an entry (megaflow.h)."""
    conn = ref.of(flow)
    yield conn
    if ref.later:
        yield conn._replace(local_port=0, remote_port=0)


def _ingress_key(origin: int) -> bytes:
    return flow_key(FlowKey(origin, 0, 0, 0, bytes(6), bytes(6), 0, 0, bytes(16), bytes(16)), Match.INGRESS)
