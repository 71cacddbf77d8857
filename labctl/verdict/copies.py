"""Whether journals that are compared hold the same measurement: no two streams leave at the same moments."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labctl.errors import Problem
from labctl.verdict.integrity import departures
from labctl.verdict.record import read_runs

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from labctl.events import Event

__all__ = ["copies"]


def copies(journals: Mapping[str, Sequence[Event]]) -> Iterator[Problem]:
    """Runs that are in two journals, under whatever name; a run that is twice in one is damage of that one.

    Args:
        journals: the events of each, by path.
    """
    seen: dict[str, tuple[str, int]] = {}
    for path, events in journals.items():
        for record in read_runs(events):
            run = record.header.run
            for name, tally in record.tallies.items():
                if not tally.sent:
                    continue
                other, first = seen.setdefault(departures(tally), (path, run))
                if other != path:
                    text = f"stream {name} of run {run} left at the same moments as run {first} of {other}"
                    yield Problem(path, record.tally_lines[name], 1, f"{text}: one run, copied")
                    break
