"""Maps interfaces of this host to ports of the overlay."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from labctl.overlay.flow import FROM_TUNNEL

if TYPE_CHECKING:
    from labctl.overlay.flow import ToTunnel

__all__ = ["Bound", "PortBindings"]

_DIRECT = FROM_TUNNEL << 1
"""Added to a tunnel key in a mark: a frame of the agent's own that goes straight into that tunnel."""


@dataclass(frozen=True, slots=True)
class Bound:
    """An interface that is a port.

    Attributes:
        key: of the port.
        interface: name.
        ifindex: number.
    """

    key: int
    interface: str
    ifindex: int


@dataclass(slots=True)
class PortBindings:
    """Bound interfaces, by key and by number."""

    _by_key: dict[int, Bound] = field(default_factory=dict)
    _by_ifindex: dict[int, Bound] = field(default_factory=dict)

    def bind(self, bound: Bound) -> None:
        """An interface is a port from now on."""
        self._by_key[bound.key] = bound
        self._by_ifindex[bound.ifindex] = bound

    def unbind(self, key: int) -> Bound | None:
        """It is one no more; what it was."""
        bound = self._by_key.pop(key, None)
        if bound is not None:
            self._by_ifindex.pop(bound.ifindex, None)
        return bound

    def bound(self) -> tuple[Bound, ...]:
        """All of them."""
        return tuple(self._by_key.values())

    def ingress(self, origin: int) -> int | None:
        """The simulation's ingress for an upcall's origin; None for an interface that is no port."""
        if origin >= FROM_TUNNEL:
            return origin
        bound = self._by_ifindex.get(origin)
        return None if bound is None else bound.key

    def ifindex(self, key: int) -> int | None:
        """Interface number of a port; None if it is not on this host."""
        bound = self._by_key.get(key)
        return None if bound is None else bound.ifindex

    def interface(self, key: int) -> str | None:
        """Interface name of a port; None if it is not on this host."""
        bound = self._by_key.get(key)
        return None if bound is None else bound.interface

    def direct(self, output: ToTunnel) -> int:
        """The origin under which a frame of the agent's own goes straight into a tunnel."""
        return _DIRECT | output.key
