"""What the overlay is measured on: two hosts as namespaces, one underlay link, a VM on each.

Once with the overlay's datapath and an agent's engine in a process of its own on each host, once with
what the kernel has: a bridge and a VXLAN device with a fixed remote. The VMs are alike, and so is the
underlay: one veth pair from host to host.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

from fabric import Fabric, Node, inside

from labctl.overlay.agent.fair_queue import RoundRobinQueue
from labctl.overlay.agent.loop import Loop
from labctl.overlay.config.model import HostKind
from labctl.overlay.config.plan import (
    PrefixPools,
    VmSpec,
    plan_base,
    plan_host,
    plan_network,
    plan_tenant,
    plan_vm,
)
from labctl.overlay.config.state import Edit, State
from labctl.overlay.datapath import cache as cache_module
from labctl.overlay.simulation.topology import VirtualTopology

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Bed", "bridge_bed", "inside", "overlay_bed"]

UNDERLAY = {"c1": ("198.18.0.1",), "c2": ("198.18.0.2",)}
MTU = 1450


@dataclass(frozen=True)
class Bed:
    """Two VMs that reach each other.

    Attributes:
        name: of the kind.
        vms: their namespaces.
        addresses: theirs.
        agents: processes that serve upcalls; empty without.
    """

    name: str
    vms: tuple[str, str]
    addresses: tuple[str, str]
    agents: tuple[int, ...] = ()


def _ip(namespace: str, *lines: str) -> None:
    subprocess.run(["ip", "-n", namespace, "-batch", "-"], input="\n".join(lines).encode(), check=True)


def _serve(node: Node) -> None:
    """An agent's loop without its clock and its database."""
    Loop.go_first()
    queue = RoundRobinQueue()
    poll = select.poll()
    poll.register(node.channel.fileno(), select.POLLIN)
    while True:
        poll.poll(0 if queue else 1000)
        for upcall in node.channel.receive(512):
            queue.push(upcall)
        some = [queue.take() for _ in range(min(len(queue), 64))]
        node.engine.serve(some, time.clock_gettime_ns(time.CLOCK_MONOTONIC))


@contextmanager
def overlay_bed(prefix: str, vms: int = 1) -> Iterator[Bed]:
    """The overlay; ``vms`` on the first host, one on the second."""
    edit = Edit(State())
    plan_base(edit, ip_address("198.18.255.1"))
    for name, (address,) in UNDERLAY.items():
        plan_host(edit, name, HostKind.COMPUTE, ip_address(address))
    plan_tenant(edit, "t")
    plan_network(edit, "t", "net", PrefixPools())
    first = [plan_vm(edit, VmSpec(f"vm{n}", "net", "c1")) for n in range(vms)]
    second = plan_vm(edit, VmSpec("far", "net", "c2"))
    with tempfile.TemporaryDirectory() as folder:
        built = Path(folder) / "flowcache.bpf.o"
        build = Path(cache_module.__file__).with_name("build")
        subprocess.run(["sh", str(build), str(built)], check=True)
        fabric = Fabric(prefix, built, UNDERLAY, slots=vms, flows=cache_module.MOST_FLOWS)
    _join(*(node.namespace for node in fabric.nodes.values()))
    pids: list[int] = []
    try:
        fabric.use(VirtualTopology.of(edit.items()))
        for node in fabric.nodes.values():
            for tap in node.taps.values():
                tap.close()
            node.taps.clear()
        for vm in (*first, second):
            node = fabric.nodes[vm.host]
            _plug(node.far, f"v{node.slot_of[vm.name]}", vm.mac, f"{vm.addresses[0]}/24")
        for node in fabric.nodes.values():
            pid = os.fork()
            if pid == 0:
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
                _serve(node)
            pids.append(pid)
        nodes = fabric.nodes
        addresses = (str(first[0].addresses[0]), str(second.addresses[0]))
        yield Bed("overlay", (nodes["c1"].far, nodes["c2"].far), addresses, tuple(pids))
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGTERM)
            os.waitpid(pid, 0)
        fabric.close()


def _join(one: str, other: str) -> None:
    """One link between two hosts, in place of what there was."""
    for host in (one, other):
        subprocess.run(["ip", "-n", host, "link", "del", "u0"], check=False, capture_output=True)
    _ip(one, f"link add u0 mtu 1600 type veth peer name u0 mtu 1600 netns {other}")
    for number, host in enumerate((one, other), 1):
        _ip(host, f"address add 198.18.0.{number}/24 dev u0", "link set u0 up")


def _plug(namespace: str, interface: str, mac: str, address: str) -> None:
    _ip(
        namespace,
        "link set lo up",
        f"link set {interface} address {mac} mtu {MTU} arp on up",
        f"address add {address} dev {interface}",
    )


@contextmanager
def bridge_bed(prefix: str) -> Iterator[Bed]:
    """A bridge and a VXLAN device of the kernel's own."""
    names = [f"{prefix}{n}" for n in ("h1", "h2", "v1", "v2")]
    h1, h2, v1, v2 = names
    try:
        for name in names:
            subprocess.run(["ip", "netns", "add", name], check=True)
        _join(h1, h2)
        for number, (host, vm) in enumerate(((h1, v1), (h2, v2)), 1):
            _ip(
                host,
                "link set lo up",
                "link add sw type bridge mcast_snooping 0",
                f"link add vx type vxlan id 7 dstport 4789 remote 198.18.0.{3 - number}",
                f"link add p0 type veth peer name v0 netns {vm}",
                "link set vx master sw up",
                "link set p0 master sw up",
                "link set sw up",
            )
            _plug(vm, "v0", f"02:00:00:00:00:0{number}", f"10.77.0.{number}/24")
        yield Bed("bridge", (v1, v2), ("10.77.0.1", "10.77.0.2"))
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], check=False)
