"""Evidence for journals of fake labs: what rings at the victim's neighbours would have seen."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from labctl.events import Event

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["changed", "evidence_of", "with_evidence"]

MS = 1_000_000
TO_NEIGHBOUR_NS = 50_000
"""From a packet's departure until the victim's neighbour puts it onto their link."""


def evidence_of(
    events: Sequence[Event],
    step: int,
    *,
    until_ms: float = 1.0,
    since_ms: float = 1.0,
    delay_ns: int = TO_NEIGHBOUR_NS,
    crossing: Callable[[str, int], bool] = lambda _stream, _flow: True,
    **changes: Any,
) -> Event:
    """The evidence of one fault: lost packets that a neighbour sent to the victim around it.

    Args:
        events: of one run.
        step: of the fault.
        until_ms: the neighbour goes on sending to the victim for so long after the kernel was told.
        since_ms: packets that were sent to it so long before that never came out.
        delay_ns: from departure to the neighbour.
        crossing: whether a flow of a stream takes the way through the victim.
        changes: fields of the event, instead of what a whole one says.
    """
    done = next(event.data for event in events if event.kind == "action.done" and event.data["step"] == step)
    told = done["detail"].get("not_before_ns", done["requested_ns"])
    lost: dict[str, list[list[int]]] = {}
    for tally in (event.data for event in events if event.kind == "tally"):
        name = tally["stream"]["name"]
        for flow in tally["flows"]:
            for period in flow["losses"]:
                for place, sent in enumerate(period["sent_ns"]):
                    left = sent + delay_ns
                    if told - since_ms * MS <= left <= told + until_ms * MS and crossing(name, flow["flow"]):
                        row = [flow["flow"], period["first_seq"] + place, 0, 0, left, 0]
                        lost.setdefault(name, []).append(row)
    span = {"open_ns": told - 1000 * MS, "closed_ns": done["last_ns"] + 100 * MS}
    data = {
        "step": step,
        "ends": [
            {"node": one["node"], "interface": one["interface"], "frames": 1, "overrun": 0, **span}
            for one in done["carriers"]
        ],
        "transit_p99_ns": MS,
        "transit_max_ns": 2 * MS,
        "lost": lost,
    }
    return Event("evidence", done["done_ns"], {**data, **changes})


def with_evidence(events: Sequence[Event], **options: Any) -> list[Event]:
    """A journal with the evidence of every fault that something is in flight at, run by run."""
    told: list[Event] = []
    run: list[Event] = []
    for event in [*events, Event("run.header", 0, {})]:
        if event.kind == "run.header":
            told += _one(run, options) if run else []
            run = []
        run.append(event)
    return told


def _one(run: list[Event], options: dict[str, Any]) -> list[Event]:
    run = [event for event in run if event.kind != "evidence"]
    steps = [
        event.data["step"]
        for event in run
        if event.kind == "action.done" and event.data["action"] in ("power-off", "fence", "link-cut")
    ]
    found = [evidence_of(run, step, **options) for step in steps]
    place = next((index for index, event in enumerate(run) if event.kind == "tally"), len(run))
    return [*run[:place], *found, *run[place:]]


def changed(events: Sequence[Event], kind: str, change: Callable[[Any], None]) -> list[Event]:
    """A journal with a change made to a copy of the data of every event of a kind."""
    out = []
    for event in events:
        data = copy.deepcopy(dict(event.data)) if event.kind == kind else event.data
        if event.kind == kind:
            change(data)
        out.append(replace(event, data=data))
    return out
