"""What the first screen says: the verdict in one sentence, and what was measured but not judged.

A loss that no expectation is about makes no verdict better or worse. It must not look as if it had been
found good either: such streams are drawn without colour and named as not judged.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from labctl.report.format import bar, count
from labctl.verdict.schema import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labctl.verdict.schema import Result, StreamResult

__all__ = ["NOT_JUDGED", "Unjudged", "loss_judged", "sentence", "unjudged_losses"]

NOT_JUDGED = "measured, not judged"

_OF_LOSS = frozenset({"loss", "convergence-loss", "outage"})
"""Expectations that say how much a stream may lose, or for how long it may be out."""


@dataclass(frozen=True, slots=True)
class Unjudged:
    """A stream that lost packets, and no expectation says how many it may lose.

    Attributes:
        stream: its name.
        lost: to convergence, over all runs.
        longest_ns: outage of any of its flows; plus or minus ``error_ns``.
        counts: something else is expected of it, so that its figures stand among the judged ones.
    """

    stream: str
    lost: int
    longest_ns: int
    error_ns: int
    counts: bool

    def __str__(self) -> str:
        outage = f", outage {bar(self.longest_ns, self.error_ns)}" if self.longest_ns else ""
        return f"{self.stream} ({count(self.lost)} lost to convergence{outage})"


def loss_judged(result: Result) -> frozenset[str]:
    """Streams of which some expectation says how much they may lose."""
    return frozenset(
        name
        for one in result.expectations
        if one.kind in _OF_LOSS and not one.off_path
        for name in one.streams
    )


def unjudged_losses(result: Result) -> tuple[Unjudged, ...]:
    """Streams that lost packets to convergence and are judged by no expectation about loss or outage."""
    judged = loss_judged(result)
    found: dict[str, list[StreamResult]] = {}
    for run in result.runs:
        for stream in run.streams:
            if stream.name not in judged and stream.convergence_loss:
                found.setdefault(stream.name, []).append(stream)
    return tuple(_unjudged(name, streams) for name, streams in found.items())


def _unjudged(name: str, streams: list[StreamResult]) -> Unjudged:
    worst = max(streams, key=lambda stream: stream.longest_outage_ns)
    lost = sum(stream.convergence_loss for stream in streams)
    return Unjudged(name, lost, worst.longest_outage_ns, worst.error_ns, not worst.unjudged)


def sentence(result: Result) -> str:
    """The verdict in one sentence."""
    if result.verdict != Verdict.PASS:
        return _first(result)
    trials = result.failovers.trials
    over = f" over {count(trials)} fail-over{'' if trials == 1 else 's'}" if trials else ""
    told = "; ".join(_figures(result))
    return f"{_hold(len(result.expectations))}{over}" + (f": {told}" if told else "")


def _hold(number: int) -> str:
    names = {1: "The expectation holds", 2: "Both expectations hold"}
    return names.get(number, f"All {number} expectations hold")


def _first(result: Result) -> str:
    if not result.reasons:
        return "nothing was judged"
    more = len(result.reasons) - 1
    advice = next(
        (one.advice for one in result.expectations if one.verdict == result.verdict and one.advice), ""
    )
    return (
        result.reasons[0]
        + (f" ({advice})" if advice and advice not in result.reasons[0] else "")
        + (f" (and {more} more)" if more else "")
    )


def _figures(result: Result) -> Iterator[str]:
    """The judged figures of loss and outage."""
    judged = loss_judged(result)
    streams = [stream for run in result.runs for stream in run.streams if stream.name in judged]
    if not streams:
        return
    sent = sum(stream.sent for stream in streams)
    lost = sum(stream.convergence_loss for stream in streams)
    flight = sum(stream.in_flight for stream in streams)
    yield f"of {count(sent)} packets {count(lost)} lost to convergence, {count(flight)} in flight"
    worst = max(streams, key=lambda stream: stream.longest_outage_ns)
    yield f"longest outage {bar(worst.longest_outage_ns, worst.error_ns)}"
