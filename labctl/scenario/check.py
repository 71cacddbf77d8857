"""What can be wrong with a scenario whose form is right: by itself, and against its topology.

Each check yields ``(path in the file, message, hint)``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from labctl.document.durations import format_duration
from labctl.document.hints import nearest
from labctl.scenario.addresses import addresses_of
from labctl.scenario.endpoint_survival import check_mortal
from labctl.scenario.kinds.action import Power
from labctl.scenario.kinds.registry import ACTIONS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from labctl.model.lab import Lab
    from labctl.scenario.kinds.condition import Condition
    from labctl.scenario.model import (
        Scenario,
        Step,
        TrafficSpec,
    )

__all__ = ["Wrong", "check_against_lab", "check_by_itself"]

Wrong = tuple[tuple[str | int, ...], str, str]


def check_by_itself(scenario: Scenario) -> Iterator[Wrong]:
    """Names that occur twice, streams that do not exist, times that go backwards, impossible orders."""
    yield from _twice(scenario.traffic)
    yield from _streams(scenario)
    yield from _backwards(scenario.timeline)
    yield from _order(scenario.timeline)


def check_against_lab(scenario: Scenario, lab: Lab) -> Iterator[Wrong]:
    """Nodes and links that the topology does not have, and nodes that cannot take traffic."""
    names = [node.name for node in lab.nodes]
    yield from _ends(scenario, lab, names)
    for index, wanted in enumerate(scenario.collect):
        if wanted.node not in names:
            yield ("collect", index, "node"), f"unknown node {wanted.node!r}", nearest(wanted.node, names)
    for path, condition in _conditions(scenario):
        for keys, node in condition.nodes():
            if node not in names:
                yield (*path, *keys), f"unknown node {node!r}", nearest(node, names)
    # What takes a fault back has the same target: it is told of once.
    wrongs = (wrong for step in scenario.timeline for wrong in _target(step, lab, names))
    yield from dict.fromkeys(wrongs)
    yield from check_mortal(scenario, lab)


def _ends(scenario: Scenario, lab: Lab, names: list[str]) -> Iterator[Wrong]:
    """Where traffic comes from and goes to."""
    for index, spec in _entries(scenario.traffic):
        ends = (
            ("from", spec.source, spec.source_address),
            ("to", spec.destination, spec.destination_address),
        )
        for key, node, given in ends:
            place = ("traffic", index, key)
            if node not in names:
                yield place, f"unknown node {node!r}", nearest(node, names)
                continue
            found = lab.node(node)
            for family in spec.families if not given else ():
                if (found.loopback4 if family == 4 else found.loopback6) is None:  # noqa: PLR2004 - IP version
                    yield (
                        place,
                        f"{node} ({found.role}) has no IPv{family} address of its own",
                        f"give {key}-address",
                    )
        try:
            _ = addresses_of(spec.addresses, lab.vars, spec.families[0]) if spec.addresses else ()
        except ValueError as error:
            yield ("traffic", index, "addresses"), str(error), ""


def _twice(traffic: Iterable[TrafficSpec]) -> Iterator[Wrong]:
    """Names that two entries have, as written or as they follow; streams that end where they begin."""
    names: dict[int, dict[str, None]] = {}
    for place, spec in enumerate(traffic):
        index = place if spec.entry < 0 else spec.entry
        if spec.source == spec.destination and index not in names:
            name = spec.pair or spec.name
            yield ("traffic", index, "to"), f"stream {name!r} goes from {spec.source} to itself", ""
        # What was written comes first: that is what is told.
        own = filter(None, (spec.pair, spec.name, *spec.stream_names))
        names.setdefault(index, {}).update(dict.fromkeys(own))
    seen: set[str] = set()
    for index, own_names in names.items():
        twice = next((name for name in own_names if name in seen), None)
        if twice is not None:
            hint = "every stream needs its own name"
            yield ("traffic", index, "name"), f"stream {twice!r} is there twice", hint
        seen.update(own_names)


def _entries(traffic: Iterable[TrafficSpec]) -> Iterator[tuple[int, TrafficSpec]]:
    """One of each entry of the file, with its place: what comes back has the same ends."""
    for place, spec in enumerate(traffic):
        if spec.name != f"{spec.pair}-back":
            yield (place if spec.entry < 0 else spec.entry), spec


def _streams(scenario: Scenario) -> Iterator[Wrong]:
    known = {
        name
        for spec in scenario.traffic
        for name in (spec.name, *spec.stream_names, *filter(None, (spec.pair,)))
    }
    selected: list[tuple[tuple[str | int, ...], tuple[str, ...]]] = [
        ((*path, condition.kind), streams)
        for path, condition in _conditions(scenario)
        if (streams := condition.streams()) is not None
    ]
    selected += [
        (("expect", index, expected.kind), expected.streams) for index, expected in enumerate(scenario.expect)
    ]
    for path, names in selected:
        for name in names:
            if name not in known:
                yield path, f"unknown stream {name!r}", nearest(name, [*known, "all"])


def _backwards(timeline: Iterable[Step]) -> Iterator[Wrong]:
    earliest = 0
    # What follows from an entry has its moment from there.
    for step in (each for each in timeline if each.since is None):
        if step.at_ns is None:
            earliest += step.plus_ns
            continue
        if step.at_ns < earliest:
            message = (
                f"steps are out of order: {format_duration(step.at_ns)} follows a step"
                f" that is due at {format_duration(earliest)} or later"
            )
            yield ("timeline", step.entry, "at"), message, ""
        earliest = max(earliest, step.at_ns)


def _order(timeline: Iterable[Step]) -> Iterator[Wrong]:
    """Power returned to what has it, cut from what has none; a wait for a node that is off."""
    in_force: dict[tuple[str, ...], Step] = {}
    for step in timeline:
        action = step.action
        if step.after is not None:
            for node in step.after.powered():
                yield from _waits_in_vain(step, node, in_force.values())
        if action.kind.undo is not None:
            before = in_force.setdefault((action.name, *action.object), step)
            if before is not step:
                message = f"{action.label} has that fault already, from step {before.entry + 1}"
                yield _place_of(step), message, ""
            continue
        taken_back = [key for key, fault in in_force.items() if action.takes_back(fault.action)]
        for key in taken_back:
            del in_force[key]
        # What takes nothing back and is taken back by nothing can be done at any time.
        breakers = [kind.name for kind in ACTIONS.values() if kind.undo is action.kind]
        if breakers and not taken_back:
            on = sorted(one.action.label for one in in_force.values() if one.action.name in breakers)
            message = f"{action.label} has no {' or '.join(breakers)} in force at that moment"
            yield _place_of(step), message, f"there {_are(on)}" if on else ""


def _waits_in_vain(step: Step, node: str, in_force: Iterable[Step]) -> Iterator[Wrong]:
    dark = [each for each in in_force if each.action.power is Power.OFF and node in each.action.nodes]
    if dark:
        since = min(each.entry for each in dark) + 1
        message = f"waits for {node} to be ready, which is off since step {since}"
        yield ("timeline", step.entry, "after"), message, ""


def _are(names: list[str]) -> str:
    return f"{'is' if len(names) == 1 else 'are'} only {', '.join(names)}"


def _conditions(scenario: Scenario) -> Iterator[tuple[tuple[str | int, ...], Condition]]:
    for index, condition in enumerate(scenario.steady):
        yield ("steady", index), condition
    for step in scenario.timeline:
        if step.after is not None:
            yield ("timeline", step.entry, "after"), step.after


def _target(step: Step, lab: Lab, names: list[str]) -> Iterator[Wrong]:
    place = _place_of(step)
    unknown = [node for node in step.action.nodes if node not in names]
    for node in unknown:
        yield place, f"unknown node {node!r}", nearest(node, names)
    if unknown:
        return
    for below, message, hint in step.action.kind.check(step.action, lab):
        yield (*place, *below), message, hint
    if not step.action.kind.on_link:
        return
    a, b = step.action.target
    matches = [
        link
        for link in lab.links
        if (_names_end(a, link.a.node, link.a.interface) and _names_end(b, link.b.node, link.b.interface))
        or (_names_end(a, link.b.node, link.b.interface) and _names_end(b, link.a.node, link.a.interface))
    ]
    if not matches:
        peers = sorted({link.peer(step.action.nodes[0]).node for link in lab.links_of(step.action.nodes[0])})
        yield (
            place,
            f"there is no link between {a} and {b}",
            f"{step.action.nodes[0]} has links to {', '.join(peers)}",
        )
    elif len(matches) > 1:
        ends = ", ".join(f"{link.a} - {link.b}" for link in matches)
        yield (
            place,
            f"there are {len(matches)} links between {a} and {b}",
            f"name one as node:interface: {ends}",
        )


def _place_of(step: Step) -> tuple[str | int, ...]:
    """Where the targets of its entry stand."""
    return ("timeline", step.entry, step.word)


def _names_end(end: str, node: str, interface: str) -> bool:
    return end in (node, f"{node}:{interface}")
