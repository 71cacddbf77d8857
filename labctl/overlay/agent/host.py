"""One host's overlay: snapshot, engine, ports, and on a gateway its proactive flows.

This module applies a change of the state database to the kernel, in the order that loses no packet: install
flow entries before advertising routes; withdraw routes before removing entries.
"""

from __future__ import annotations

import socket
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from labctl.overlay.agent.guests import PREFIX as GUEST_PREFIX
from labctl.overlay.agent.guests import GuestSpec
from labctl.overlay.agent.kernel import KERNEL_SIDE, OVERLAY_SIDE
from labctl.overlay.agent.ports import Bound, PortBindings
from labctl.overlay.agent.preinstalled import Prefix, PreinstalledFlows
from labctl.overlay.config.model import Host, Uplink
from labctl.overlay.datapath.layout import PortRecord
from labctl.overlay.packet import address_bytes
from labctl.overlay.simulation.engine import router_advertisements, simulate

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from ipaddress import IPv4Address, IPv6Address

    from labctl.overlay.agent.config import AgentConfig
    from labctl.overlay.agent.drain import Gate
    from labctl.overlay.agent.engine import FlowEngine
    from labctl.overlay.agent.guests import Guests
    from labctl.overlay.agent.kernel import Kernel
    from labctl.overlay.datapath.cache import FlowCache
    from labctl.overlay.datapath.channel import Channel
    from labctl.overlay.flow import ConnKey, Decision, Packet
    from labctl.overlay.simulation.topology import VirtualTopology

__all__ = ["OverlayHost", "decide_by"]


def decide_by(
    topology: VirtualTopology, host: str
) -> Callable[[int, Packet, Callable[[ConnKey], bool]], Decision]:
    """The simulation over one snapshot, with the signature that the engine needs."""

    def decide(ingress: int, packet: Packet, established: Callable[[ConnKey], bool]) -> Decision:
        return simulate(topology, host, packet, ingress, established)

    return decide


@dataclass(slots=True)
class _Attraction:
    """What the gateway's kernel has been given, so that the underlay and BGP send packets to it."""

    prefixes: frozenset[Prefix] = frozenset()
    anycast: frozenset[IPv4Address | IPv6Address] = frozenset()
    uplink: Uplink | None = None


