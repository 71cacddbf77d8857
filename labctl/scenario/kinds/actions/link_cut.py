"""``link-cut``: both ends of a link lose carrier."""

from __future__ import annotations

from labctl.fault.link import cut_link
from labctl.scenario.kinds.actions import link_restore
from labctl.scenario.kinds.plain import link_kind

__all__ = ["KIND"]

KIND = link_kind(
    "link-cut",
    "both ends of the link lose carrier (`r1:eth2` where there are several links)",
    "links whose both ends lose carrier",
    cut_link,
    undo=link_restore.KIND,
)
