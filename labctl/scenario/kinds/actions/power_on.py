"""``power-on``: a node gets its power back."""

from __future__ import annotations

from labctl.fault.power import power_on
from labctl.scenario.kinds.action import Power
from labctl.scenario.kinds.plain import node_kind

__all__ = ["KIND"]

KIND = node_kind(
    "power-on",
    "the node gets its power back and boots as it did at first",
    "nodes that get their power back",
    lambda lab, node, listen: power_on(lab.runtime, lab.folder, node, listen),
    power=lambda _params: Power.ON,
)