class OverlayHost:
    """The overlay on this node."""

    def __init__(
        self,
        *,
        config: AgentConfig,
        topology: VirtualTopology,
        ports: PortBindings,
        engine: FlowEngine,
        cache: FlowCache,
        channel: Channel,
        kernel: Kernel,
        gate: Gate,
        guests: Guests | None = None,
    ) -> None:
        """Begin with a snapshot (an empty one, say); :meth:`change` brings the next."""
        self.guests = guests
        self._config = config
        self.topology = topology
        self._ports = ports
        self._engine = engine
        self._cache = cache
        self._channel = channel
        self._kernel = kernel
        self._gate = gate
        self._preinstalled: PreinstalledFlows | None = None
        self._advertised = _Attraction()
        self._to_adopt = cache.adopted
        # A copy on disk may be older than what an earlier agent has left in the kernel: until the
        # database itself was read, nothing of that is judged, and nothing taken away.
        self._sure = not cache.adopted
        self._left: list[bytes] = []
        self._trusted: frozenset[bytes] = frozenset()
        self._trusted_only = False
        if config.uplink:
            # What an earlier agent has left is where this one goes on from.
            self._preinstalled = PreinstalledFlows(
                config.host, ports, cache, cache.entries(fixed=True), cache.inside()
            )
            self._advertised = _Attraction(kernel.routed(), kernel.attracting())
        self._guard()

    def change(
        self, topology: VirtualTopology, tags: Collection[str], now_ns: int, *, fresh: bool = True
    ) -> int:
        """A new snapshot: ports, entries, and on a gateway what it attracts; entries decided anew.

        Args:
            topology: the snapshot.
            tags: of all that differs from the one before.
            now_ns: CLOCK_MONOTONIC.
            fresh: whether it came from the state database; else from a copy of some time ago.
        """
        sure = self._sure or fresh
        if topology is self.topology and sure == self._sure:
            return 0
        self.topology, self._sure = topology, sure
        self._engine.use(decide_by(topology, self._config.host))
        self._place()
        self.bind_ports()
        if topology.complete:
            self._trust()
        touched = self._engine.revalidate(tags, now_ns)
        if self._to_adopt and self._sure and topology.complete:
            self._to_adopt = False
            self._left = [key for key, _ in self._cache.entries()]
            if not self._left:
                self._engine.adopted()
        if self._preinstalled is not None and topology.complete:
            self._gateway(self._preinstalled)
        return touched

    def _trust(self) -> None:
        """Tunnels are taken from the hosts of the overlay alone."""
        hosts = frozenset(
            address_bytes(host.tunnel)
            for host in self.topology.items.get(Host, {}).values()
            if isinstance(host, Host)
        )
        if hosts != self._trusted or self._sure != self._trusted_only:
            self._cache.take_tunnels_from(hosts, only=self._sure)
            self._trusted, self._trusted_only = hosts, self._sure

    @property
    def adopting(self) -> bool:
        """Whether entries of an earlier agent wait to be decided anew."""
        return bool(self._left)

    def adopt(self, most: int, now_ns: int) -> None:
        """Decide some of them anew: a few at a time, so that first packets need not wait for all."""
        some, self._left = self._left[:most], self._left[most:]
        self._engine.adopt(some, now_ns)
        if not self._left:
            self._engine.adopted()

    @property
    def settled(self) -> bool:
        """Whether every entry in the kernel is known here; while not, none may be called idle."""
        return not self._to_adopt and not self._left

    @property
    def missing(self) -> str:
        """What is missing before packets can go their way; empty when nothing is."""
        if not self.topology.complete:
            return "the state database has not been read yet"
        if self.topology.host(self._config.host) is None:
            return "the state database does not know this host"
        if self._preinstalled is not None and not self._advertised.prefixes >= self._preinstalled.inside:
            return "no routes to the tenants yet"
        if self._preinstalled is not None and self._advertised.uplink is None:
            return "no uplink yet"
        bound = {one.interface for one in self._ports.bound()}
        waiting = sorted(set(self._config.ports) - bound)
        return f"no port of the state database for {', '.join(waiting)}" if waiting else ""

    def _guard(self) -> None:
        """Nothing that a VM sends may reach this node's own kernel, not even before its port is known."""
        for interface in self._config.ports:
            ifindex = _ifindex(interface)
            if ifindex and ifindex not in self._cache.bound():
                self._cache.guard(ifindex)

    def _place(self) -> None:
        """See to it that the VMs live that are placed on this host and are no nodes of the lab."""
        if self.guests is None or not self.topology.complete:
            return
        nodes = set(self._config.ports.values())
        self.guests.want(
            {
                view.key: GuestSpec(name, view.key, view.item.mac)
                for name, view in self.topology.ports.items()
                if view.item.host == self._config.host and name not in nodes
            },
            only=self._sure,
        )

    def _named(self) -> dict[str, str]:
        """Interface -> name of the VM port that belongs on it."""
        return {**self._config.ports, **(self.guests.interfaces() if self.guests is not None else {})}

    def tend(self) -> None:
        """Once a second: handle interfaces that came or went without a notification."""
        if self.guests is not None:
            self.guests.tend()
        self.bind_ports()

    def bind_ports(self) -> None:
        """Bind interfaces whose VM port the database knows; let go of those that it knows no more.

        An interface that is not there yet, or comes back with another number, is bound when it is.
        """
        named = self._named()
        wanted = {
            self.topology.ports[name].key: interface
            for interface, name in named.items()
            if name in self.topology.ports
        }
        moved = set()
        for one in self._ports.bound():
            if one.interface == OVERLAY_SIDE:
                continue
            if wanted.get(one.key) != one.interface or _ifindex(one.interface) != one.ifindex:
                self._ports.unbind(one.key)
                self._cache.unbind(one.ifindex)
                moved.add(one.interface)
        bound = {one.key for one in self._ports.bound()}
        fresh = [key for key in wanted if key not in bound and self._bind(key, wanted[key], uplink=False)]
        moved |= {wanted[key] for key in fresh}
        if moved:
            self._engine.share_connections()
        if moved:
            # Entries name interfaces by number.
            tags = {f"port:{named[interface]}" for interface in moved if interface in named}
            self._engine.revalidate(tags, time.clock_gettime_ns(time.CLOCK_MONOTONIC))
        if fresh:
            self.advertise()

    def _bind(self, key: int, interface: str, *, uplink: bool) -> bool:
        ifindex = _ifindex(interface)
        if not ifindex:
            return False
        self._ports.bind(Bound(key, interface, ifindex))
        rate_limit = PortRecord(key, self._config.upcalls_a_second, self._config.upcalls_at_once)
        self._cache.bind(ifindex, rate_limit, uplink=uplink)
        if self.guests is not None and interface.startswith(GUEST_PREFIX):
            self.guests.bound(interface)
        return True

    def _gateway(self, preinstalled: PreinstalledFlows) -> None:
        uplink = self.topology.uplinks.get(self._config.uplink)
        item = self._item_uplink()
        if uplink is None or item is None:
            return
        if self._advertised.uplink != item:
            self._kernel.ensure_uplink(item)
            self._bind(item.key, OVERLAY_SIDE, uplink=True)
            self._advertised.uplink = item
            self._engine.revalidate((f"uplink:{item.name}",), time.clock_gettime_ns(time.CLOCK_MONOTONIC))
        if not self._sure:
            return
        gateways = self.topology.gateways
        if self.topology.host(self._config.host) is None:
            # No gateway any more: nothing is announced, and what still comes is passed on as before.
            # Routes, address and entries stay as they are: neighbours need a moment to go elsewhere.
            self._gate.drain(on=True)
            return
        preinstalled.update(self.topology)
        prefixes = preinstalled.inside
        self._kernel.routes_inward(
            item, prefixes - self._advertised.prefixes, self._advertised.prefixes - prefixes
        )
        self._advertised.prefixes = prefixes
        anycast = frozenset((gateways.anycast,)) if gateways is not None else frozenset()
        for address in self._advertised.anycast - anycast:
            self._kernel.repel(address)
        for address in anycast - self._advertised.anycast:
            self._kernel.attract(address)
        self._advertised.anycast = anycast
        self._gate.drain(on=gateways is not None and self._config.host in gateways.draining)

    def _item_uplink(self) -> Uplink | None:
        item = self.topology.items.get(Uplink, {}).get(self._config.uplink)
        return item if isinstance(item, Uplink) else None

    def advertise(self) -> None:
        """Unasked router advertisements to the VMs of this host."""
        for key, frame in router_advertisements(self.topology, self._config.host).items():
            interface = self._ports.interface(key)
            if interface is not None:
                self._channel.out_of(interface, frame)

    def status(self) -> dict[str, Any]:
        """The status for the operator."""
        return {
            "host": self._config.host,
            "kind": self._config.kind,
            "complete": self.topology.complete,
            "flows": len(self._engine),
            "preinstalled": len(self._preinstalled) if self._preinstalled is not None else 0,
            "ports": {one.interface: one.key for one in self._ports.bound()},
            "attracts": sorted(str(prefix) for prefix in self._advertised.prefixes),
            "anycast": sorted(str(address) for address in self._advertised.anycast),
            "missing": self.missing,
            "lost": dict(self._channel.lost),
            "kernel": self._cache.counters(),
            "counts": dict(self._engine.counts),
            "connections": {str(port): use._asdict() for port, use in self._engine.connection_use().items()},
            "uplink": KERNEL_SIDE if self._advertised.uplink is not None else "",
        }


def _ifindex(interface: str) -> int:
    """Number of an interface; 0 while it is not there."""
    try:
        return socket.if_nametoindex(interface)
    except OSError:
        return 0
