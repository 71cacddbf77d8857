"""``reordered`` (RFC 4737): no more such packets arrive in any run."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from labctl.document.entries import Entry, Names
from labctl.verdict.expectations.base import ExpectationKind, Packets
from labctl.verdict.expectations.counters import CounterExpectation

__all__ = ["KIND"]


class ReorderedEntry(Entry):
    """``reordered`` as a user writes it."""

    streams: Annotated[Names, Field(alias="reordered", description="streams whose reordered packets count")]
    packets: Packets


KIND = ExpectationKind(
    name="reordered",
    doc="in each run, at most so many packets arrive after a later one of their flow (RFC 4737)",
    example="{reordered: all, packets: 0}",
    entry=ReorderedEntry,
    judge=CounterExpectation("reordered"),
)
