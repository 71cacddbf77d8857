"""The header of a run -> what was planned and what is expected of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from labctl.journal.records import EXPECTATION_KINDS
from labctl.verdict.parse import Fields, ShapeError
from labctl.verdict.parse_tally import parse_stream

if TYPE_CHECKING:
    from collections.abc import Mapping

    from labctl.probe.types import Stream

__all__ = ["FORMATS", "TMAX_NS", "Expected", "PlannedAction", "RunHeader", "parse_header"]

FORMATS = (1, 2)
"""Of the journals that can be judged. Format 1 has no evidence of what was on the links."""

TMAX_NS = 1_000_000_000
"""A packet that arrives later after its departure than this is lost (Tmax of RFC 7680), unless the
header says otherwise."""

_KINDS = {"repair-loss": "convergence-loss"}
"""What expectations were called in format 1 -> what they are called now."""

_MOST_STREAMS = 10_000
_MOST_FLOWS = 10_000_000


@dataclass(frozen=True, slots=True)
class Expected:
    """One expectation as the header of a run holds it.

    Attributes:
        kind: one of :data:`labctl.journal.records.EXPECTATION_KINDS`.
        streams: their names; never empty.
        packets: at most so many packets a run.
        at_least: at least so many packets a run (isolation: these must be lost); None if not asked.
        longest_ns: of outages and delays: no longer than this ...
        quantile: ... for this share of the flows (or packets).
        bound: share of fail-overs that may miss it at most, with 95 % confidence; 0 if not asked.
        text: as the user wrote it.
        off_path: it is about the flows that do not cross what is taken away.
    """

    kind: str
    streams: tuple[str, ...]
    packets: int = 0
    at_least: int | None = None
    longest_ns: int = 0
    quantile: float = 1.0
    bound: float = 0.0
    text: str = ""
    off_path: bool = False


@dataclass(frozen=True, slots=True)
class PlannedAction:
    """One step as it was planned.

    Attributes:
        text: in words; begins with the action.
        action: empty in format 1.
    """

    text: str
    action: str = ""
    nodes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RunHeader:
    """What a run was to be.

    Attributes:
        line: of the journal.
        traffic: the streams by name.
        about: scenario, topology, lab, machine, versions, seed, clock: what it takes to repeat the run.
        parallel: pairs of nodes with several links between them.
        monotonic_ns, realtime_ns: both clocks, read together.
        retry_of: number of the run that this one repeats; -1: none.
    """

    line: int
    format: int
    name: str
    run: int
    runs: int
    expect: tuple[Expected, ...]
    traffic: Mapping[str, Stream]
    steps: tuple[PlannedAction, ...]
    about: Mapping[str, Any]
    parallel: frozenset[frozenset[str]]
    monotonic_ns: int
    realtime_ns: int
    tmax_ns: int = TMAX_NS
    retry_of: int = -1

    @property
    def streams(self) -> tuple[str, ...]:
        """Names of the streams, in their order."""
        return tuple(self.traffic)


def parse_header(fields: Fields, line: int) -> RunHeader:
    """Read the data of a ``run.header`` event.

    Raises:
        ShapeError: it has another shape, or a format that is not among :data:`FORMATS`.
    """
    number = fields.integer("format")
    if number not in FORMATS:
        known = " or ".join(map(str, FORMATS))
        raise ShapeError(f"the journal has format {number}, {known} was expected")
    streams = [parse_stream(stream) for stream in fields.records("traffic")]
    traffic = {stream.name: stream for stream in streams}
    if len(traffic) < len(streams) or len(streams) > _MOST_STREAMS:
        raise ShapeError("run.header.traffic names a stream twice, or too many")
    if any(stream.flows > _MOST_FLOWS for stream in streams):
        raise ShapeError("run.header.traffic holds a stream of too many flows")
    clock = fields.record("clock")
    runs, run = fields.integer("runs", least=1), fields.integer("run", least=0)
    retry_of = fields.integer("retry_of", -1, least=-1)
    if retry_of >= run:
        raise ShapeError(f"run {run} repeats run {retry_of}, which comes later")
    if run >= runs and retry_of < 0:
        raise ShapeError(f"run.header.run is {run} of {runs} runs")
    return RunHeader(
        line=line,
        format=number,
        name=fields.record("scenario").text("name"),
        run=run,
        runs=runs,
        retry_of=retry_of,
        expect=tuple(_expected(one, number, tuple(traffic)) for one in fields.records("expect", ())),
        traffic=traffic,
        steps=tuple(_planned(step, number) for step in fields.records("steps")),
        about=_about(fields),
        parallel=_parallel(fields.mapping("lab")),
        monotonic_ns=clock.integer("monotonic_ns", least=0),
        realtime_ns=clock.integer("realtime_ns", least=0),
        tmax_ns=fields.integer("tmax_ns", TMAX_NS, least=1),
    )


def _expected(fields: Fields, journal_format: int, names: tuple[str, ...]) -> Expected:
    kind = fields.text("kind")
    if journal_format == 1:
        kind = _KINDS.get(kind, kind)
    if kind not in EXPECTATION_KINDS:
        raise ShapeError(f"{fields.where}.kind is {kind!r}")
    streams = fields.texts("streams")
    if strange := set(streams) - set(names):
        raise ShapeError(f"{fields.where} names stream {min(strange)!r}, which the run does not have")
    quantile, bound = fields.number("quantile", 1.0, least=0), fields.number("bound", 0.0, least=0)
    if quantile > 1 or bound >= 1:
        raise ShapeError(f"{fields.where}: quantile {quantile:g} or bound {bound:g} is no share")
    at_least = fields.data.get("at_least")
    return Expected(
        kind=kind,
        streams=streams or names,
        packets=fields.integer("packets", 0, least=0),
        at_least=None if at_least is None else fields.integer("at_least", least=0),
        longest_ns=fields.integer("longest_ns", 0, least=0),
        quantile=quantile,
        bound=bound,
        text=fields.text("text", ""),
        off_path=fields.flag("off_path", fields.data.get("aside", False)),
    )


def _planned(fields: Fields, journal_format: int) -> PlannedAction:
    text = fields.text("text")
    if journal_format == 1:
        return PlannedAction(text)
    return PlannedAction(text, fields.text("action"), fields.texts("nodes"))


def _about(fields: Fields) -> dict[str, Any]:
    """What the report shows of the header, of a shape that it can rely on."""
    scenario, topology = fields.record("scenario"), fields.record("topology")
    for key in ("name", "path", "text"):
        scenario.text(key, "")
    topology.text("path", ""), topology.text("text", ""), topology.texts("sets", ())
    fields.record("lab").mapping("vars", {})
    for part in ("machine", "versions"):
        for key, value in fields.mapping(part).items():
            if not isinstance(value, str | int | float):
                raise ShapeError(f"run.header.{part}.{key} is no plain value")
    if fields.data.get("seed") is not None:
        fields.integer("seed")
    return {
        **{
            key: fields.mapping(key)
            for key in ("scenario", "topology", "lab", "machine", "versions", "clock")
        },
        "seed": fields.data.get("seed"),
    }


def _parallel(lab: Mapping[str, Any]) -> frozenset[frozenset[str]]:
    """Pairs of nodes with more than one link between them; none where the lab's links are not told."""
    seen: set[frozenset[str]] = set()
    found: set[frozenset[str]] = set()
    ends: set[frozenset[str]] = set()
    for node in lab.get("nodes", ()) if isinstance(lab.get("nodes", ()), list | tuple) else ():
        name, interfaces = _pick(node, "name"), _pick(node, "interfaces")
        for interface in interfaces if isinstance(interfaces, list | tuple) else ():
            here, there = f"{name}:{_pick(interface, 'name')}", str(_pick(interface, "peer"))
            link = frozenset({here, there})
            if link in ends or len(link) == 1:
                continue
            ends.add(link)
            pair = frozenset({str(name), there.partition(":")[0]})
            if pair in seen:
                found.add(pair)
            seen.add(pair)
    return frozenset(found)


def _pick(value: object, key: str) -> object:
    return value.get(key, "") if isinstance(value, dict) else ""
