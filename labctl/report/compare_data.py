"""Several results side by side: how many flows were out how long after a fail-over. Pure.

Designs with other streams, rates and numbers of flows are laid on the same axes: the share of all
flows that the fault could have hit, over the time since the kernel was told of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from posixpath import normpath
from typing import TYPE_CHECKING, Any

from labctl.report.format import fault_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from labctl.verdict.schema import FaultResult, Result, RunResult, StreamResult

__all__ = ["Design", "FlowOutage", "Outage", "SharedStream", "design_of", "quantile", "share_out", "shared"]


@dataclass(frozen=True, slots=True)
class Outage:
    """One flow without service at one fail-over: seconds after the kernel was told of the fault."""

    begin_s: float
    end_s: float
    open: bool


@dataclass(frozen=True, slots=True)
class FlowOutage:
    """The longest outage of one flow over all fail-overs, in seconds; 0 for none that was seen.

    Attributes:
        open: it had not ended when the traffic did.
    """

    seconds: float
    open: bool = False


@dataclass(frozen=True, slots=True)
class SharedStream:
    """One stream of one design, as it is laid beside the same stream of another.

    Attributes:
        shape: protocol, packets a second, size in bytes, number of flows: what makes it the same.
        flows: in their order.
        error_s: outages are true to this, either way.
    """

    name: str
    shape: tuple[str, float, int, int]
    flows: tuple[FlowOutage, ...]
    error_s: float

    @property
    def hit(self) -> int:
        """Flows with an outage."""
        return sum(1 for flow in self.flows if flow.seconds)

    @property
    def longest(self) -> FlowOutage:
        """The longest of all."""
        return max(self.flows, key=lambda flow: (flow.open, flow.seconds), default=FlowOutage(0.0))


@dataclass(frozen=True, slots=True)
class Design:
    """One folder of results.

    Attributes:
        name: of the scenario, or as the user calls it.
        verdict: of the scenario by itself.
        topology: path of its topology, and what was set.
        variables: of the topology, as they were.
        faults: what was done, in words, each kind once.
        started: real time of the first run's beginning, ISO 8601 in UTC.
        runs, seed: of the series.
        machine: that it ran on, and the runtime.
        trials, lossy_convergence: fail-overs that some flow crossed, and those with convergence loss.
        bound_convergence: with 95 % confidence, no larger share of fail-overs has convergence loss.
        streams: by name.
        failovers: how many.
        flows: that crossed a victim or were hit, over all fail-overs: rows of the result's outages.
        outages: of all fail-overs.
        longest_s: for each of them that had one, the outage.
        error_s: outages are true to this, either way.
        sent: packets, over the whole result.
        in_flight, convergence_loss: packets lost at fail-overs.
        at_return: packets lost at returns.
        elsewhere: packets lost that no action accounts for.
    """

    name: str
    verdict: str
    topology: str
    variables: Mapping[str, Any]
    faults: tuple[str, ...]
    started: str
    runs: int
    seed: int | None
    machine: Mapping[str, Any]
    trials: int
    lossy_convergence: int
    bound_convergence: float
    streams: Mapping[str, SharedStream]
    failovers: int
    flows: int
    outages: tuple[Outage, ...]
    longest_s: tuple[float, ...]
    error_s: float
    sent: int
    in_flight: int
    convergence_loss: int
    at_return: int
    elsewhere: int

    @property
    def hit(self) -> int:
        """Flows hit, over all fail-overs."""
        return len(self.longest_s)


def design_of(result: Result, name: str = "") -> Design:
    """What is compared of a result."""
    faults = [(run, fault) for run in result.runs for fault in run.faults if fault.breaks]
    rows = [row for run in result.runs for row in run.outages if row.fault >= 0 and not row.unjudged]
    outages = [one for run, fault in faults for spans in _of(run, fault) for one in spans]
    streams = [stream for run in result.runs for stream in run.judged]
    about = result.about
    topology = about.get("topology", {})
    sets = " ".join(topology.get("sets", ()))
    return Design(
        name=name or result.name,
        verdict=str(result.verdict),
        topology=f"{normpath(topology.get('path') or 'none')} {sets}".strip(),
        variables=about.get("lab", {}).get("vars", {}),
        faults=tuple(dict.fromkeys(fault_name(fault) for _, fault in faults)),
        started=result.runs[0].started if result.runs else "",
        runs=len(result.runs),
        seed=about.get("seed"),
        machine={**about.get("machine", {}), "runtime": about.get("runtime", "")},
        trials=result.failovers.trials,
        lossy_convergence=result.failovers.lossy_convergence,
        bound_convergence=result.failovers.bound_convergence,
        streams={name: _shared_stream(name, result.runs) for name in _names(result.runs)},
        failovers=len(faults),
        flows=len(rows),
        outages=tuple(outages),
        longest_s=tuple(sorted(row.outage_ns / 1e9 for row in rows if row.outage_ns)),
        error_s=max((stream.error_ns for stream in streams), default=0) / 1e9,
        sent=sum(stream.sent for stream in streams),
        in_flight=sum(fault.in_flight for _, fault in faults),
        convergence_loss=sum(fault.convergence_loss for _, fault in faults),
        at_return=sum(
            fault.convergence_loss for run in result.runs for fault in run.faults if not fault.breaks
        ),
        elsewhere=sum(stream.unexplained for stream in streams),
    )


def _names(runs: Sequence[RunResult]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(stream.name for run in runs for stream in run.streams))


def _shared_stream(name: str, runs: Sequence[RunResult]) -> SharedStream:
    """One stream over all runs: of each flow the longest outage that a fail-over explains."""
    found: list[tuple[RunResult, StreamResult]] = [
        (run, stream) for run in runs for stream in run.streams if stream.name == name
    ]
    first = found[0][1]
    longest = [FlowOutage(0.0)] * len(first.flows)
    for run, stream in found:
        places = {flow.flow: place for place, flow in enumerate(stream.flows[: len(longest)])}
        for row in run.outages:
            if row.stream == name and row.fault >= 0 and row.flow in places:
                seen, place = FlowOutage(row.outage_ns / 1e9, row.open), places[row.flow]
                longest[place] = max(longest[place], seen, key=lambda one: (one.open, one.seconds))
    return SharedStream(
        name,
        (first.proto, first.rate_pps, first.size, len(first.flows)),
        tuple(longest),
        max(stream.error_ns for _, stream in found) / 1e9,
    )


def shared(designs: Sequence[Design]) -> tuple[str, ...]:
    """Streams that every design has, alike in protocol, rate, size and number of flows."""
    if not designs:
        return ()
    return tuple(
        name
        for name, stream in designs[0].streams.items()
        if all(name in other.streams and other.streams[name].shape == stream.shape for other in designs[1:])
    )


def _of(run: RunResult, fault: FaultResult) -> Iterator[list[Outage]]:
    """Of each flow that the fault hit, and something is expected of: its outages."""
    for stream in run.judged:
        for flow in stream.flows:
            spans = [
                Outage(
                    (loss.start_ns - fault.told_ns) / 1e9,
                    (loss.start_ns + loss.outage_ns - fault.told_ns) / 1e9,
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
