"""``node-restore``: the black hole of a node ends."""

from __future__ import annotations

from labctl.fault.link import restore_node
from labctl.scenario.kinds.plain import node_kind

__all__ = ["KIND"]

KIND = node_kind(
    "node-restore",
    "ends the `node-blackhole` of the node",
    "nodes whose black hole ends",
    lambda lab, node, listen: restore_node(lab.runtime, lab.folder, node, listen),
)
