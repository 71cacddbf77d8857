"""Numbers and facts of a result in words, the same in every form of the report."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from labctl.document.durations import format_duration
from labctl.probe.types import PAUSE_NS
from labctl.verdict.statistics import trials_needed

if TYPE_CHECKING:
    from labctl.verdict.schema import FailoverStatistics, FaultResult, Result, RunResult

__all__ = [
    "bar",
    "bound_line",
    "count",
    "departure_gap_ns",
    "fault_name",
    "fault_word",
    "moment_name",
    "outage_line",
    "percent_above",
    "rate_bound",
    "series_lines",
    "signed_s",
    "span",
]

_SMALL = 0.05
"""Where more trials are needed, the report names how many bound the failure rate below this."""


def count(value: int) -> str:
    """1234567 -> ``1,234,567``."""
    return f"{value:,}"


def span(nanoseconds: int) -> str:
    """A duration for people."""
    return format_duration(nanoseconds)


def bar(outage_ns: int, error_ns: int) -> str:
    """An outage ± its Packet Sampling Interval (RFC 6412); without an outage, what that may hide."""
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


def fault_word(fault: FaultResult) -> str:
    """The action without its target: ``power-off``, or ``power-off (freeze)``."""
    return fault.action if fault.mode in ("", "cut") else f"{fault.action} ({fault.mode})"


def departure_gap_ns(run: RunResult, fault: FaultResult) -> int:
    """How far apart two departures of one judged stream were at a fault, at the most.

    A sender that was later than 5 ms is a stall, and each stall is recorded. So two departures are no more
    than one period of the stream and the longest stall apart, or 5 ms where there was none.
    """
    periods = {stream.name: round(1e9 / stream.rate_pps) for stream in run.streams if stream.rate_pps}
    gaps = [periods.get(stream.stream, 0) + max(stream.longest_pause_ns, PAUSE_NS) for stream in fault.judged]
    return max(gaps, default=0)


def moment_name(fault: FaultResult) -> str:
    """What the moment ``last_ns`` of an action is: a silent fault, or one of a process, moves no carrier."""
    if fault.carriers[1] == 0 or fault.silent:
        return "the fault begins" if fault.breaks else "the action is done"
    return f"last carrier {'lost' if fault.breaks else 'found'}"


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
    lines = _statistics("fail-over", result.failovers)
    if result.returns.trials:
        lines += _statistics("reversion", result.returns)
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


def percent_above(share: float) -> str:
    """A share that is an upper bound, in percent: rounded up, so that it stays one.

    Args:
        share: from 0 to 1.
    """
    percent = 100 * share
    step = 1.0 if percent >= 10 else 0.1  # noqa: PLR2004 - two significant digits
    return f"{math.ceil(percent / step - 1e-9) * step:.{0 if step == 1.0 else 1}f} %"


def rate_bound(share: float) -> str:
    """What bounds the share of fail-overs with convergence loss; 1 is no bound."""
    if share >= 1:
        return "too few without loss to bound the failure rate"
    return f"failure rate below {percent_above(share)} (95 % confidence)"


def bound_line(what: str, numbers: FailoverStatistics) -> str:
    """What so many trials say of the failure rate, and how many would say that it is below 5 %.

    The failure rate is the share of trials with convergence loss. Empty if the trials leave every rate
    credible.
    """
    if numbers.bound_convergence >= 1:
        return ""
    trials = f"{numbers.trials} {what}{'s bound' if numbers.trials != 1 else ' bounds'}"
    line = f"{trials} the failure rate below {percent_above(numbers.bound_convergence)} (95 % confidence)"
    if numbers.lossy_convergence + numbers.doubtful or numbers.bound_convergence < _SMALL:
        return line
    return f"{line}; {trials_needed(_SMALL)} bound it below {100 * _SMALL:.0f} %"


def _statistics(what: str, numbers: FailoverStatistics) -> list[str]:
    null = f", {numbers.null} not measured" if numbers.null else ""
    doubt = f", {numbers.doubtful} in doubt" if numbers.doubtful else ""
    line = (
        f"{numbers.trials} {what}{'' if numbers.trials == 1 else 's'}{null}: {numbers.lossy} with loss,"
        f" {numbers.lossy_convergence} with convergence loss{doubt}"
    )
    return [line, *filter(None, [bound_line(what, numbers)])]
