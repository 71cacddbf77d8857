"""Numbers and facts of a result in words, the same in every form of the report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labctl.scenario.durations import format_duration

if TYPE_CHECKING:
    from labctl.verdict.schema import FailoverStatistics, FaultResult, Result

__all__ = ["bar", "count", "fault_name", "outage_line", "series_lines", "signed_s", "span"]


def count(value: int) -> str:
    """1234567 -> ``1,234,567``."""
    return f"{value:,}"


def span(nanoseconds: int) -> str:
    """A duration for people."""
    return format_duration(nanoseconds)


def bar(outage_ns: int, error_ns: int) -> str:
    """An outage with its error bar; without one, what the spacing of the packets may hide."""
    if outage_ns:
        outage, error = format_duration(outage_ns), format_duration(error_ns)
        # The unit once is enough.
        unit = outage.partition(" ")[2]
        return f"{outage.removesuffix(' ' + unit) if error.endswith(' ' + unit) else outage} ± {error}"
    return f"none (< {format_duration(error_ns)})" if error_ns else "none"


def signed_s(nanoseconds: int) -> str:
    """A moment of the timeline, in seconds to the millisecond."""
    return f"{nanoseconds / 1e9:.3f} s"


def fault_name(fault: FaultResult) -> str:
    """Such as ``power-off gw1`` or, of a heal, ``power-on gw1 (heal)``."""
    remark = "heal" if fault.step < 0 else fault.mode if fault.mode not in ("", "cut") else ""
    return f"{fault.action} {fault.label}" + (f" ({remark})" if remark else "")


def outage_line(result: Result) -> str:
    """What was measured in one line."""
    streams = [stream for run in result.runs for stream in run.streams]
    judged = [stream for run in result.runs for stream in run.judged]
    sent = sum(stream.sent for stream in judged)
    flight, lost = (
        sum(stream.in_flight for stream in judged),
        sum(stream.convergence_loss for stream in judged),
    )
    trials = result.failovers.trials
    over = f" over {trials} fail-over{'' if trials == 1 else 's'}" if trials else ""
    line = f"{count(sent)} packets{over}: {count(flight)} lost in flight, {count(lost)} to convergence"
    before = sum(stream.before for stream in judged)
    if before:
        line += f", {count(before)} before the timeline"
    others = [stream for stream in streams if stream.unjudged]
    if others:
        names = ", ".join(dict.fromkeys(stream.name for stream in others))
        missing = f"{count(sum(one.lost for one in others))} of {count(sum(one.sent for one in others))}"
        line += f"; not judged: {names} ({missing} lost)"
    return line


def series_lines(result: Result) -> list[str]:
    """Fail-overs, returns and outages over all runs."""
    lines = [_statistics("fail-over", result.failovers)]
    if result.returns.trials:
        lines.append(_statistics("return", result.returns))
    outages = result.outages
    if outages.flows:
        share = outages.hit / outages.flows
        quantiles = ", ".join(
            f"{name} {format_duration(value)}"
            for name, value in (("p50", outages.p50_ns), ("p95", outages.p95_ns), ("max", outages.max_ns))
        )
        lines.append(
            f"outages of {count(outages.flows)} flows that crossed a victim or were hit: {share:.1%} out;"
            f" {quantiles} (± {format_duration(outages.error_ns)})"
            + (f"; {outages.open} still open" if outages.open else "")
        )
    return lines


def _statistics(what: str, numbers: FailoverStatistics) -> str:
    null = f", {numbers.null} not measured" if numbers.null else ""
    doubt = f", {numbers.doubtful} in doubt" if numbers.doubtful else ""
    return (
        f"{numbers.trials} {what}{'' if numbers.trials == 1 else 's'}{null}: {numbers.lossy} with loss,"
        f" {numbers.lossy_convergence} with convergence loss{doubt}"
        f" (95 % confidence: at most {numbers.bound_convergence:.1%})"
    )
