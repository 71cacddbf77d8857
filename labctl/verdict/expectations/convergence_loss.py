"""``convergence-loss``: no more packets are lost to convergence, reversion or for no known reason.

What was in flight at a fault is not counted, if evidence says that it was. Where only time can tell,
it may be either, and the answer is an interval.
"""

from __future__ import annotations

from labctl.verdict.expectations.loss import LossExpectation
from labctl.verdict.facts import CONVERGENCE_LOSS

__all__ = ["CONVERGENCE_LOSS_EXPECTATION"]

CONVERGENCE_LOSS_EXPECTATION = LossExpectation(
    classes=CONVERGENCE_LOSS, told_apart=True, word="lost to convergence"
)
