"""Streams whose own end loses power: they are measured, but nothing can be expected of them. Pure.

A sender and a receiver live in the network namespace that their node had when traffic began. It dies
with the node's power, and the node returns with a fresh one: the stream stays dead to the end of the
run, which says nothing of the network.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from labctl.scenario.kinds.action import Power

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from labctl.model.lab import Lab
    from labctl.scenario.model import Scenario, TrafficSpec

__all__ = ["check_mortal"]


def check_mortal(scenario: Scenario, lab: Lab) -> Iterator[tuple[tuple[str | int, ...], str, str]]:
    """Expectations and waits on a stream with an end that has lost its power, or will.

    Yields:
        ``(path in the file, message, hint)``.
    """
    hosts = {node.name: str(node.params.get("host", "")) for node in lab.nodes if node.acts_as == "guest"}
    dark: dict[str, int] = {}
    for step in scenario.timeline:
        waited = None if step.after is None else step.after.streams()
        if step.after is not None and waited is not None:
            place = ("timeline", step.entry, "after", step.after.kind)
            yield from _told(scenario, place, waited, dark, hosts)
        # A frozen node keeps its network namespace, and with it the sockets of the stream.
        if step.action.power is Power.OFF and not step.action.traits["silent"]:
            dark.setdefault(step.action.target[0], step.entry)
    # What is steady is asked for again after the last heal, when the stream is dead.
    for index, condition in enumerate(scenario.steady):
        if (streams := condition.streams()) is not None:
            yield from _told(scenario, ("steady", index, condition.kind), streams, dark, hosts)
    for index, expected in enumerate(scenario.expect):
        yield from _told(scenario, ("expect", index, expected.kind), expected.streams, dark, hosts)


def _told(
    scenario: Scenario,
    place: tuple[str | int, ...],
    streams: tuple[str, ...],
    dark: Mapping[str, int],
    hosts: Mapping[str, str],
) -> Iterator[tuple[tuple[str | int, ...], str, str]]:
    others: list[str] = []
    dead: tuple[TrafficSpec, str, str] | None = None
    for spec in scenario.traffic:
        chosen = spec.chosen_by(streams)
        # Whoever has the address answers an echo request: no socket of ours dies with that node.
        sockets = (spec.source,) if spec.proto == "icmp" else (spec.source, spec.destination)
        ends = ((end, power) for end in sockets for power in (end, hosts.get(end, "")))
        found = next(((end, power) for end, power in ends if power in dark), None)
        if found is None:
            others.append(spec.name)
        elif chosen and dead is None:
            dead = (spec, *found)
    if dead is None:
        return
    spec, end, power = dead
    where = end if end == power else f"{end} on {power}"
    message = (
        f"stream {spec.name!r} has an end at {where}, which loses its power in step {dark[power] + 1}:"
        " the stream ends with it"
    )
    hint = (
        f"name the streams whose ends keep power: [{', '.join(others)}]"
        if others
        else "take traffic between other nodes"
    )
    yield place, message, hint
