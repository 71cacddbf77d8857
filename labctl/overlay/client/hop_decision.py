"""What the agents decide of a packet: from host to host, as far as the overlay carries it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from labctl.overlay.flow import FROM_TUNNEL
from labctl.overlay.packet import IP4, checksum, mac_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Ask = Callable[[str, Mapping[str, Any]], Mapping[str, Any]]
    """Host and request -> answer of its agent."""

__all__ = ["Verdict", "follow", "with_entries"]

_MOST_HOSTS = 4


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one host's agent says.

    Attributes:
        host: node.
        ingress: key of the port that the packet came in by; :data:`FROM_TUNNEL` added when it came
            out of a tunnel on its way to that port.
        decision: ``forward``, ``drop``, ``answer`` or ``unknown``.
        steps: virtual device, and what it said.
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
) -> tuple[Verdict, ...]:
    """Ask the first host, then the one that its tunnel leads to, and so on.

    Args:
        ask: an agent.
        host_of: underlay address -> node; empty if nobody can tell (yet).
        host: the first.
        ingress: key of the port that the frame comes in by.
        frame: as it comes in.
    """
    found: list[Verdict] = []
    todo = [(host, ingress, frame)]
    while todo and len(found) < _MOST_HOSTS:
        host, ingress, frame = todo.pop(0)
        told = ask(host, {"ask": "trace", "ingress": ingress, "frame": frame.hex()})
        verdict = _verdict(host, ingress, told)
        for output in verdict.outputs:
            there = host_of(str(output["remote"])) if output["remote"] else ""
            if there:
                verdict = replace(verdict, next_host=there)
                todo.append((there, FROM_TUNNEL | int(output["key"]), _rewritten(frame, told)))
        found.append(verdict)
    return tuple(found)


def with_entries(before: Sequence[Verdict], after: Sequence[Verdict]) -> tuple[Verdict, ...]:
    """What was decided before the packet was sent, with the entries that stood after it.

    Hosts that could not be asked before (nobody knew which gateway it would be) stand as they were
    found after.
    """
    earlier = {(verdict.host, verdict.ingress): verdict for verdict in before}
    merged = []
    for verdict in after:
        known = earlier.pop((verdict.host, verdict.ingress), None)
        base = known if known is not None else replace(verdict, entry=None, asked_before=False)
        merged.append(replace(base, entry_after=verdict.entry, next_host=verdict.next_host))
    return (*merged, *earlier.values())


def _verdict(host: str, ingress: int, told: Mapping[str, Any]) -> Verdict:
    return Verdict(
        host=host,
        ingress=ingress,
        decision=str(told["decision"]),
        steps=tuple((str(step["device"]), str(step["said"])) for step in told["steps"]),
        reason=str(told.get("reason", "")),
        outputs=tuple(told.get("outputs", ())),
        entry=told.get("entry"),
    )


def _rewritten(frame: bytes, told: Mapping[str, Any]) -> bytes:
    """The frame as it leaves: new MACs, lower TTL."""
    new = bytearray(mac_bytes(told["dmac"]) + mac_bytes(told["smac"]) + frame[12:])
    lower = int(told["ttl"])
    if int.from_bytes(new[12:14]) == IP4:
        new[22] -= lower
        new[24:26] = bytes(2)
        new[24:26] = checksum(bytes(new[14 : 14 + (new[14] & 15) * 4])).to_bytes(2)
    else:
        new[21] -= lower
    return bytes(new)
