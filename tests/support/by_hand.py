"""Journals written by hand: one stream over 200 ms, no runner in between; for properties of verdicts."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import Any

from hypothesis import strategies as st
from sightings import evidence_of

from labctl.events import Event
from labctl.probe.types import GeneratorHealth, ReceiverHealth, Stream
from labctl.testing.backend import count

__all__ = [
    "FLOWS",
    "JOURNALS",
    "LOST",
    "MS",
    "PACKETS",
    "SPACING",
    "STREAM",
    "ZERO",
    "expected",
    "journal",
    "journal_of",
]

MS = 1_000_000
ZERO = 1_000_000 * MS
FLOWS, SPACING = 4, 2 * MS
PACKETS = [(number % FLOWS, ZERO + number * SPACING) for number in range(100)]
STREAM = Stream("s", "a", "b", "10.0.0.1", "10.0.0.2", rate_pps=1e9 / SPACING, flows=FLOWS)
TRAITS = {
    "power-off": {"breaks": True, "silent": False, "passes": False},
    "node-blackhole": {"breaks": True, "silent": True, "passes": False},
    "power-on": {"breaks": False, "silent": False, "passes": False},
}


def journal(  # noqa: PLR0917 - drawn cases are tuples
    lost: set[int],
    faults: list[tuple[int, int, str, str]],
    expectations: list[dict[str, Any]],
    crossed: list[int],
    health: tuple[int, int, int],
    before_ms: int = 0,
) -> list[Event]:
    """A journal of format 2.

    Args:
        lost: numbers of packets.
        faults: (ms after the one before, ms until the last carrier, action, evidence): the evidence is
            ``none``, ``whole`` or ``overrun``.
        expectations: as in a header.
        crossed: flows that the witness saw at each fault.
        health: packets overflowed and dropped by the backlog, ns of lateness.
        before_ms: so much of the traffic left before the timeline began.
    """
    overflowed, backlog, late = health
    wanted = {PACKETS[number] for number in lost}
    end = ZERO + len(PACKETS) * SPACING
    tally = count(STREAM, PACKETS, lambda flow, moment: (flow, moment) in wanted, ZERO, end)
    tally = replace(
        tally,
        generator=GeneratorHealth(len(PACKETS), 0, 0, 0, late, late),
        receiver=ReceiverHealth(overflowed=overflowed, backlog_dropped=backlog),
        delay_p50_ns=MS,
        delay_p99_ns=MS,
        delay_max_ns=MS,
    )
    steps = [
        {"text": f"{action} gw", "phase_ns": 0, "action": action, "target": "gw", "nodes": ["gw"]}
        | {"traits": TRAITS[action]}
        for _, _, action, _ in faults
    ]
    header = {
        "format": 2, "scenario": {"name": "s", "path": "", "text": ""}, "topology": {}, "lab": {},
        "traffic": [asdict(STREAM)], "steps": steps, "expect": expectations, "machine": {}, "versions": {},
        "seed": 1, "run": 0, "runs": 1, "clock": {"monotonic_ns": ZERO, "realtime_ns": 0},
    }  # fmt: skip
    zero = ZERO + before_ms * MS
    events = [Event("run.header", ZERO, header), Event("timeline.started", zero, {})]
    moment = zero
    for step, (wait, window, action, _) in enumerate(faults):
        moment += wait * MS
        events += _action(step, moment, window, action, crossed)
    counted = Event("tally", end, json.loads(json.dumps(asdict(tally))))
    flawed: dict[str, Any] = {"ends": [_overrun()]}
    seen = [
        evidence_of([*events, counted], step, until_ms=1.5, **({} if how == "whole" else flawed))
        for step, (_, _, action, how) in enumerate(faults)
        if how != "none" and action == "power-off"
    ]
    return [*events, *seen, counted, Event("run.done", end, {})]


def _overrun() -> dict[str, Any]:
    return {"node": "r", "interface": "eth1", "open_ns": 1, "closed_ns": 10**18, "frames": 9, "overrun": 1}


def _action(step: int, moment: int, window: int, action: str, crossed: list[int]) -> list[Event]:
    traits = TRAITS[action]
    about = {"step": step, "action": action, "target": "gw", "mode": "", "due_ns": moment, "phase_ns": 0}
    flows = {"s": crossed}
    seen = {
        "step": step, "by": "interfaces", "since_ns": moment - 1000 * MS, "until_ns": moment,
        "flows": flows, "delay_p99_ns": {"s": MS}, "dropped": 0,
    }  # fmt: skip
    last = moment + window * MS
    effect = {
        "action": action, "target": "gw", "requested_ns": moment, "first_ns": last, "last_ns": last,
        "carriers": [{"node": "r", "interface": "eth1", "t_ns": last}], "done_ns": last, "detail": {},
    }  # fmt: skip
    return [
        *([Event("witness", moment, seen)] if traits["breaks"] else []),
        Event("action.started", moment, {**about, "traits": traits}),
        Event("action.done", last, {"step": step, **effect}),
    ]


def expected(kind: str, **limits: Any) -> dict[str, Any]:
    """An expectation of the stream as it stands in a header."""
    limits = {"packets": 0, "longest_ns": 0, "quantile": 0.5, "bound": 0.0, **limits}
    return {"kind": kind, "streams": ["s"], "text": "it", **limits}


LOST = st.sets(st.integers(0, 99), max_size=40)
FAULTS = st.lists(
    st.tuples(
        st.integers(0, 150),
        st.integers(0, 20),
        st.sampled_from(sorted(TRAITS)),
        st.sampled_from(["none", "whole", "overrun"]),
    ),
    max_size=3,
)
EXPECTED = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(["loss", "convergence-loss", "outage"]),
        "streams": st.just(["s"]),
        "packets": st.integers(0, 20),
        "longest_ns": st.integers(0, 60 * MS),
        "quantile": st.sampled_from([0.5, 0.9, 1.0]),
        "bound": st.sampled_from([0.0, 0.0, 0.3, 0.8]),
        "text": st.just("it"),
    }
)
JOURNALS = st.tuples(
    FAULTS,
    st.lists(EXPECTED, min_size=1, max_size=2),
    st.lists(st.integers(0, FLOWS - 1), unique=True),
    st.tuples(st.integers(0, 3), st.integers(0, 2), st.integers(0, 3 * MS)),
    st.sampled_from([0, 0, 30]),
)


def journal_of(lost: set[int], rest: Any) -> list[Event]:
    """The journal of one drawn case."""
    return journal(lost, *rest)
