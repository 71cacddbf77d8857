"""summary.md: the verdict for a CI's step summary."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labctl.report.format import bar, count, fault_name, outage_line, series_lines, signed_s, span
from labctl.report.headline import NOT_JUDGED, sentence, unjudged_losses
from labctl.verdict.schema import Verdict

if TYPE_CHECKING:
    from labctl.verdict.schema import Result

__all__ = ["summary_markdown"]

_MARK = {
    Verdict.PASS: "✅",
    Verdict.FAIL: "❌",
    Verdict.ERROR: "❌",
    Verdict.INCONCLUSIVE: "❔",
    Verdict.INTERRUPTED: "⏹",
}
_ROWS = 40


def summary_markdown(result: Result) -> str:
    """The whole document."""
    lines = [
        f"### {_MARK[result.verdict]} {_cell(result.name)}: {result.verdict}",
        "",
        _cell(sentence(result)),
        "",
        outage_line(result),
        "",
    ]
    losses = unjudged_losses(result)
    if losses:
        lines += [f"{NOT_JUDGED}: {_cell(', '.join(map(str, losses)))}", ""]
    lines += [*(f"- {_cell(line)}" for line in result.retries), *([""] if result.retries else [])]
    if result.verdict != Verdict.PASS:
        lines += [*(f"- {_cell(reason)}" for reason in result.reasons), ""]
    if result.expectations:
        lines += ["| expectation | verdict | measured |", "|---|---|---|"]
        lines += [
            f"| {_cell(one.text)} | {one.verdict} | {_cell(one.measured)} |" for one in result.expectations
        ]
        lines.append("")
    lines += _streams(result) + _faults(result)
    if result.failovers.trials or result.failovers.null:
        lines += [*(f"- {line}" for line in series_lines(result)), ""]
    return "\n".join(lines) + "\n"


def _streams(result: Result) -> list[str]:
    names = dict.fromkeys(stream.name for run in result.runs for stream in run.streams)
    if not names:
        return []
    lines = [
        "| stream | sent | lost in flight | convergence loss | longest outage |",
        "|---|---:|---:|---:|---:|",
    ]
    for name in names:
        mine = [stream for run in result.runs for stream in run.streams if stream.name == name]
        worst = max(mine, key=lambda stream: stream.longest_outage_ns)
        numbers = [
            sum(one.sent for one in mine),
            sum(one.in_flight for one in mine),
            sum(one.convergence_loss for one in mine),
        ]
        cells = [_cell(name), *map(count, numbers), bar(worst.longest_outage_ns, worst.error_ns)]
        lines.append(f"| {' | '.join(cells)} |")
    return [*lines, ""]


def _faults(result: Result) -> list[str]:
    rows = [(run.run, fault) for run in result.runs for fault in run.faults]
    if len(result.runs) > 1:
        rows = [(run, fault) for run, fault in rows if fault.in_flight + fault.convergence_loss]
    if not rows:
        return []
    lines = ["| run | action | at | cut within | in flight | convergence |", "|---:|---|---:|---:|---:|---:|"]
    for run, fault in rows[:_ROWS]:
        window = span(fault.window_ns) if fault.breaks else ""
        cells = [str(run), _cell(fault_name(fault)), signed_s(fault.requested_ns), window]
        lines.append(f"| {' | '.join([*cells, count(fault.in_flight), count(fault.convergence_loss)])} |")
    more = [f"{len(rows) - _ROWS} more in report.html"] if len(rows) > _ROWS else []
    return [*lines, "", *more]


def _cell(text: str) -> str:
    """Text that cannot break out of a table's cell."""
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")
