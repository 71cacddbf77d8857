"""The state of one packet in the simulation: facts read (tags), trace steps, devices counted, connections."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from labctl.overlay.flow import Answer, Drop, Forward, Match, ReadPorts, TraceStep, Unknown

if TYPE_CHECKING:
    from collections.abc import Callable

    from labctl.overlay.flow import ConnKey, Packet, ToPort, ToTunnel
    from labctl.overlay.simulation.topology import VirtualTopology

__all__ = ["MAX_DEVICES", "Walk"]

MAX_DEVICES = 12
"""A packet that has been through this many virtual devices is in a loop."""

_NO_LIMIT = 65535


@dataclass(slots=True)
class Walk:
    """What one run of the simulation knows; every part of it works on this.

    Attributes:
        topology: the snapshot.
        host: name of the host that simulates.
        packet: as it came in; never changed.
        established: whether a connection is known.
        tags: of every fact read so far.
        steps: None where nobody asked for an explanation.
        devices: virtual devices passed.
        ttl: by how much TTL is lowered so far.
        mtu: the least of all networks passed, bytes of IP packet.
        conns: connections that the packet belongs to.
        match: for which packets the decision will hold.
        cacheable: whether a flow entry may be made of the decision.
        read: port numbers that rules were compared with.
    """

    topology: VirtualTopology
    host: str
    packet: Packet
    established: Callable[[ConnKey], bool]
    tags: set[str] = field(default_factory=set)
    steps: list[TraceStep] | None = None
    devices: int = 0
    ttl: int = 0
    mtu: int = _NO_LIMIT
    conns: list[ConnKey] = field(default_factory=list)
    match: Match = Match.EXACT
    cacheable: bool = True
    read: ReadPorts = ReadPorts.NONE

    def say(self, device: str, text: str, *args: object) -> None:
        """Note a step; ``args`` go into ``text`` only when somebody wants to read it."""
        if self.steps is not None:
            self.steps.append(TraceStep(device, text % args if args else text))

    def enter(self, device: str) -> Drop | None:
        """Count a virtual device; a Drop when there were too many."""
        self.devices += 1
        if self.devices > MAX_DEVICES:
            return self.drop(device, "too many devices")
        return None

    def drop(self, device: str, reason: str, *, cacheable: bool = True) -> Drop:
        """The packet ends here, in silence."""
        self.say(device, "drop: %s", reason)
        return Drop(reason, frozenset(self.tags), cacheable and self.cacheable, self._steps(), self.read)

    def answer(self, device: str, what: str, *frames: bytes, hold: bool = False) -> Answer:
        """The packet ends here, and frames go back."""
        self.say(device, "answer: %s", what)
        return Answer(frames, what, frozenset(self.tags), hold, self._steps())

    def unknown(self, device: str, waits_for: str) -> Unknown:
        """The packet has to wait."""
        self.say(device, "wait for %s", waits_for)
        return Unknown(waits_for, frozenset(self.tags), self._steps())

    def missing(self, device: str, what: str) -> Drop | Unknown:
        """Something is not there: wait for it while the mirror is not complete, else drop."""
        if self.topology.complete:
            return self.drop(device, f"no {what}")
        return self.unknown(device, what)

    def forward(self, outputs: tuple[ToPort | ToTunnel, ...], dmac: bytes, smac: bytes) -> Forward:
        """The packet goes on."""
        return Forward(
            outputs,
            dmac,
            smac,
            self.ttl,
            self.mtu,
            tuple(self.conns),
            frozenset(self.tags),
            self.match,
            self.cacheable,
            self._steps(),
            self.read,
        )

    def _steps(self) -> tuple[TraceStep, ...]:
        return tuple(self.steps or ())
