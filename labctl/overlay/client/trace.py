"""Traces a packet: queries the agents' decisions, then sends the packet and observes it at each hop."""

from __future__ import annotations

import secrets
import socket
import time
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Any

from labctl.errors import ActionError
from labctl.linux.netns import inside
from labctl.overlay.agent.kernel import KERNEL_SIDE, OVERLAY_SIDE
from labctl.overlay.client.agents import Agents
from labctl.overlay.client.capture import MultiCapture
from labctl.overlay.client.hop_decision import HopDecision, follow, with_entries
from labctl.overlay.client.inventory import Inventory
from labctl.overlay.client.observation import Observation, in_words
from labctl.overlay.client.packet import TOKEN_BYTES, as_frame, ip_packet
from labctl.overlay.packet import parse

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from labctl.lab.runtime import Runtime
    from labctl.lab.state import LabDir
    from labctl.overlay.client.packet_spec import TracePacket

__all__ = ["Trace", "trace"]

TUNNEL_PORT = 6677
_POLL_S = 0.01
_ANSWER_S = 0.25
_NO_MAC = "00:00:00:00:00:00"
_V4 = 4


@dataclass(frozen=True, slots=True)
class Trace:
    """The life of one packet.

    Attributes:
        source: node or VM that sent it.
        target: node or VM that has its destination address; empty if nobody known has.
        packet: it, in words.
        hop_decisions: of the hosts, in order.
        observations: in order of time, answers too.
        arrived: whether it was seen to come to its target.
        answered: whether an answer was seen to come to its source.
        end: in a line, what became of it.
        whole: whether everything that passed could be captured.
    """

    source: str
    target: str
    packet: str
    hop_decisions: tuple[HopDecision, ...]
    observations: tuple[Observation, ...]
    arrived: bool
    answered: bool
    end: str
    whole: bool

    @property
    def well(self) -> bool:
        """Whether it arrived, or somebody answered in its target's place: a virtual router, say."""
        answers = (each for each in self.observations if each.answer)
        return self.arrived or (self.answered and any("echo reply" in each.summary for each in answers))


def trace(runtime: Runtime, lab: LabDir, source: str, spec: TracePacket, wait_s: float = 1.0) -> Trace:
    """Query the agents, send the packet, capture on every interface, query again.

    Args:
        runtime: that runs the lab.
        lab: the lab.
        source: a node or a VM.
        spec: the packet.
        wait_s: how long it is waited for.

    Raises:
        InputError: nobody has that name.
        ActionError: the lab has no overlay, no agent answers, or the packet could not be sent.
    """
    agents = Agents(runtime, lab)
    inventory = Inventory.find(runtime, lab, agents, (source, spec.target))
    version = spec.version or _V4
    here = inventory.address(source, version, "FROM")
    there = inventory.address(spec.target, version, "PACKET")
    target = inventory.owner(there)
    token = secrets.token_bytes(TOKEN_BYTES)
    packet = ip_packet(spec, spec.source or here, there, token)
    port = inventory.port(source)
    frame = as_frame(packet, *_macs(inventory, port, there))
    sent = parse(frame)
    before: tuple[HopDecision, ...] = ()
    if port is not None:
        before = follow(agents.ask, inventory.host_at, port["host"], port["key"], frame)
    with MultiCapture(inventory.namespaces(), sent, token, TUNNEL_PORT) as captured:
        _send(inventory.netns(source), packet, there)
        _listen(captured, source, target, wait_s)
        seen, whole = tuple(captured.observations), not captured.overflowed
    after = _after(agents, inventory, port, frame, seen)
    hops = with_entries(before, after)
    arrived = _came(seen, target, answer=False)
    answered = _came(seen, source, answer=True)
    end = _end(hops, seen, target=target, there=there, arrived=arrived, answered=answered)
    return Trace(source, target, in_words(sent), hops, seen, arrived, answered, end, whole)


def _macs(inventory: Inventory, port: Mapping[str, Any] | None, there: str) -> tuple[str, str]:
    """To whom a VM would send it on its network: a neighbour, or its router."""
    if port is None:
        return _NO_MAC, _NO_MAC
    beside = any(ip_address(there) in ip_network(prefix) for prefix in port["prefixes"])
    neighbour = inventory.port(inventory.owner(there))
    if beside and neighbour is not None and neighbour["network"] == port["network"]:
        return neighbour["mac"], port["mac"]
    return (port["routers"] or [_NO_MAC])[0], port["mac"]


def _after(
    agents: Agents,
    inventory: Inventory,
    port: Mapping[str, Any] | None,
    frame: bytes,
    seen: Sequence[Observation],
) -> tuple[HopDecision, ...]:
    """The same questions once the packet has passed: now it is known which gateway it took."""
    passed = [each.node for each in seen if agents.hosts.get(each.node) == "gateway" and not each.answer]

    def host_of(address: str) -> str:
        return inventory.host_at(address) or (passed[0] if passed else "")

    if port is not None:
        return follow(agents.ask, host_of, port["host"], port["key"], frame)
    for each in seen:
        # From the outside: where a gateway's kernel handed it to the overlay.
        if each.interface in (OVERLAY_SIDE, KERNEL_SIDE) and not each.answer:
            return follow(agents.ask, host_of, each.node, inventory.uplink_key, each.frame)
    return ()


def _send(netns: Path, packet: bytes, there: str) -> None:
    """By the sender's own kernel: its routes, its neighbours, its MTU."""
    four = ip_address(there).version == _V4
    family = socket.AF_INET if four else socket.AF_INET6
    where: tuple[Any, ...] = (there, 0) if four else (there, 0, 0, 0)

    def out() -> None:
        with socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
            raw.sendto(packet, where)

    try:
        inside(netns, out)
    except OSError as error:
        raise ActionError(f"the sender's own kernel refuses the packet: {error.strerror}") from error


def _listen(captured: MultiCapture, source: str, target: str, wait_s: float) -> None:
    """Until there is an answer, or nothing more is to be expected."""
    began = time.monotonic()
    end = began + wait_s
    while (now := time.monotonic()) < end:
        time.sleep(_POLL_S)
        captured.poll()
        if _came(captured.observations, source, answer=True):
            return
        if _came(captured.observations, target, answer=False):
            end = min(end, now + _ANSWER_S)
    captured.poll()


def _came(seen: Sequence[Observation], name: str, *, answer: bool) -> bool:
    return any(each.node == name and not each.outgoing and each.answer is answer for each in seen)


def _end(
    hops: Sequence[HopDecision],
    seen: Sequence[Observation],
    *,
    target: str,
    there: str,
    arrived: bool,
    answered: bool,
) -> str:
    way = [each for each in seen if not each.answer]
    answer = next((each for each in seen if each.answer), None)
    reply = f"; answered: {answer.summary}" if answered and answer is not None else ""
    if arrived:
        took = (next(e for e in way if e.node == target and not e.outgoing).t_ns - way[0].t_ns) / 1e6
        return f"arrived at {target} after {took:.3f} ms{reply}"
    dropped = next((hop for hop in hops if hop.decision in ("drop", "unknown")), None)
    if dropped is not None:
        return f"dropped on {dropped.host}: {dropped.reason or dropped.decision}"
    if answered and answer is not None:
        return f"answered without getting there: {answer.summary}, from {answer.node}"
    if not way:
        return "the sender's own kernel sent nothing: it has no route, or nobody answered for the next hop"
    last = way[-1]
    what = "left" if last.outgoing else "came to"
    return f"not seen to arrive at {target or there}: last seen as it {what} {last.node}:{last.interface}"
