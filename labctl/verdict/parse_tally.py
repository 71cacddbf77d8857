"""A ``tally`` event -> what the probe counted of one stream."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labctl.probe.types import (
    FlowTally,
    GeneratorHealth,
    LossPeriod,
    ReceiverHealth,
    Stream,
    StreamTally,
)
from labctl.verdict.parse import ShapeError

if TYPE_CHECKING:
    from labctl.verdict.parse import Fields

__all__ = ["parse_stream", "parse_tally"]


def parse_stream(fields: Fields) -> Stream:
    """Read a stream.

    Raises:
        ShapeError: it has another shape.
    """
    rate = fields.number("rate_pps")
    if rate <= 0:
        raise ShapeError(f"{fields.where}.rate_pps is {rate:g}")
    return Stream(
        name=fields.text("name"),
        source=fields.text("source"),
        destination=fields.text("destination"),
        source_address=fields.text("source_address"),
        destination_address=fields.text("destination_address"),
        proto=fields.text("proto", "udp"),
        rate_pps=rate,
        flows=fields.integer("flows", 1, least=1),
        size=fields.integer("size", 128, least=0),
        destinations=fields.texts("destinations", ()),
    )


def parse_tally(fields: Fields) -> StreamTally:
    """Read the data of a ``tally`` event.

    Raises:
        ShapeError: it has another shape.
    """
    counts = {
        name: fields.integer(name, least=0)
        for name in (
            *("start_ns", "end_ns", "sent", "received", "lost", "duplicated", "reordered"),
            *("delay_p50_ns", "delay_p99_ns", "delay_max_ns"),
        )
    }
    late = fields.data.get("late")
    return StreamTally(
        stream=parse_stream(fields.record("stream")),
        generator=_generator(fields.record("generator")),
        receiver=_receiver(fields.record("receiver")),
        flows=tuple(_flow(flow) for flow in fields.records("flows")),
        departures=fields.text("departures", ""),
        late=None if late is None else fields.integer("late", least=0),
        **counts,
    )


def _generator(fields: Fields) -> GeneratorHealth:
    names = ("due", "refused", "skipped", "late_p50_ns", "late_p99_ns", "late_max_ns")
    refusals = []
    for row in fields.items("refusals", ()):
        if not isinstance(row, list | tuple) or len(row) != 2:  # noqa: PLR2004 - a name and a number
            raise ShapeError(f"{fields.where}.refusals is no list of pairs")
        if not isinstance(row[0], str) or isinstance(row[1], bool) or not isinstance(row[1], int):
            raise ShapeError(f"{fields.where}.refusals is no list of names and numbers")
        refusals.append((row[0], row[1]))
    pauses = fields.rows("pauses", 2, ())
    if any(length < 0 for _, length in pauses):
        raise ShapeError(f"{fields.where}.pauses holds one shorter than nothing")
    return GeneratorHealth(
        **{name: fields.integer(name, least=0) for name in names},
        pauses=tuple((start, length) for start, length in pauses),
        refusals=tuple(refusals),
        priority=fields.text("priority", ""),
    )


def _receiver(fields: Fields) -> ReceiverHealth:
    return ReceiverHealth(
        overflowed=fields.integer("overflowed", 0, least=0),
        foreign=fields.integer("foreign", 0, least=0),
        backlog_dropped=fields.integer("backlog_dropped", 0, least=0),
        clock_drift_ns=fields.integer("clock_drift_ns", 0),
    )


def _flow(fields: Fields) -> FlowTally:
    names = ("flow", "source_port", "destination_port", "sent", "received", "lost", "duplicated", "reordered")
    gaps = None if fields.data.get("gaps") is None else fields.rows("gaps", 2)
    return FlowTally(
        **{name: fields.integer(name, least=0) for name in names},
        losses=tuple(_period(loss) for loss in fields.records("losses")),
        gaps=None if gaps is None else tuple((begin, end) for begin, end in gaps),
        open_gap=fields.flag("open_gap", False),
    )


def _period(fields: Fields) -> LossPeriod:
    return LossPeriod(
        first_seq=fields.integer("first_seq", least=0),
        count=fields.integer("count", least=1),
        start_ns=fields.integer("start_ns", least=0),
        end_ns=fields.integer("end_ns", least=0),
        outage_ns=fields.integer("outage_ns", least=0),
        error_ns=fields.integer("error_ns", least=0),
        open=fields.flag("open", False),
        sent_ns=fields.integers("sent_ns", (), least=0),
    )
