"""Sends, receives and counts probe packets. Knows streams and namespaces; never faults or verdicts.

The names below are the room's door; each is imported when it is first asked for, since scapy and
numpy are slow to load.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from labctl.probe.frames import Capture, Frame, FrameReport, capture, send_frames
    from labctl.probe.spec import PacketSpec, compile_packet
    from labctl.probe.traffic import Traffic, start_traffic
    from labctl.probe.types import (
        FlowTally,
        GeneratorHealth,
        LossPeriod,
        ReceiverHealth,
        Stream,
        StreamTally,
    )

__all__ = [
    "Capture",
    "FlowTally",
    "Frame",
    "FrameReport",
    "GeneratorHealth",
    "LossPeriod",
    "PacketSpec",
    "ReceiverHealth",
    "Stream",
    "StreamTally",
    "Traffic",
    "capture",
    "compile_packet",
    "send_frames",
    "start_traffic",
]

_WHERE = {
    "Capture": "frames",
    "Frame": "frames",
    "FrameReport": "frames",
    "capture": "frames",
    "send_frames": "frames",
    "PacketSpec": "spec",
    "compile_packet": "spec",
    "Traffic": "traffic",
    "start_traffic": "traffic",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever stands under that name
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_WHERE.get(name, 'types')}"), name)
