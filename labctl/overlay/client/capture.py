"""A capture on every interface of a lab, for one packet."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Self

from labctl.errors import ProbeError
from labctl.overlay.client.observation import lengths, program, read_frame
from labctl.probe.frames import Capture, capture

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from types import TracebackType

    from labctl.overlay.client.observation import Observation
    from labctl.overlay.flow import Packet

__all__ = ["MultiCapture"]


class MultiCapture:
    """Captures from the moment it is made; a context manager."""

    def __init__(self, spaces: Mapping[str, Path], sent: Packet, token: bytes, tunnel_port: int) -> None:
        """Begin to capture.

        Args:
            spaces: node or VM -> its network namespace.
            sent: the packet that will be sent.
            token: bytes that it carries and no other.
            tunnel_port: UDP port of the tunnels.
        """
        self._sent, self._token, self._port = sent, token, tunnel_port
        version = 4 if sent.eth_type == 0x0800 else 6  # noqa: PLR2004 - IPv4's
        taken = program(lengths(sent.length, version))
        self._captures: dict[str, Capture] = {}
        for name, netns in spaces.items():
            # A node may lose its power at any moment; the others are captured all the same.
            with contextlib.suppress(ProbeError):
                self._captures[name] = capture(netns, program=taken)
        self.observations: list[Observation] = []

    @property
    def overflowed(self) -> bool:
        """Whether something passed that could not be kept."""
        return any(one.dropped for one in self._captures.values())

    def poll(self) -> None:
        """Take what has come since the last call."""
        for name, one in self._captures.items():
            for frame in one.read():
                seen = read_frame(name, frame, self._token, self._sent, self._port)
                if seen is not None:
                    self.observations.append(seen)
        self.observations.sort(key=lambda seen: seen.t_ns)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for one in self._captures.values():
            one.close()
