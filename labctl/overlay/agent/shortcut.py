"""Decisions used again for flows that differ in nothing that they were made from.

A decision says which port numbers it was made from (:class:`labctl.overlay.flow.Ports`). Besides,
port numbers are part of the connections that the firewall asked about. So a new flow that differs
from an earlier one just in port numbers that were not read, and gets the same answers about its own
connections, meets the same decision, about its own connections. It is found here without simulating
it: a client's next connection to a service, a server's next client.

Left to the simulation: fragments, ICMP other than echo, the ports of DHCP (which anti-spoofing and
the DHCP server look at), packets that are longer or older than the entry allows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from labctl.overlay.flow import ConnKey, Drop, Forward, Fragment, Ports
from labctl.overlay.packet import ICMP, ICMP6, IP4, IP6

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from labctl.overlay.agent.table import Known, Reason
    from labctl.overlay.flow import Packet

__all__ = ["Asked", "Made", "Shape", "Shortcuts"]

_DHCP = frozenset((67, 68, 546, 547))
_ECHO = {ICMP: frozenset((0, 8 << 8)), ICMP6: frozenset((128 << 8, 129 << 8))}
_MOST = 65536
_NONE: dict[tuple[bool, ...], Shape] = {}

Asked = list[tuple[ConnKey, bool]]
"""Connections that a simulation asked about, with the answers."""


class _Blank(NamedTuple):
    """A connection with its ports left out."""

    port: int
    proto: int
    local: bytes
    remote: bytes
    inbound: bool
    is_sender: bool

    def fill(self, packet: Packet) -> ConnKey:
        if self.proto in _ECHO:
            local, remote = packet.dport, 0
        elif self.is_sender:
            local, remote = packet.sport, packet.dport
        else:
            local, remote = packet.dport, packet.sport
        return ConnKey(self.port, self.proto, local, remote, self.local, self.remote, self.inbound)


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


@dataclass(slots=True, eq=False)
class Shape:
    """A decision for any port numbers that it was not made from.

    Attributes:
        known: of the flow that it was first made for.
        reason: what it was made from.
        asked: connections that were asked about, with the answers.
        conns: which of them packets keep alive.
        hangs_on: which of them it hangs on.
        length: longest packet that it is known to hold for.
        ttl: least TTL that it is known to hold for.
    """

    known: Known
    reason: Reason
    asked: tuple[tuple[_Blank, bool], ...]
    conns: tuple[_Blank, ...]
    hangs_on: tuple[_Blank, ...]
    length: int
    ttl: int


class Shortcuts:
    """Shapes by everything that they were made from."""

    def __init__(self) -> None:
        # Below each key by the answers: what opens a connection, and what returns on one.
        self._shapes: dict[tuple[object, ...], dict[tuple[bool, ...], Shape]] = {}

    def __len__(self) -> int:
        return len(self._shapes)

    def clear(self) -> None:
        """Facts have changed: no decision is used again."""
        self._shapes.clear()

    def find(
        self, ingress: int, packet: Packet, established: Callable[[ConnKey], bool]
    ) -> tuple[Shape, tuple[ConnKey, ...], tuple[ConnKey, ...]] | None:
        """The shape that a packet fits, with its own connections: kept alive, and hung on."""
        if not _is_simple(packet):
            return None
        for read in (Ports.NONE, Ports.DESTINATION, Ports.SOURCE):
            for shape in self._shapes.get(_key(ingress, packet, read), _NONE).values():
                if packet.length > shape.length or packet.ttl < shape.ttl:
                    continue
                if all(established(blank.fill(packet)) is answer for blank, answer in shape.asked):
                    conns = tuple([blank.fill(packet) for blank in shape.conns])
                    return shape, conns, tuple([blank.fill(packet) for blank in shape.hangs_on])
        return None

    def keep(self, ingress: int, packet: Packet, made: Made) -> None:
        """Remember a decision for others like it, where that can be done."""
        decision, known, reason, asked = made
        if decision.read is Ports.BOTH or not _is_simple(packet):
            return
        blanks = {conn: _blank(conn, packet) for conn, _ in asked}
        blanks |= {conn: _blank(conn, packet) for conn in (*known.conns, *known.hangs_on)}
        if any(blank is None or blank.fill(packet) != conn for conn, blank in blanks.items()):
            return
        if len(self._shapes) >= _MOST:
            self._shapes.clear()
        length = (known.entry.mtu or 65535) if isinstance(decision, Forward) else packet.length
        ttl = known.ttl + 1 if isinstance(decision, Forward) else packet.ttl
        alike = self._shapes.setdefault(_key(ingress, packet, decision.read), {})
        alike[tuple(answer for _, answer in asked)] = Shape(
            known,
            reason,
            tuple((blank, answer) for conn, answer in asked if (blank := blanks[conn])),
            _of(known.conns, blanks),
            _of(known.hangs_on, blanks),
            length,
            ttl,
        )


def _of(conns: Iterable[ConnKey], blanks: dict[ConnKey, _Blank | None]) -> tuple[_Blank, ...]:
    return tuple(blank for conn in conns if (blank := blanks[conn]))


def _is_simple(packet: Packet) -> bool:
    if packet.frag != Fragment.NONE or packet.eth_type not in (IP4, IP6):
        return False
    if packet.proto in _ECHO:
        return packet.sport in _ECHO[packet.proto]
    return packet.sport not in _DHCP and packet.dport not in _DHCP


def _blank(conn: ConnKey, packet: Packet) -> _Blank | None:
    if (conn.local, conn.remote) == (packet.src, packet.dst):
        is_sender = True
    elif (conn.local, conn.remote) == (packet.dst, packet.src):
        is_sender = False
    else:
        return None
    return _Blank(conn.port, conn.proto, conn.local, conn.remote, conn.inbound, is_sender)


def _key(ingress: int, packet: Packet, read: Ports) -> tuple[object, ...]:
    """All that a decision was made from; of ICMP echo the type always."""
    sport = packet.sport if read is Ports.SOURCE or packet.proto in _ECHO else -1
    dport = packet.dport if read is Ports.DESTINATION else -1
    ends = (packet.dmac, packet.smac, packet.src, packet.dst)
    return (ingress, packet.eth_type, packet.proto, sport, dport, *ends)
