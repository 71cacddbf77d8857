"""The lab of a result as a drawing, with everything marked that a fault took away."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labctl.drawing.svg import draw
from labctl.model.codec import lab_from_dict
from labctl.report.format import fault_word
from labctl.report.markup import Markup

if TYPE_CHECKING:
    from labctl.verdict.schema import Result

__all__ = ["MOST_NODES", "topology_plot"]

MOST_NODES = 40
"""A drawing of more nodes is folded: nothing in it can be read on one screen."""


def topology_plot(result: Result) -> tuple[Markup, int] | None:
    """The drawing and its number of nodes; None where the journal has no lab that can be drawn."""
    try:
        lab = lab_from_dict(result.about.get("lab") or {})
    except (KeyError, ValueError, TypeError, AttributeError):
        return None  # of a damaged journal: the verdict says so
    if not lab.nodes:
        return None
    words: dict[str, list[str]] = {}
    for run in result.runs:
        for fault in run.faults:
            if fault.breaks:
                words.setdefault(fault.target, []).append(fault_word(fault))
    marked = {target: ", ".join(dict.fromkeys(told)) for target, told in words.items()}
    return Markup(draw(lab, marked, compact=True)), len(lab.nodes)
