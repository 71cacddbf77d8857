"""``duplicated`` (RFC 5560): no more such packets arrive in any run."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from labctl.document.entries import Entry, Names
from labctl.verdict.expectations.base import ExpectationKind, Packets
from labctl.verdict.expectations.counters import CounterExpectation

__all__ = ["KIND"]


class DuplicatedEntry(Entry):
    """``duplicated`` as a user writes it."""

    streams: Annotated[Names, Field(alias="duplicated", description="streams whose duplicated packets count")]
    packets: Packets


KIND = ExpectationKind(
    name="duplicated",
    doc="in each run, at most so many packets arrive more than once (RFC 5560)",
    example="{duplicated: all, packets: 0}",
    entry=DuplicatedEntry,
    judge=CounterExpectation("duplicated"),
)
