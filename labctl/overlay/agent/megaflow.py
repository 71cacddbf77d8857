"""Megaflows: one decision serves every flow that matches on the fields the decision depends on.

A decision lists the port numbers that it depends on (:class:`labctl.overlay.flow.ReadPorts`). Port numbers
are also part of the connections that the firewall looked up. So a new flow that differs from an earlier flow
only in port numbers that were not read, and whose own connections have the same state, gets the same
decision, for its own connections. The kernel matches such a flow itself (megaflow.h), without the agent: a
client's next connection to a service, a server's next client.

These packets always need the simulation: fragments, ICMP, the ports of DHCP (which anti-spoofing and the DHCP
server read), and packets that are longer or have a lower TTL than the entry allows.

The agent does not know the individual entries that the kernel created. Each carries the generation of its
megaflow: killing a megaflow invalidates all of its entries at once.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple, Protocol

from labctl.overlay.agent.entries import ref_of
from labctl.overlay.datapath.layout import CONNS, INDICES, VARIANTS, ConnRequirement, Variant, megaflow_key
from labctl.overlay.flow import WATCHED_PORTS, Forward, Fragment, ReadPorts
from labctl.overlay.packet import ICMP, ICMP6, IP4, IP6

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from labctl.overlay.agent.flow_records import DependencySet, FlowRecord, FlowTable
    from labctl.overlay.datapath.layout import ConnRef
    from labctl.overlay.flow import ConnKey, Drop, FlowKey, Packet

__all__ = ["Asked", "Made", "Megaflow", "MegaflowMap", "MegaflowTable"]

_ICMPS = (ICMP, ICMP6)
_LONGEST = 65535
_WORD = 1 << 32
_NONE: dict[tuple[ConnRef, ...], Megaflow] = {}

Asked = list[tuple["ConnKey", bool]]
"""Connections that a simulation asked about, with the answers."""


class MegaflowMap(Protocol):
    """Where the kernel has its megaflows; :class:`labctl.overlay.datapath.cache.FlowCache` is one."""

    def write_megaflow(self, key: bytes, variants: Sequence[bytes]) -> None:
        """Replace the variants under a key."""

    def megaflows(self) -> list[bytes]:
        """The keys that there are."""

    def active(self) -> list[int]:
        """The valid generation at each index."""

    def activate(self, generations: Sequence[int]) -> None:
        """Make these the valid ones at their indices."""


class Made(NamedTuple):
    """A decision and what became of it.

    Attributes:
        decision: the simulation's.
        record: the entry.
        dependencies: what it depends on.
        asked: connections that were asked about, with the answers.
    """

    decision: Forward | Drop
    record: FlowRecord
    dependencies: DependencySet
    asked: Asked


@dataclass(frozen=True, slots=True, eq=False)
class Megaflow:
    """A decision for any port numbers that it was not made from.

    Attributes:
        key: packed, with all that it was made from.
        flow: that it was first made for.
        read: port numbers that it was made from.
        record: its entry.
        dependencies: what it depends on.
        asked: connections that were asked about, each KNOWN or UNKNOWN.
        length: longest packet that it is known to hold for.
        ttl: least TTL that it is known to hold for.
        generation: borne by the entries that the kernel makes from it.
    """

    key: bytes
    flow: FlowKey
    read: ReadPorts
    record: FlowRecord
    dependencies: DependencySet
    asked: tuple[ConnRef, ...]
    length: int
    ttl: int
    generation: int

    def answers(self) -> dict[ConnKey, bool]:
        """What was answered about the connections of its flow."""
        return {ref.of(self.flow): ref.wanted is ConnRequirement.KNOWN for ref in self.asked}

    def pack(self) -> bytes:
        """As the kernel wants it."""
        return Variant(
            self.asked, self.length, self.ttl, replace(self.record.entry, generation=self.generation)
        ).pack()


class MegaflowTable:
    """Megaflows by everything that they were made from; below that, by what was asked and answered."""

    def __init__(self, table: FlowTable, kernel: MegaflowMap) -> None:
        """None of an earlier agent's megaflows is used any more; the entries made from them still are."""
        self._table = table
        self._kernel = kernel
        self._by_key: dict[bytes, dict[tuple[ConnRef, ...], Megaflow]] = {}
        self._alive: dict[int, Megaflow] = {}
        self._of_ingress: dict[int, dict[int, Megaflow]] = {}
        self._changed: set[bytes] = set()
        for key in kernel.megaflows():
            kernel.write_megaflow(key, ())
        self._generations = kernel.active()
        # Those that no entry bears come first.
        self._free = deque(sorted(range(1, INDICES), key=lambda index: bool(self._generations[index])))

    def __len__(self) -> int:
        return len(self._alive)

    def is_alive(self, generation: int) -> bool:
        """Whether entries with this generation are in use."""
        return generation in self._alive

    def find(self, flow: FlowKey, packet: Packet, established: Callable[[ConnKey], bool]) -> Megaflow | None:
        """The megaflow that a packet fits."""
        if not _is_simple(flow):
            return None
        for read in (ReadPorts.NONE, ReadPorts.SOURCE, ReadPorts.DESTINATION):
            for megaflow in self._by_key.get(megaflow_key(flow, read), _NONE).values():
                if packet.length > megaflow.length or packet.ttl < megaflow.ttl:
                    continue
                if all(
                    established(ref.of(flow)) is (ref.wanted is ConnRequirement.KNOWN)
                    for ref in megaflow.asked
                ):
                    return megaflow
        return None

    def keep(self, flow: FlowKey, packet: Packet, made: Made) -> bool:
        """Install a megaflow for a decision where possible; returns whether it was."""
        decision, record, dependencies, asked = made
        if decision.read is ReadPorts.BOTH or not _is_simple(flow):
            return False
        found = [(ref_of(conn, flow), answer) for conn, answer in dict(asked).items()]
        refs = tuple(
            ref._replace(wanted=ConnRequirement.KNOWN if answer else ConnRequirement.UNKNOWN)
            for ref, answer in found
            if ref
        )
        if len(refs) < len(found) or len(refs) > CONNS:
            return False
        key = megaflow_key(flow, decision.read)
        alike = self._by_key.get(key, _NONE)
        older = alike.get(refs) or (next(iter(alike.values())) if len(alike) >= VARIANTS else None)
        if older is not None:
            self.kill([older])
        elif not self._free:
            self.kill([self._one_too_many()])
        length, ttl = packet.length, packet.ttl
        if isinstance(decision, Forward):
            length, ttl = record.entry.mtu or _LONGEST, record.ttl + 1
        megaflow = Megaflow(
            key,
            flow,
            decision.read,
            record,
            dependencies,
            refs,
            min(length, _LONGEST),
            ttl,
            self._next_generation(),
        )
        self._by_key.setdefault(key, {})[refs] = megaflow
        self._alive[megaflow.generation] = megaflow
        self._of_ingress.setdefault(flow.ingress, {})[megaflow.generation] = megaflow
        self._table.hold(dependencies, megaflow)
        self._changed.add(key)
        return True

    def _one_too_many(self) -> Megaflow:
        """The oldest of the port that has most of them: who talks to everybody takes nothing from others."""
        return next(iter(max(self._of_ingress.values(), key=len).values()))

    def _next_generation(self) -> int:
        index = self._free.popleft()
        return self._turn(index)

    def _turn(self, index: int) -> int:
        """The next generation at an index: entries of the one before die."""
        before = self._generations[index] or index
        generation = self._generations[index] = (before + INDICES) % _WORD
        self._kernel.activate([generation])
        return generation

    def flush(self) -> None:
        """Write new megaflows to the kernel, and remove withdrawn ones."""
        changed, self._changed = self._changed, set()
        for key in changed:
            self._kernel.write_megaflow(
                key, [megaflow.pack() for megaflow in self._by_key.get(key, _NONE).values()]
            )

    def withdraw(self, megaflows: Iterable[Megaflow]) -> None:
        """Make no new entries from them; those that there are stay in use until they are killed."""
        for megaflow in megaflows:
            alike = self._by_key.get(megaflow.key, _NONE)
            if alike.get(megaflow.asked) is megaflow:
                del alike[megaflow.asked]
                if not alike:
                    del self._by_key[megaflow.key]
                self._changed.add(megaflow.key)
            self._table.release(megaflow.dependencies, megaflow)

    def kill(self, megaflows: Iterable[Megaflow]) -> None:
        """Let all entries that were made from them die."""
        doomed = [megaflow for megaflow in megaflows if megaflow.generation in self._alive]
        self.withdraw(doomed)
        self.flush()
        for megaflow in doomed:
            del self._alive[megaflow.generation]
            alike = self._of_ingress[megaflow.flow.ingress]
            del alike[megaflow.generation]
            if not alike:
                del self._of_ingress[megaflow.flow.ingress]
            index = megaflow.generation % INDICES
            self._turn(index)
            self._free.append(index)

    def kill_unowned(self) -> None:
        """Let entries die that were made from an earlier agent's megaflows."""
        for index, generation in enumerate(self._generations):
            if index and generation and generation not in self._alive:
                self._turn(index)


def _is_simple(flow: FlowKey) -> bool:
    if flow.frag != Fragment.NONE or flow.eth_type not in (IP4, IP6) or flow.proto in _ICMPS:
        return False
    return flow.sport not in WATCHED_PORTS and flow.dport not in WATCHED_PORTS
