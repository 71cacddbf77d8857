"""A tenant's segment over the shared wire: an 802.1Q VLAN where the kernel has it, else VXLAN.

Controllers, gateways and compute nodes choose by the same trial on the same kernel, and so alike.
As a program, ``labctl-python -m labctl.nova.segments INTERFACE FIRST LAST``, it makes the segments'
interfaces of a router that has all of them at once, and says which kind they are and why.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from enum import StrEnum

__all__ = [
    "SegmentKind",
    "SegmentTrial",
    "main",
    "segment_argv",
    "segment_lines",
    "segment_mtu",
    "try_segments",
]

GROUP = "239.40.0.1"
"""Multicast group of all VXLAN segments: the wire is one switch, and floods it."""

PORT = 4789
_VXLAN_BYTES = 50
"""Ethernet, VXLAN, UDP and IPv4 headers."""
_TRIAL = "labctl-trial"
_TRIAL_ID = "4094"


class SegmentKind(StrEnum):
    """How a tenant's frames are told apart on the wire."""

    VLAN = "802.1Q"
    VXLAN = "VXLAN"


@dataclass(frozen=True, slots=True)
class SegmentTrial:
    """What the kernel can do, and what it said when it cannot."""

    kind: SegmentKind
    reason: str


def try_segments(interface: str) -> SegmentTrial:
    """Make a VLAN interface and take it away again."""
    argv = ["ip", "link", "add", "link", interface, "name", _TRIAL, "type", "vlan", "id", _TRIAL_ID]
    made = subprocess.run(argv, capture_output=True, text=True, check=False)
    if made.returncode:
        output = made.stderr.strip().splitlines()
        why = output[-1] if output else f"ip ended with {made.returncode}"
        return SegmentTrial(SegmentKind.VXLAN, f"this kernel makes no VLAN interface ({why})")
    subprocess.run(["ip", "link", "delete", _TRIAL], capture_output=True, check=False)
    return SegmentTrial(SegmentKind.VLAN, "this kernel has 802.1Q")


def segment_argv(kind: SegmentKind, interface: str, vlan: int) -> tuple[str, ...]:
    """The words after ``ip`` that make the segment's interface, ``vlan<number>``."""
    name = f"vlan{vlan}"
    if kind is SegmentKind.VLAN:
        return ("link", "add", "link", interface, "name", name, "type", "vlan", "id", str(vlan))
    vxlan = ("id", str(vlan), "dev", interface, "group", GROUP, "dstport", str(PORT), "ttl", "4")
    return ("link", "add", "name", name, "type", "vxlan", *vxlan)


def segment_mtu(kind: SegmentKind, wire: int) -> int:
    """Bytes of IP packet that fit through a segment, of those that fit through the wire."""
    return wire - _VXLAN_BYTES if kind is SegmentKind.VXLAN else wire


def segment_lines(kind: SegmentKind, interface: str, vlans: range) -> list[str]:
    """Lines for ``ip -batch``: every segment's interface, up."""
    made = [" ".join(segment_argv(kind, interface, vlan)) for vlan in vlans]
    return [*made, *(f"link set dev vlan{vlan} up" for vlan in vlans)]


def main() -> int:
    """Make every segment; the exit code is that of ``ip``."""
    interface, first, last = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    trial = try_segments(interface)
    text = "\n".join(segment_lines(trial.kind, interface, range(first, last + 1))) + "\n"
    made = subprocess.run(["ip", "-batch", "-"], input=text, text=True, check=False)
    print(f"segments: {trial.kind}: {trial.reason}")  # noqa: T201 - the node's log
    return made.returncode


if __name__ == "__main__":
    sys.exit(main())
