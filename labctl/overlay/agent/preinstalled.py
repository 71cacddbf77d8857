"""Proactive flows of a gateway: one entry for every VM address, and one outbound for all the rest.

With all of them installed in the kernel before the gateway attracts traffic, flows that move to it meet no
first packets.
"""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network
from typing import TYPE_CHECKING, Protocol

from labctl.overlay.agent.entries import entry_of
from labctl.overlay.datapath.layout import flow_key
from labctl.overlay.flow import FROM_TUNNEL, FlowKey, Forward, Match, Packet
from labctl.overlay.packet import IP4, IP6, is_ipv4
from labctl.overlay.simulation.engine import simulate
from labctl.overlay.simulation.inward import inside_prefixes, inward

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from labctl.overlay.agent.ports import PortBindings
    from labctl.overlay.datapath.layout import FlowEntry
    from labctl.overlay.simulation.topology import VirtualTopology

__all__ = ["FixedCache", "Prefix", "PreinstalledFlows", "prefixes"]

Prefix = IPv4Network | IPv6Network
_MAPPED_BITS = 96
_NOWHERE = bytes(16)


class FixedCache(Protocol):
    """What is needed of the kernel's cache."""

    def write(self, rows: Sequence[tuple[bytes, FlowEntry]], *, fixed: bool = False) -> None:
        """Write entries."""

    def remove(self, keys: Iterable[bytes], *, fixed: bool = False) -> int:
        """Delete entries."""

    def set_inside(self, prefixes: Iterable[Prefix]) -> None:
        """Add prefixes that nothing from outside may claim as its source."""

    def unset_inside(self, prefixes: Iterable[Prefix]) -> None:
        """Remove them."""


class PreinstalledFlows:
    """Entries installed before any packet, brought up to date from one snapshot to the next."""

    def __init__(
        self,
        host: str,
        ports: PortBindings,
        cache: FixedCache,
        left: Iterable[tuple[bytes, FlowEntry]] = (),
        inside: Iterable[Prefix] = (),
    ) -> None:
        """Start from what an earlier agent left in the kernel: entries, and prefixes that are inside."""
        self._host = host
        self._ports = ports
        self._cache = cache
        self._rows: dict[bytes, FlowEntry] = dict(left)
        self._inside: frozenset[Prefix] = frozenset(inside)

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def inside(self) -> frozenset[Prefix]:
        """The tenants' routed prefixes, as of the last update: what BGP announces."""
        return self._inside

    def update(self, topology: VirtualTopology) -> int:
        """Write what is new or different, remove what is no more; how many entries that were."""
        wanted = dict(self._wanted(topology))
        fresh = [(key, entry) for key, entry in wanted.items() if self._rows.get(key) != entry]
        gone = self._rows.keys() - wanted.keys()
        self._cache.write(fresh, fixed=True)
        self._cache.remove(gone, fixed=True)
        self._rows = wanted
        inside = frozenset(prefixes(topology))
        self._cache.set_inside(inside - self._inside)
        self._cache.unset_inside(self._inside - inside)
        self._inside = inside
        return len(fresh) + len(gone)

    def _wanted(self, topology: VirtualTopology) -> Iterator[tuple[bytes, FlowEntry]]:
        for one in inward(topology, self._host):
            entry = entry_of(one.forward, self._ports)
            if entry is not None:
                key = FlowKey(
                    one.ingress, IP4 if is_ipv4(one.dst) else IP6, 0, 0, b"", b"", 0, 0, b"", one.dst
                )
                yield flow_key(key, Match.DESTINATION), entry
        for uplink in topology.uplinks.values():
            ingress = FROM_TUNNEL | uplink.key
            packet = Packet(b"", uplink.mac, uplink.kernel_mac, IP4, _NOWHERE, _NOWHERE, ttl=255)
            decision = simulate(topology, self._host, packet, ingress, _never)
            if isinstance(decision, Forward) and decision.match is Match.INGRESS:
                entry = entry_of(decision, self._ports)
                if entry is not None:
                    yield flow_key(packet.key(ingress), Match.INGRESS), entry


def prefixes(topology: VirtualTopology) -> Iterator[Prefix]:
    """The tenants' routed prefixes as networks."""
    for first, bits in inside_prefixes(topology):
        if is_ipv4(first):
            yield IPv4Network((first[12:], bits - _MAPPED_BITS))
        else:
            yield IPv6Network((first, bits))


def _never(_: object) -> bool:
    return False
