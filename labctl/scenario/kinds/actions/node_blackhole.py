"""``node-blackhole``: all links of a node drop every packet, and carrier stays."""

from __future__ import annotations

from labctl.fault.link import blackhole_node
from labctl.scenario.kinds.actions import node_restore
from labctl.scenario.kinds.plain import node_kind

__all__ = ["KIND"]

KIND = node_kind(
    "node-blackhole",
    "a silent failure of all links of the node",
    "nodes that drop every packet",
    lambda lab, node, listen: blackhole_node(lab.runtime, lab.folder, node, listen),
    undo=node_restore.KIND,
    silent=lambda _params: True,
)
