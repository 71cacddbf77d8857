"""``link-restore``: a link that was cut or made a black hole is whole again."""

from __future__ import annotations

from labctl.fault.link import restore_link
from labctl.scenario.kinds.plain import link_kind

__all__ = ["KIND"]

KIND = link_kind(
    "link-restore",
    "ends a `link-cut` and a `link-blackhole` of the link",
    "links that are whole again",
    restore_link,
)
