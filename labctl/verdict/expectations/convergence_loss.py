"""``convergence-loss``: no more packets are lost to convergence, reversion or for no known reason.

What was in flight at a fault is not counted, if evidence says that it was. Where only time can tell,
it may be either, and the answer is an interval.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from labctl.document.entries import Entry, Names
from labctl.verdict.expectations.base import Bound, ExpectationKind, OffPath, Packets
from labctl.verdict.expectations.loss import LossExpectation
from labctl.verdict.facts import CONVERGENCE_LOSS

__all__ = ["KIND"]


class ConvergenceLossEntry(Entry):
    """``convergence-loss`` as a user writes it."""

    streams: Annotated[
        Names,
        Field(
            alias="convergence-loss",
            description="streams whose loss counts, without the in-flight loss of a fault",
        ),
    ]
    packets: Packets
    off_path: OffPath = False
    bound: Bound | None = None


_JUDGE = LossExpectation(classes=CONVERGENCE_LOSS, told_apart=True, word="lost to convergence")

KIND = ExpectationKind(
    name="convergence-loss",
    doc="the same as `loss` without in-flight loss (RFC 6412: Convergence Packet Loss)",
    example="{convergence-loss: all, packets: 0}",
    entry=ConvergenceLossEntry,
    judge=_JUDGE,
    bounded=_JUDGE,
)
