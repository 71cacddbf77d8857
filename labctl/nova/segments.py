"""A tenant's segment over the shared wire: an 802.1Q VLAN where the kernel has it, else VXLAN.

Controllers and compute nodes choose by the same trial on the same kernel, and so alike.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from enum import StrEnum

__all__ = ["SegmentKind", "Trial", "segment_argv", "try_segments"]

GROUP = "239.40.0.1"
"""Multicast group of all VXLAN segments: the wire is one switch, and floods it."""

PORT = 4789
_TRIAL = "labctl-trial"
_TRIAL_ID = "4094"


class SegmentKind(StrEnum):
    """How a tenant's frames are told apart on the wire."""

    VLAN = "802.1Q"
    VXLAN = "VXLAN"


@dataclass(frozen=True, slots=True)
class Trial:
    """What the kernel can do, and what it said when it cannot."""

    kind: SegmentKind
    reason: str


def try_segments(interface: str) -> Trial:
    """Make a VLAN interface and take it away again."""
    argv = ["ip", "link", "add", "link", interface, "name", _TRIAL, "type", "vlan", "id", _TRIAL_ID]
    made = subprocess.run(argv, capture_output=True, text=True, check=False)
    if made.returncode:
        said = made.stderr.strip().splitlines()
        why = said[-1] if said else f"ip ended with {made.returncode}"
        return Trial(SegmentKind.VXLAN, f"this kernel makes no VLAN interface ({why})")
    subprocess.run(["ip", "link", "delete", _TRIAL], capture_output=True, check=False)
    return Trial(SegmentKind.VLAN, "this kernel has 802.1Q")


def segment_argv(kind: SegmentKind, interface: str, vlan: int) -> tuple[str, ...]:
    """The words after ``ip`` that make the segment's interface, ``vlan<number>``."""
    name = f"vlan{vlan}"
    if kind is SegmentKind.VLAN:
        return ("link", "add", "link", interface, "name", name, "type", "vlan", "id", str(vlan))
    vxlan = ("id", str(vlan), "dev", interface, "group", GROUP, "dstport", str(PORT), "ttl", "4")
    return ("link", "add", "name", name, "type", "vxlan", *vxlan)
