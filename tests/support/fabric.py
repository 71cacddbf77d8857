"""Hosts of an overlay as namespaces: real programs, real VXLAN between them, engines in this process."""

from __future__ import annotations

import ctypes
import os
import select
import socket
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

from labctl.overlay.agent.connections import Connections
from labctl.overlay.agent.engine import FlowEngine
from labctl.overlay.agent.host import decide_by
from labctl.overlay.agent.ports import Bound, PortBindings
from labctl.overlay.agent.preinstalled import PreinstalledFlows
from labctl.overlay.config.model import Host
from labctl.overlay.datapath import devices
from labctl.overlay.datapath.cache import FlowCache
from labctl.overlay.datapath.channel import Channel
from labctl.overlay.datapath.layout import PortRecord
from labctl.overlay.packet import address_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from labctl.overlay.simulation.topology import VirtualTopology

SLOTS = 24
FLOWS = 4096
_CLONE_NEWNET = 0x40000000
_LIBC = ctypes.CDLL(None, use_errno=True)
RATE_LIMIT = PortRecord(0, 1_000_000, 1_000_000)


@contextmanager
def inside(namespace: str) -> Iterator[None]:
    """This thread in a network namespace, for a while."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    away = os.open(f"/run/netns/{namespace}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        if _LIBC.setns(away, _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"setns {namespace}")
        yield
    finally:
        _LIBC.setns(home, _CLONE_NEWNET)
        os.close(home)
        os.close(away)


def open_tap(interface: str) -> socket.socket:
    """Opens a tap that sends and receives whole frames at the end of a link."""
    tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.htons(3))
    tap.setsockopt(263, 23, 1)  # PACKET_IGNORE_OUTGOING
    tap.bind((interface, 3))
    return tap


@dataclass
class Node:
    """One host: its namespace, its cache and channel, and what is at the other end of its ports.

    ``slots`` are interfaces ``p0``.. of the host; the far end of each is in a namespace of "VMs".
    """

    name: str
    namespace: str
    far: str
    cache: FlowCache
    channel: Channel
    ifindexes: dict[str, int]
    taps: dict[str, socket.socket]
    engine: FlowEngine = field(init=False)
    ports: PortBindings = field(init=False)
    slot_of: dict[str, str] = field(default_factory=dict)
    preinstalled: PreinstalledFlows | None = None
    flows: int = FLOWS

    def reset(self, topology: VirtualTopology) -> None:
        """Nothing is known, and nothing in the kernel."""
        self.cache.remove([key for key, _ in self.cache.entries()])
        self.cache.remove([key for key, _ in self.cache.entries(fixed=True)], fixed=True)
        self.cache.forget_connections(self.connections())
        self.cache.unset_inside(self.cache.inside())
        for ifindex in self.cache.bound():
            self.cache.unbind(ifindex)
        self.restart(topology)

    def connections(self) -> list[bytes]:
        """Those that are known, packed."""
        return [key for rows in self.cache.connections() for key, _ in rows]

    def age(self) -> None:
        """As if no flow had been used for a while: each looks for its connections when it is used again."""
        self.cache.write([(key, replace(entry, last_ns=0)) for key, entry in self.cache.entries()])

    def restart(self, topology: VirtualTopology) -> None:
        """A new agent; the kernel is as the last one left it."""
        self.ports = PortBindings()
        self.slot_of = {}
        self.engine = FlowEngine(
            decide_by(topology, self.name),
            self.ports,
            self.cache,
            self.channel,
            Connections(self.cache, self.flows),
        )

    def bind(self, topology: VirtualTopology) -> set[str]:
        """The VMs of this host on slots of their own; the names of ports that moved."""
        moved = set()
        wanted = {name: view.key for name, view in topology.ports.items() if view.item.host == self.name}
        for name in [name for name in self.slot_of if name not in wanted]:
            slot = self.slot_of.pop(name)
            for bound in self.ports.bound():
                if bound.interface == slot:
                    self.ports.unbind(bound.key)
                    self.cache.unbind(bound.ifindex)
            moved.add(f"port:{name}")
        free = [slot for slot in self.ifindexes if slot not in self.slot_of.values() and slot != "out"]
        for name, key in wanted.items():
            if name not in self.slot_of:
                self.slot_of[name] = free.pop(0)
                self._bind(key, self.slot_of[name], uplink=False)
                moved.add(f"port:{name}")
        for uplink in topology.uplinks.values():
            if "out" in self.ifindexes and uplink.name not in self.slot_of:
                self.slot_of[uplink.name] = "out"
                self._bind(uplink.key, "out", uplink=True)
                moved.add(f"uplink:{uplink.name}")
        self.engine.share_connections()
        return moved

    def _bind(self, key: int, slot: str, *, uplink: bool) -> None:
        self.ports.bind(Bound(key, slot, self.ifindexes[slot]))
        with inside(self.namespace):
            self.cache.bind(
                self.ifindexes[slot], PortRecord(key, RATE_LIMIT.rate, RATE_LIMIT.burst), uplink=uplink
            )

    def change(self, topology: VirtualTopology, tags: frozenset[str] | set[str]) -> None:
        """What the agent's Host does."""
        self.engine.use(decide_by(topology, self.name))
        moved = self.bind(topology)
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        if moved:
            self.engine.revalidate(moved, now)
        self.engine.revalidate(tags, now)
        self.cache.take_tunnels_from(
            {
                address_bytes(host.tunnel)
                for host in topology.items.get(Host, {}).values()
                if isinstance(host, Host)
            }
        )
        if self.preinstalled is not None:
            self.preinstalled.update(topology)


