"""Checks of the kernel: each feature is used once in a throw-away network namespace.

Module names say nothing (a feature may be built in, or its module may be missing from the running
kernel's package), so nothing here looks at them. A feature that is a module is loaded by being used.
"""

from __future__ import annotations

import platform
import socket
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from labctl.doctor.model import ALL, Check, LackingError, Purpose
from labctl.linux.features import FEATURES, VETH, in_new_namespace, ruleset, run, trial

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["CHECKS"]

_GROUP = "kernel"
_OVERLAY = """
mount -t tmpfs t "$1" && cd "$1" && mkdir l u w m && mount -t overlay o -o lowerdir=l,upperdir=u,workdir=w m
"""


def _packet_socket() -> str:
    def work() -> None:
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0) as sock:
            sock.bind(("lo", 0))

    in_new_namespace(work)
    return "works"


def _overlay() -> str:
    with tempfile.TemporaryDirectory(prefix="labctl-doctor-") as folder:
        run(("unshare", "-m", "--propagation", "private", "sh", "-c", _OVERLAY, "sh", folder))
    return "works"


def _namespaces() -> str:
    run(("unshare", "--mount", "--pid", "--uts", "--ipc", "--net", "--fork", "true"))
    return "mount, pid, uts, ipc, net"


def _sysctls() -> str:
    names = (
        "ipv4/conf/all/ignore_routes_with_linkdown",
        "ipv6/conf/all/ignore_routes_with_linkdown",
        "ipv4/fib_multipath_hash_policy",
        "ipv6/fib_multipath_hash_policy",
    )

    def work() -> None:
        lacking = [name for name in names if not (Path("/proc/sys/net") / name).exists()]
        if lacking:
            raise LackingError("no " + ", ".join(lacking))

    in_new_namespace(work)
    return "there"


def _extra_modules() -> tuple[str, ...]:
    """Ubuntu keeps what few servers need in a package of its own, one for each kernel."""
    try:
        ubuntu = "\nID=ubuntu\n" in "\n" + Path("/etc/os-release").read_text()
    except OSError:
        ubuntu = False
    return (f"linux-modules-extra-{platform.release()}",) if ubuntu else ()


_NETNS = frozenset({Purpose.EMBEDDED, Purpose.TESTS})


def _needed(name: str, reason: str, probe: Callable[[], str], needed: frozenset[Purpose] = ALL) -> Check:
    return Check(name, _GROUP, reason, probe, needed=needed, fix="another kernel is needed")


def _useful(name: str, reason: str, probe: Callable[[], str]) -> Check:
    fix = "the running kernel does not have it: another kernel is needed"
    return Check(name, _GROUP, reason, probe, useful=ALL, packages=_extra_modules(), fix=fix)


CHECKS = (
    _needed("namespaces", "a node is a set of them", _namespaces, _NETNS),
    _needed("overlay file system", "every node has the host's files and its own changes", _overlay, _NETNS),
    _needed("veth", "every link is a pair of them", FEATURES["veth"]),
    _needed("bridge", "switches are bridges", FEATURES["bridge"]),
    _needed("AF_PACKET", "the probe sends and receives whole packets", _packet_socket),
    _needed(
        "equal-cost routes",
        "traffic goes over several gateways at once",
        trial(
            VETH,
            "ip link set dev a up",
            "ip link set dev b up",
            "ip addr add 192.0.2.1/31 dev a",
            "ip addr add 192.0.2.3/31 dev b",
            "ip route add 198.51.100.0/24 nexthop via 192.0.2.0 nexthop via 192.0.2.2",
        ),
    ),
    _needed("sysctls of routing", "a lost link takes its routes at once; flows keep to their path", _sysctls),
    _needed(
        "nftables, netdev ingress",
        "silent loss: carrier stays, packets go nowhere",
        trial(
            VETH,
            "nft -f -",
            stdin=ruleset("netdev", 'type filter hook ingress device "a" priority 0; drop'),
        ),
    ),
    _useful(
        "nftables, inet",
        "filters and address translation in nodes",
        FEATURES["nf_tables"],
    ),
    _useful(
        "vxlan",
        "tunnels between the machines of a virtual network",
        FEATURES["vxlan"],
    ),
    _useful(
        "cls_bpf",
        "datapath programs on a node's interfaces",
        FEATURES["cls_bpf"],
    ),
    _useful(
        "netem",
        "delay, jitter and random loss on a link; without it only loss and rate can be had",
        FEATURES["netem"],
    ),
    _useful(
        "tbf",
        "a bounded rate on a link",
        FEATURES["tbf"],
    ),
    _useful(
        "8021q",
        "VLANs of the legacy network; without it each is a VXLAN segment",
        FEATURES["8021q"],
    ),
    _useful(
        "bridge vlan_filtering",
        "VLANs on a switch",
        FEATURES["vlan_filtering"],
    ),
    _useful("vrf", "routing tables of tenants", FEATURES["vrf"]),
    _useful("dummy", "interfaces without a link", FEATURES["dummy"]),
)
