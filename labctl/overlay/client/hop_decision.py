"""The agents' decisions about a packet: from host to host, as far as the overlay carries it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from labctl.overlay.flow import FROM_TUNNEL
from labctl.overlay.packet import IP4, checksum, mac_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Ask = Callable[[str, Mapping[str, Any]], Mapping[str, Any]]
    """Host and request -> answer of its agent."""

__all__ = ["HopDecision", "follow", "with_entries"]

_MOST_HOSTS = 4


@dataclass(frozen=True, slots=True)
class HopDecision:
    """One host's decision about the packet.

    Attributes:
        host: node.
        ingress: key of the port that the packet came in by; :data:`FROM_TUNNEL` added when it came
            out of a tunnel on its way to that port.
        decision: ``forward``, ``drop``, ``answer`` or ``unknown``.
        steps: virtual device, and its message.
        reason: why it was dropped, or what the answer is.
        outputs: where it goes: ``key``, ``port``, ``remote`` (empty for a port of this host).
        entry: the kernel's entry before the packet was sent; None if there was none.
        entry_after: the same, after.
        asked_before: whether ``entry`` is known: nobody knows beforehand which gateway it will be.
        next_host: where the tunnel leads; empty if it leads nowhere or that is not known.
    """

    host: str
    ingress: int
    decision: str
    steps: tuple[tuple[str, str], ...]
    reason: str = ""
    outputs: tuple[Mapping[str, Any], ...] = ()
    entry: Mapping[str, Any] | None = None
    entry_after: Mapping[str, Any] | None = None
    asked_before: bool = True
    next_host: str = ""


def follow(
    ask: Ask, host_of: Callable[[str], str], host: str, ingress: int, frame: bytes
) -> tuple[HopDecision, ...]:
    """Query the first host, then the host that its tunnel leads to, and so on.

    Args:
        ask: an agent.
        host_of: underlay address -> node; empty if nobody can tell (yet).
        host: the first.
        ingress: key of the port that the frame comes in by.
        frame: as it comes in.
    """
    found: list[HopDecision] = []
    todo = [(host, ingress, frame)]
    while todo and len(found) < _MOST_HOSTS:
        host, ingress, frame = todo.pop(0)
        reply = ask(host, {"ask": "trace", "ingress": ingress, "frame": frame.hex()})
        hop = _hop_decision(host, ingress, reply)
        for output in hop.outputs:
            there = host_of(str(output["remote"])) if output["remote"] else ""
            if there:
                hop = replace(hop, next_host=there)
                todo.append((there, FROM_TUNNEL | int(output["key"]), _rewritten(frame, reply)))
        found.append(hop)
    return tuple(found)


def with_entries(before: Sequence[HopDecision], after: Sequence[HopDecision]) -> tuple[HopDecision, ...]:
    """What was decided before the packet was sent, with the entries that stood after it.

    Hosts that could not be asked before (nobody knew which gateway it would be) stand as they were
    found after.
    """
    earlier = {(hop.host, hop.ingress): hop for hop in before}
    merged = []
    for hop in after:
        known = earlier.pop((hop.host, hop.ingress), None)
        base = known if known is not None else replace(hop, entry=None, asked_before=False)
        merged.append(replace(base, entry_after=hop.entry, next_host=hop.next_host))
    return (*merged, *earlier.values())


def _hop_decision(host: str, ingress: int, reply: Mapping[str, Any]) -> HopDecision:
    return HopDecision(
        host=host,
        ingress=ingress,
        decision=str(reply["decision"]),
        steps=tuple((str(step["device"]), str(step["message"])) for step in reply["steps"]),
        reason=str(reply.get("reason", "")),
        outputs=tuple(reply.get("outputs", ())),
        entry=reply.get("entry"),
    )


def _rewritten(frame: bytes, reply: Mapping[str, Any]) -> bytes:
    """The frame as it leaves: new MACs, lower TTL."""
    new = bytearray(mac_bytes(reply["dmac"]) + mac_bytes(reply["smac"]) + frame[12:])
    lower = int(reply["ttl"])
    if int.from_bytes(new[12:14]) == IP4:
        new[22] -= lower
        new[24:26] = bytes(2)
        new[24:26] = checksum(bytes(new[14 : 14 + (new[14] & 15) * 4])).to_bytes(2)
    else:
        new[21] -= lower
    return bytes(new)
