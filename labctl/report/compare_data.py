"""Several results side by side: how many flows were out how long after a fail-over. Pure.

Designs with other streams, rates and numbers of flows are laid on the same axes: the share of all
flows that the fault could have hit, over the time since its first effect.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labctl.verdict.schema import FaultResult, Result, RunResult

__all__ = ["Design", "Outage", "design_of", "quantile", "share_out"]


@dataclass(frozen=True, slots=True)
class Outage:
    """One flow without service at one fail-over: seconds after the fault's first effect."""

    begin_s: float
    end_s: float
    open: bool


@dataclass(frozen=True, slots=True)
class Design:
    """One folder of results.

    Attributes:
        name: of the scenario, or as the user calls it.
        verdict: of the scenario by itself.
        topology: path of its topology, and what was set.
        failovers: how many.
        flows: flows times fail-overs: as many as could have been hit.
        outages: of all fail-overs.
        longest_s: for each flow and fail-over that was hit, the longest outage.
        error_s: outages are true to this, either way.
        sent: packets, over the whole result.
        in_flight, repair: packets lost at fail-overs.
        at_return: packets lost at returns.
        elsewhere: packets lost that no action accounts for.
    """

    name: str
    verdict: str
    topology: str
    failovers: int
    flows: int
    outages: tuple[Outage, ...]
    longest_s: tuple[float, ...]
    error_s: float
    sent: int
    in_flight: int
    repair: int
    at_return: int
    elsewhere: int

    @property
    def hit(self) -> int:
        """Flows hit, over all fail-overs."""
        return len(self.longest_s)


def design_of(result: Result, name: str = "") -> Design:
    """What is compared of a result."""
    faults = [(run, fault) for run in result.runs for fault in run.faults if fault.breaks]
    outages: list[Outage] = []
    longest: list[float] = []
    for run, fault in faults:
        for spans in _of(run, fault):
            outages += spans
            longest.append(max(span.end_s - span.begin_s for span in spans))
    streams = [stream for run in result.runs for stream in run.streams]
    topology = result.about.get("topology", {})
    sets = " ".join(topology.get("sets", ()))
    return Design(
        name=name or result.name,
        verdict=str(result.verdict),
        topology=f"{topology.get('path', '')} {sets}".strip(),
        failovers=len(faults),
        flows=sum(sum(len(stream.flows) for stream in run.streams) for run, _ in faults),
        outages=tuple(outages),
        longest_s=tuple(sorted(longest)),
        error_s=max((stream.error_ns for stream in streams), default=0) / 1e9,
        sent=sum(stream.sent for stream in streams),
        in_flight=sum(fault.in_flight for _, fault in faults),
        repair=sum(fault.repair for _, fault in faults),
        at_return=sum(fault.repair for run in result.runs for fault in run.faults if not fault.breaks),
        elsewhere=sum(stream.unexplained for stream in streams),
    )


def _of(run: RunResult, fault: FaultResult) -> Iterator[list[Outage]]:
    """Of each flow that the fault hit: its outages."""
    for stream in run.streams:
        for flow in stream.flows:
            spans = [
                Outage(
                    (loss.start_ns - fault.first_ns) / 1e9,
                    (loss.start_ns + loss.outage_ns - fault.first_ns) / 1e9,
                    loss.open,
                )
                for loss in flow.losses
                if loss.step == fault.index
            ]
            if spans:
                yield spans


def share_out(design: Design, moment_s: float) -> float:
    """Share of flows without service so long after the fault."""
    if not design.flows:
        return 0.0
    out = sum(one.begin_s <= moment_s and (one.open or moment_s < one.end_s) for one in design.outages)
    return out / design.flows


def quantile(design: Design, share: float) -> float:
    """Longest outage of that share of all flows, in seconds, nearest rank; a flow not hit has none."""
    if not design.flows:
        return 0.0
    rank = max(1, -(-int(share * design.flows * 1_000_000) // 1_000_000))
    unhurt = design.flows - design.hit
    return 0.0 if rank <= unhurt else design.longest_s[min(rank - unhurt, design.hit) - 1]