class Fabric:
    """Hosts on one switch."""

    def __init__(
        self,
        prefix: str,
        target: Path,
        underlay: Mapping[str, tuple[str, ...]],
        *,
        slots: int = SLOTS,
        flows: int = FLOWS,
    ) -> None:
        """``underlay``: addresses of each host; names that start with ``gw`` get an uplink."""
        self.prefix = prefix
        self.flows = flows
        self.namespaces: list[str] = []
        self.nodes: dict[str, Node] = {}
        try:
            switch = self._namespace("sw")
            subprocess.run(
                ["ip", "-n", switch, "-batch", "-"],
                input=b"link add sw type bridge mcast_snooping 0\nlink set sw mtu 1600 up",
                check=True,
            )
            for name, addresses in underlay.items():
                self.nodes[name] = self._node(name, target, addresses, slots)
        except BaseException:
            self.close()
            raise

    def _namespace(self, name: str) -> str:
        full = self.prefix + name
        subprocess.run(["ip", "netns", "add", full], check=True)
        self.namespaces.append(full)
        if name != "sw":
            with inside(full):
                for scope in ("all", "default"):
                    Path(f"/proc/sys/net/ipv6/conf/{scope}/accept_dad").write_text("0")
        return full

    def _node(self, name: str, target: Path, addresses: tuple[str, ...], slots: int) -> Node:
        host, far = self._namespace(name), self._namespace(f"{name}v")
        with inside(far):
            for scope in ("all", "default"):
                Path(f"/proc/sys/net/ipv6/conf/{scope}/disable_ipv6").write_text("1")
        names = [*(f"p{n}" for n in range(slots)), *(["out"] if name.startswith("gw") else [])]
        uplink = f"link add u0 mtu 1600 type veth peer name {name} mtu 1600 netns {self.prefix}sw"
        lines = ["link set lo up", uplink]
        for address in addresses:
            version6 = ip_address(address).version == 6
            lines.append(f"address add {address}/{64 if version6 else 16} dev u0" + (" nodad" * version6))
        lines.append("link set u0 up")
        for slot in names:
            lines.append(f"link add {slot} mtu 9000 type veth peer name v{slot} mtu 9000 netns {far}")
            lines.append(f"link set {slot} addrgenmode none arp off up")
        subprocess.run(["ip", "-n", host, "-batch", "-"], input="\n".join(lines).encode(), check=True)
        up = [f"link set v{slot} addrgenmode none arp off up" for slot in names]
        subprocess.run(["ip", "-n", far, "-batch", "-"], input="\n".join(up).encode(), check=True)
        at_switch = f"link set {name} master sw up"
        subprocess.run(["ip", "-n", f"{self.prefix}sw", "-batch", "-"], input=at_switch.encode(), check=True)
        cache, channel, ifindexes = self.agent(host, target, addresses, names, flows=self.flows)
        with inside(far):
            taps = {slot: open_tap(f"v{slot}") for slot in names}
        return Node(name, host, far, cache, channel, ifindexes, taps, flows=self.flows)

    @staticmethod
    def agent(
        namespace: str, target: Path, addresses: tuple[str, ...], names: list[str], *, flows: int = FLOWS
    ) -> tuple[FlowCache, Channel, dict[str, int]]:
        """What an agent opens at its start."""
        with inside(namespace):
            found = devices.ensure(port=6677)
            local = {ip_address(address).version: address for address in reversed(addresses)}
            cache = FlowCache.open(
                target,
                vxlan=found.vxlan,
                upcall=found.kernel_end,
                tunnel_rate_limit=RATE_LIMIT,
                local=tuple(local.values()),
                flows=flows,
            )
            ifindexes = {slot: socket.if_nametoindex(slot) for slot in names}
            return cache, Channel(devices.AGENT_END), ifindexes

    def use(self, topology: VirtualTopology) -> None:
        """Begin with a topology."""
        for node in self.nodes.values():
            node.reset(topology)
            if node.name.startswith("gw"):
                node.preinstalled = PreinstalledFlows(node.name, node.ports, node.cache)
            node.change(topology, set())
        self.settle()

    def settle(self) -> list[tuple[str, str, bytes]]:
        """Serve upcalls until nothing moves; what came out: host, port, frame."""
        taps = {
            tap.fileno(): (node, slot, tap) for node in self.nodes.values() for slot, tap in node.taps.items()
        }
        channels = {node.channel.fileno(): node for node in self.nodes.values()}
        poll = select.poll()
        for descriptor in (*taps, *channels):
            poll.register(descriptor, select.POLLIN)
        out = []
        while ready := poll.poll(4):
            for descriptor, _ in ready:
                if descriptor in channels:
                    node = channels[descriptor]
                    for upcall in node.channel.receive(64):
                        node.engine.upcall(upcall, time.clock_gettime_ns(time.CLOCK_MONOTONIC))
                else:
                    node, slot, tap = taps[descriptor]
                    frame = tap.recv(70000)
                    names = [name for name, held in node.slot_of.items() if held == slot]
                    out.append((node.name, names[0] if names else slot, frame))
        return out

    def send(self, host: str, port: str, frame: bytes) -> list[tuple[str, str, bytes]]:
        """A frame from a VM (or a gateway's kernel): what came out anywhere."""
        node = self.nodes[host]
        node.taps[node.slot_of[port]].send(frame)
        return self.settle()

    def close(self) -> None:
        for node in self.nodes.values():
            node.channel.close()
            node.cache.close()
            for tap in node.taps.values():
                tap.close()
        for name in self.namespaces:
            subprocess.run(["ip", "netns", "del", name], check=False)
