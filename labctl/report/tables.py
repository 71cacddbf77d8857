"""The tables of the page."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from labctl.report.format import bar, count, departure_gap_ns, fault_name, signed_s, span
from labctl.report.headline import loss_judged, unjudged_losses
from labctl.report.markup import Markup, el
from labctl.verdict.schema import Verdict

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from labctl.verdict.schema import FaultResult, Result, RunResult, StreamResult

__all__ = ["action_table", "expectation_table", "flow_table", "run_table", "stream_table"]

MOST_ROWS = 400
_UNJUDGED = " (not judged)"
_RARE = frozenset({"unexplained", "before start", "dup.", "reord.", "skipped", "refused", "overflow"})
"""Columns of the streams that are left out where all of them are 0."""


def expectation_table(result: Result) -> Markup:
    """What was expected, what was measured, what that makes."""
    rows = [[el("code", one.text), _verdict(one.verdict), one.measured] for one in result.expectations]
    checks = {
        (check.verdict, check.reason) for run in result.runs if not run.repeated for check in run.checks
    }
    rows += [
        ["(validity of the measurement)", _verdict(verdict), reason] for verdict, reason in sorted(checks)
    ]
    return _table(["expectation", "verdict", "measured"], rows, left=3)


def stream_table(result: Result) -> Markup:
    """One row a stream and run."""
    judged = loss_judged(result)
    several = len(result.runs) > 1
    heads = [
        "sent",
        "received",
        "lost",
        "in flight",
        "convergence",
        "unexplained",
        "before start",
        "dup.",
        "reord.",
    ]
    heads += [
        "longest outage",
        "delay p50 / p99 / max",
        "sender late p99 / max",
        "skipped",
        "refused",
        "overflow",
    ]
    rows = [
        [
            (f"run {run.run}: " if several else "") + stream.name + _UNJUDGED * stream.unjudged,
            *_stream(stream, judged=stream.name in judged),
        ]
        for run in result.runs
        for stream in run.streams
    ]
    return _shown(["stream", *heads], rows, _RARE)


def _stream(stream: StreamResult, *, judged: bool) -> list[object]:
    generator, receiver = stream.generator, stream.receiver
    delays = (stream.delay_p50_ns, stream.delay_p99_ns, stream.delay_max_ns)
    return [
        count(stream.sent),
        count(stream.received),
        count(stream.lost),
        _number(stream.in_flight, "warn" if judged else ""),
        _number(stream.convergence_loss, "bad" if judged else ""),
        _number(stream.unexplained, "bad" if judged else ""),
        count(stream.before),
        count(stream.duplicated),
        count(stream.reordered),
        bar(stream.longest_outage_ns, stream.error_ns),
        " / ".join(map(span, delays)),
        f"{span(generator.get('late_p99_ns', 0))} / {span(generator.get('late_max_ns', 0))}",
        _number(generator.get("skipped", 0), "bad"),
        _number(generator.get("refused", 0), "warn"),
        _number(receiver.get("overflowed", 0), "bad"),
    ]


def action_table(result: Result) -> Markup:
    """One row an action and run."""
    loud = "" if any(one.counts for one in unjudged_losses(result)) else "bad"
    several = len(result.runs) > 1
    heads = [
        "at",
        "late",
        "seen after",
        "cut within",
        "done after",
        "peers",
        "flows crossed",
        "flows hit",
    ]
    heads += ["in flight", "convergence", "longest outage", "last loss after", "departure gap"]
    rows = [
        [f"run {run.run}: {fault_name(fault)}" if several else fault_name(fault), *_action(run, fault, loud)]
        for run in result.runs
        for fault in run.faults
    ]
    return _table(["action", *heads], rows)


def _action(run: RunResult, fault: FaultResult, loud: str) -> list[object]:
    worst = max(fault.judged, key=lambda stream: stream.longest_outage_ns, default=None)
    told, awaited = fault.carriers
    crossed: object = "unseen" if fault.crossed < 0 else count(fault.crossed)
    if fault.null:
        crossed = el("span", "null trial", class_="warn")
    settled = max((stream.last_loss_ns for stream in fault.judged), default=0)
    return [
        signed_s(fault.requested_ns),
        span(fault.late_ns),
        span(fault.first_ns - fault.requested_ns),
        span(fault.window_ns) if fault.breaks else "",
        span(fault.done_ns - fault.requested_ns),
        f"{told} of {awaited}",
        crossed if fault.breaks else "",
        count(sum(stream.hit for stream in fault.judged)),
        _number(fault.in_flight, "warn"),
        _number(fault.convergence_loss, loud),
        bar(worst.longest_outage_ns, worst.error_ns) if worst else "",
        span(settled) if fault.in_flight + fault.convergence_loss else "",
        f"≤ {span(departure_gap_ns(run, fault))}" if fault.breaks and fault.judged else "",
    ]


def flow_table(result: Result) -> Markup:
    """One row a loss period."""
    rows: list[list[object]] = []
    judged = loss_judged(result)
    for run in result.runs:
        for stream in run.streams:
            loud = "bad" if stream.name in judged else ""
            for flow in stream.flows:
                for loss in flow.losses:
                    if len(rows) == MOST_ROWS:
                        return _table(_FLOW_HEADS, [*rows, ["and more: see result.json"]])
                    step = fault_name(run.faults[loss.step]) if loss.step >= 0 else "unexplained"
                    ports = f"{flow.source_port} → {flow.destination_port}"
                    outage = bar(loss.outage_ns, loss.error_ns) + (" (open)" if loss.open else "")
                    place = [f"{stream.name} {flow.flow}", run.run, ports, signed_s(loss.start_ns), step]
                    rows.append([*place, count(loss.in_flight), _number(loss.convergence_loss, loud), outage])
    return _table(_FLOW_HEADS, rows)


_FLOW_HEADS = ["flow", "run", "ports", "from", "attributed to", "in flight", "convergence", "outage"]


def run_table(result: Result) -> Markup:
    """One row a run of a series."""
    rows: list[list[object]] = []
    for run in result.runs:
        worst = max(run.judged, key=lambda stream: stream.longest_outage_ns, default=None)
        phases = ", ".join(f"{fault.phase_ns / 1e6:.0f}" for fault in run.faults if fault.step >= 0)
        rows.append(
            [
                f"run {run.run}",
                _verdict(run.verdict),
                count(sum(stream.sent for stream in run.judged)),
                _number(sum(stream.in_flight for stream in run.judged), "warn"),
                _number(sum(stream.convergence_loss for stream in run.judged), "bad"),
                bar(worst.longest_outage_ns, worst.error_ns) if worst else "",
                phases,
            ]
        )
    return _table(
        ["run", "verdict", "sent", "in flight", "convergence", "longest outage", "phases, ms"], rows
    )


def _table(heads: Sequence[str], rows: Iterable[Sequence[object]], left: int = 1) -> Markup:
    """A table whose rows a narrow screen shows as blocks, each value with its heading beside it."""

    def cell(index: int, value: object) -> Markup:
        kind = "left" if 0 < index < left else None
        return el("td", value, class_=kind, data_head=heads[index] if index else None)

    head = el(
        "tr", *(el("th", name, class_="left" if 0 < at < left else None) for at, name in enumerate(heads))
    )
    body = [el("tr", *(cell(index, _whole(value)) for index, value in enumerate(row))) for row in rows]
    return el("table", el("thead", head), el("tbody", *body), class_="stack")


_IN_A_FIGURE = re.compile(r"(?<=\d) (?=(?:[mnµ]?s|m|%)\b|±)|(?<=±) ")


def _whole(value: object) -> object:
    """A text in which no line can end between a number and its unit."""
    return _IN_A_FIGURE.sub("\u00a0", value) if type(value) is str else value


def _shown(heads: Sequence[str], rows: Sequence[Sequence[object]], rare: Collection[str]) -> Markup:
    """A table without those of the rare columns that say nothing in any row."""
    kept = [
        at
        for at, name in enumerate(heads)
        if name not in rare or any(row[at] not in ("0", "") for row in rows)
    ]
    return _table([heads[at] for at in kept], [[row[at] for at in kept] for row in rows])


def _verdict(verdict: Verdict) -> Markup:
    kind = {Verdict.PASS: "good", Verdict.FAIL: "bad", Verdict.ERROR: "bad"}.get(verdict, "warn")
    return el("span", str(verdict), class_=kind)


def _number(value: int, kind: str) -> object:
    return el("span", count(value), class_=kind or None) if value else "0"
