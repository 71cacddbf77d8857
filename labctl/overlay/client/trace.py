"""The life of a packet: what the agents decide of it, and then the packet itself, seen at each hop."""

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
from labctl.overlay.client.capture import Ears
from labctl.overlay.client.hop_decision import Verdict, follow, with_entries
from labctl.overlay.client.inventory import Places
from labctl.overlay.client.observation import Sighting, in_words
from labctl.overlay.client.packet import TOKEN_BYTES, as_frame, ip_packet
from labctl.overlay.packet import parse

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from labctl.lab.runtime import Runtime
    from labctl.lab.state import LabDir
    from labctl.overlay.client.packet_spec import Wanted

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
        said: the packet in words.
        verdicts: of the hosts, in order.
        sightings: in order of time, answers too.
        arrived: whether it was seen to come to its target.
        answered: whether an answer was seen to come to its source.
        end: in a line, what became of it.
        whole: whether everything that passed could be heard.
    """

    source: str
    target: str
    said: str
    verdicts: tuple[Verdict, ...]
    sightings: tuple[Sighting, ...]
    arrived: bool
    answered: bool
    end: str
    whole: bool

    @property
    def well(self) -> bool:
        """Whether it arrived, or somebody answered in its target's place: a virtual router, say."""
        answers = (each for each in self.sightings if each.answer)
        return self.arrived or (self.answered and any("echo reply" in each.said for each in answers))


def trace(runtime: Runtime, lab: LabDir, source: str, wanted: Wanted, wait_s: float = 1.0) -> Trace:
    """Ask the agents, send the packet, listen everywhere, ask again.

    Args:
        runtime: that runs the lab.
        lab: the lab.
        source: a node or a VM.
        wanted: the packet.
        wait_s: how long it is waited for.

    Raises:
        InputError: nobody has that name.
        ActionError: the lab has no overlay, no agent answers, or the packet could not be sent.
    """
    agents = Agents(runtime, lab)
    places = Places.find(runtime, lab, agents, (source, wanted.target))
    version = wanted.version or _V4
    here = places.address(source, version, "FROM")
    there = places.address(wanted.target, version, "PACKET")
    target = places.owner(there)
    token = secrets.token_bytes(TOKEN_BYTES)
    packet = ip_packet(wanted, wanted.source or here, there, token)
    port = places.port(source)
    frame = as_frame(packet, *_macs(places, port, there))
    sent = parse(frame)
    before: tuple[Verdict, ...] = ()
    if port is not None:
        before = follow(agents.ask, places.host_at, port["host"], port["key"], frame)
    with Ears(places.namespaces(), sent, token, TUNNEL_PORT) as ears:
        _send(places.netns(source), packet, there)
        _listen(ears, source, target, wait_s)
        seen, whole = tuple(ears.heard), not ears.deaf
    after = _after(agents, places, port, frame, seen)
    verdicts = with_entries(before, after)
    arrived = _came(seen, target, answer=False)
    answered = _came(seen, source, answer=True)
    end = _end(verdicts, seen, target=target, there=there, arrived=arrived, answered=answered)
    return Trace(source, target, in_words(sent), verdicts, seen, arrived, answered, end, whole)


def _macs(places: Places, port: Mapping[str, Any] | None, there: str) -> tuple[str, str]:
    """To whom a VM would send it on its network: a neighbour, or its router."""
    if port is None:
        return _NO_MAC, _NO_MAC
    beside = any(ip_address(there) in ip_network(prefix) for prefix in port["prefixes"])
    neighbour = places.port(places.owner(there))
    if beside and neighbour is not None and neighbour["network"] == port["network"]:
        return neighbour["mac"], port["mac"]
    return (port["routers"] or [_NO_MAC])[0], port["mac"]


def _after(
    agents: Agents, places: Places, port: Mapping[str, Any] | None, frame: bytes, seen: Sequence[Sighting]
) -> tuple[Verdict, ...]:
    """The same questions once the packet has passed: now it is known which gateway it took."""
    passed = [each.node for each in seen if agents.hosts.get(each.node) == "gateway" and not each.answer]

    def host_of(address: str) -> str:
        return places.host_at(address) or (passed[0] if passed else "")

    if port is not None:
        return follow(agents.ask, host_of, port["host"], port["key"], frame)
    for each in seen:
        # From the outside: where a gateway's kernel handed it to the overlay.
        if each.interface in (OVERLAY_SIDE, KERNEL_SIDE) and not each.answer:
            return follow(agents.ask, host_of, each.node, places.uplink_key, each.frame)
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


def _listen(ears: Ears, source: str, target: str, wait_s: float) -> None:
    """Until there is an answer, or nothing more is to be expected."""
    began = time.monotonic()
    end = began + wait_s
    while (now := time.monotonic()) < end:
        time.sleep(_POLL_S)
        ears.listen()
        if _came(ears.heard, source, answer=True):
            return
        if _came(ears.heard, target, answer=False):
            end = min(end, now + _ANSWER_S)
    ears.listen()


def _came(seen: Sequence[Sighting], name: str, *, answer: bool) -> bool:
    return any(each.node == name and not each.outgoing and each.answer is answer for each in seen)


def _end(
    verdicts: Sequence[Verdict],
    seen: Sequence[Sighting],
    *,
    target: str,
    there: str,
    arrived: bool,
    answered: bool,
) -> str:
    way = [each for each in seen if not each.answer]
    told = next((each for each in seen if each.answer), None)
    reply = f"; answered: {told.said}" if answered and told is not None else ""
    if arrived:
        took = (next(e for e in way if e.node == target and not e.outgoing).t_ns - way[0].t_ns) / 1e6
        return f"arrived at {target} after {took:.3f} ms{reply}"
    dropped = next((verdict for verdict in verdicts if verdict.decision in ("drop", "unknown")), None)
    if dropped is not None:
        return f"dropped on {dropped.host}: {dropped.reason or dropped.decision}"
    if answered and told is not None:
        return f"answered without getting there: {told.said}, from {told.node}"
    if not way:
        return "the sender's own kernel sent nothing: it has no route, or nobody answered for the next hop"
    last = way[-1]
    what = "left" if last.outgoing else "came to"
    return f"not seen to arrive at {target or there}: last seen as it {what} {last.node}:{last.interface}"
