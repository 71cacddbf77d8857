"""The protocols between the engine and the kernel: a flow cache to write to, and a way to send."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from labctl.overlay.agent.megaflow import MegaflowMap

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from collections.abc import Set as AbstractSet

    from labctl.overlay.datapath.channel import Upcall
    from labctl.overlay.datapath.layout import FlowEntry

__all__ = ["Cache", "Sender"]


class Cache(MegaflowMap, Protocol):
    """What the engine needs of the kernel's cache."""

    def write(self, rows: Sequence[tuple[bytes, FlowEntry]], *, fixed: bool = False) -> None:
        """Write entries."""

    def put(self, rows: Sequence[tuple[bytes, bytes]]) -> None:
        """Write entries that are packed already."""

    def restore(self, key: bytes, value: bytes) -> bool:
        """Write a packed entry if it is no more there; whether it was not."""

    def remove(self, keys: Iterable[bytes], *, fixed: bool = False) -> int:
        """Delete entries."""

    def made_by(self, generations: AbstractSet[int]) -> list[bytes]:
        """Keys of the entries that the kernel made from these megaflows."""


class Sender(Protocol):
    """What the engine needs of the channel."""

    def again(self, upcall: Upcall) -> None:
        """Send a packet into the cache once more."""

    def out_of(self, interface: str, frame: bytes, head: bytes = ...) -> None:
        """Send a frame out of an interface; ``head`` is that of the upcall it is a copy of."""

    def into(self, origin: int, frame: bytes, head: bytes = ...) -> None:
        """Send a frame into the cache as if it came from ``origin``."""
