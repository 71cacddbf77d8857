"""The verdict on a terminal: what was sent, what was lost when, and why the verdict is what it is."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from rich.console import Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from labctl.report.format import bar, count, departure_gap_ns, fault_name, series_lines, span
from labctl.report.headline import NOT_JUDGED, loss_judged, sentence, unjudged_losses
from labctl.verdict.schema import Verdict

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult

    from labctl.verdict.schema import FaultResult, Result, RunResult, StreamResult

__all__ = ["FAULT_ROWS", "summary"]

STYLE = {
    Verdict.PASS: "bold green",
    Verdict.FAIL: "bold red",
    Verdict.ERROR: "bold red",
    Verdict.INCONCLUSIVE: "bold yellow",
    Verdict.INTERRUPTED: "bold yellow",
}
FAULT_ROWS = 12
"""Of a series only the actions with losses are listed, so many at most: the rest is in the report."""


_IN_A_FIGURE = re.compile(r"(?<=\d) (?=(?:[mnµ]?s|m|%)(?![^\W_])|±)|(?<=±) ")
_JOINT = "\ue000"
"""In the place of a blank that must stay, while lines are broken: of a private area, so no text has it."""


class Wrapped:
    """Text in lines as wide as the terminal; none ends between a number and its unit."""

    def __init__(self, text: Text) -> None:
        self._text = text

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The lines."""
        joined = self._text.copy()
        joined.plain = _IN_A_FIGURE.sub(_JOINT, joined.plain)
        for line in joined.wrap(console, options.max_width):
            line.plain = line.plain.replace(_JOINT, " ")
            yield line


def summary(result: Result) -> RenderableType:
    """A few compact tables and the verdict; for a console of rich."""
    parts: list[RenderableType] = [_title(result)]
    if any(run.streams for run in result.runs):
        parts += [_streams(result), _faults(result)]
    if result.failovers.trials or result.failovers.null:
        parts += [Padding(Wrapped(Text("\n".join(series_lines(result)))), (0, 0, 0, 2)), Text("")]
    parts.append(_expectations(result))
    parts.append(_verdict(result))
    return Group(*parts)


def _title(result: Result) -> RenderableType:
    about = result.about
    runs = f"{len(result.runs)} runs, " if result.runs_asked > 1 else ""
    text = Text.assemble(
        (result.name, "bold"), f"  {runs}seed {about.get('seed')}, {about.get('runtime', 'no lab')}"
    )
    return Padding(text, (1, 0, 0, 0))


def _table(*heads: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for index, head in enumerate(heads):
        # On a narrow terminal names are wrapped, figures never.
        table.add_column(head, justify="left" if index == 0 else "right", no_wrap=index > 0)
    return table


def _streams(result: Result) -> RenderableType:
    table = _table("stream", "sent", "in flight", "conv.", "flows hit", "longest outage")
    for name in dict.fromkeys(stream.name for run in result.runs for stream in run.streams):
        mine = [stream for run in result.runs for stream in run.streams if stream.name == name]
        worst = max(mine, key=lambda stream: stream.longest_outage_ns)
        lost = sum(stream.convergence_loss for stream in mine)
        first, judged = mine[0], name in loss_judged(result)
        table.add_row(
            Text.assemble((name, "" if first.unjudged else "bold"), (f"  {_ends(first)}", "dim")),
            count(sum(stream.sent for stream in mine)),
            _number(sum(stream.in_flight for stream in mine), "yellow" if judged else ""),
            _number(lost, "red" if judged else ""),
            count(sum(stream.flows_hit for stream in mine)),
            bar(worst.longest_outage_ns, worst.error_ns),
        )
    return Padding(table, (1, 0, 0, 2))


def _ends(stream: StreamResult) -> str:
    return f"{stream.source}→{stream.destination}" + (" (not judged)" if stream.unjudged else "")


def _faults(result: Result) -> RenderableType:
    rows = [(run, fault) for run in result.runs for fault in run.faults]
    if not rows:
        return Text("")
    many = len(result.runs) > 1
    shown = [row for row in rows if not many or row[1].in_flight + row[1].convergence_loss > 0 or row[1].null]
    heads = ("action", "at", "cut in", "flows", "in flight", "conv.", "outage")
    table = _table(*(("run", *heads) if many else heads))
    if many:
        table.columns[0].no_wrap, table.columns[1].no_wrap = True, False
        table.columns[1].justify = "left"
    for run, fault in shown[:FAULT_ROWS]:
        cells = _fault(fault)
        table.add_row(*([str(run.run), *cells] if many else cells))
    parts: list[RenderableType] = [Padding(table, (1, 0, 0, 2))] if shown else []
    if many:
        quiet, more = len(rows) - len(shown), max(len(shown) - FAULT_ROWS, 0)
        told = f"{quiet} of {len(rows)} actions without loss" + (f"; {more} more with loss" if more else "")
        parts.append(Padding(Text(told, "dim"), (0, 0, 0, 2)))
    longest = max((departure_gap_ns(run, fault) for run, fault in rows if fault.breaks), default=0)
    if longest:
        told = f"departures of each judged stream at the faults at most {span(longest)} apart"
        parts.append(Padding(Wrapped(Text(told, "dim")), (0, 0, 0, 2)))
    return Group(*parts, Text(""))


def _fault(fault: FaultResult) -> list[RenderableType]:
    worst = max(fault.judged, key=lambda stream: stream.longest_outage_ns, default=None)
    crossed = "unseen" if fault.crossed < 0 else count(fault.crossed)
    return [
        Text(fault_name(fault), "bold" if fault.breaks else ""),
        f"{fault.requested_ns / 1e9:.2f} s",
        span(fault.window_ns) if fault.breaks else "",
        Text("null trial" if fault.null else crossed, "yellow" if fault.null else "") if fault.breaks else "",
        _number(fault.in_flight, "yellow") if fault.breaks else "",
        _number(fault.convergence_loss, "red"),
        bar(worst.longest_outage_ns, worst.error_ns) if worst else "",
    ]


def _expectations(result: Result) -> RenderableType:
    return Group(
        *(
            Wrapped(
                Text.assemble(
                    (f"  {_mark(one.verdict)} ", STYLE[one.verdict]), one.text, (f"  {one.measured}", "dim")
                )
            )
            for one in result.expectations
        )
    )


def _verdict(result: Result) -> RenderableType:
    losses = unjudged_losses(result)
    covered = not any(one.counts for one in losses)
    # Green would say of the loss, too, that it was found good.
    style = STYLE[result.verdict] if covered or result.verdict != Verdict.PASS else "bold"
    lines: list[RenderableType] = [
        Wrapped(Text.assemble((f"{result.verdict}", style), f"  {sentence(result)}"))
    ]
    if losses:
        lines.append(Wrapped(Text(f"{NOT_JUDGED}: {', '.join(map(str, losses))}", "dim" if covered else "")))
    lines += [Wrapped(Text(line)) for line in result.retries]
    return Padding(Group(*lines), (1, 0, 0, 0))


def _mark(verdict: Verdict) -> str:
    return {Verdict.PASS: "✓", Verdict.FAIL: "✗"}.get(verdict, "?")


def _number(value: int, style: str) -> Text:
    return Text(count(value), f"bold {style}" if value and style else "")


def one_line(run: RunResult) -> str:
    """A run of a series in one line, for progress."""
    lost = (
        sum(stream.in_flight for stream in run.judged),
        sum(stream.convergence_loss for stream in run.judged),
    )
    return f"run {run.run}: {run.verdict}, lost {lost[0]} in flight, {lost[1]} to convergence"
