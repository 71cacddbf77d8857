"""Scenario, seed and run number -> what is to be done and when. Pure: the same in, the same out."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from labctl.probe.types import Stream
from labctl.scenario.addresses import addresses_of

if TYPE_CHECKING:
    from labctl.model.lab import Lab
    from labctl.scenario.model import Scenario, Step

__all__ = ["PHASE_WINDOW_NS", "Plan", "PlannedStep", "make_plan", "streams_of"]

PHASE_WINDOW_NS = 1_000_000_000
"""Fault moments of a series are moved by 0 to this: longer than any timer tick that a fault could
otherwise keep step with (keepalives, scans), and no multiple of the packet spacing."""


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """One step with its moment.

    Attributes:
        step: as in the scenario.
        phase_ns: how much later than written it is done.
        due_ns: moment after the zero of the timeline; None if it waits for a condition
            (then it is done ``step.plus_ns + phase_ns`` after that).
    """

    step: Step
    phase_ns: int
    due_ns: int | None


@dataclass(frozen=True, slots=True)
class Plan:
    """One run of a scenario, worked out.

    Attributes:
        run: 0-based.
        runs: length of the series.
    """

    scenario: Scenario
    seed: int
    run: int
    runs: int
    steps: tuple[PlannedStep, ...]
    streams: tuple[Stream, ...]


def make_plan(scenario: Scenario, lab: Lab, *, seed: int, run: int = 0, runs: int = 1) -> Plan:
    """Work out one run.

    A single run does everything at the moments written. In a series every moment gets a phase of
    its own, drawn evenly from [0, :data:`PHASE_WINDOW_NS`); steps that are written closer to one
    another than that window share a phase, so that order and small distances stay as written. So do all steps
    up to the one that takes a fault back after its ``for``: that time stays as written, too.

    Args:
        scenario: checked against ``lab``.
        lab: where the addresses come from.
        seed: the same seed and run give the same phases, on any machine.
        run: 0-based.
        runs: how many there are in all.
    """
    # Text seeds go through SHA-512: stable over machines and Python versions.
    draw = random.Random(f"labctl:{seed}:{run}")  # noqa: S311 - a phase, not a secret
    planned: list[PlannedStep] = []
    last_of = {step.since: step.at_ns for step in scenario.timeline if step.since is not None}
    previous: int | None = None
    bound: int = 0
    phase = 0
    for step in scenario.timeline:
        if step.at_ns is None:
            together = step.since is not None
        else:
            near = previous is not None and step.at_ns - previous < PHASE_WINDOW_NS
            together = near or (previous is not None and step.at_ns <= bound)
            bound = max(bound, last_of.get(step.index) or 0)
        if not together:
            phase = draw.randrange(PHASE_WINDOW_NS)
        used = phase if runs > 1 else 0
        planned.append(PlannedStep(step, used, None if step.at_ns is None else step.at_ns + used))
        previous = step.at_ns
    return Plan(scenario, seed, run, runs, tuple(planned), streams_of(scenario, lab))


def streams_of(scenario: Scenario, lab: Lab) -> tuple[Stream, ...]:
    """The streams of a scenario between the loopback addresses of a lab's nodes."""
    streams = []
    for spec in scenario.traffic:
        for name, family in zip(spec.stream_names, spec.families, strict=True):
            addresses = addresses_of(spec.addresses, lab.vars, family) if spec.addresses else ()
            streams.append(
                Stream(
                    name=name,
                    source=spec.source,
                    destination=spec.destination,
                    source_address=spec.source_address or address_of(lab, spec.source, family),
                    destination_address=spec.destination_address or address_of(lab, spec.destination, family),
                    proto=spec.proto,
                    rate_pps=spec.rate_pps,
                    flows=len(addresses) or spec.flows,
                    size=spec.size,
                    destinations=addresses,
                )
            )
    return tuple(streams)


def address_of(lab: Lab, node: str, family: int) -> str:
    """The loopback address of a node in text; KeyError if it has none of that family."""
    found = lab.node(node)
    loopback = found.loopback4 if family == 4 else found.loopback6  # noqa: PLR2004 - the IP version
    if loopback is None:
        raise KeyError(f"{node} has no IPv{family} address of its own")
    return str(loopback.ip)
