"""Definition -> what the embedded runtime's helper is asked to do, and what a machine must have for it."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from labctl.clab import labels
from labctl.clab.definition import DEFERRED_UP
from labctl.errors import HostError, NodeError
from labctl.lab import node_groups
from labctl.lab.needs import lacks
from labctl.runtime.embedded import capabilities, rootfs
from labctl.runtime.embedded.nsenter import clean_environment, program

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from labctl.clab.definition import Definition, NodeDefinition
    from labctl.lab.state import LabDir
    from labctl.runtime.embedded.launcher import BootRequest, BootSpec, VethSpec

__all__ = ["FIRST_INDEX", "make_folders", "missing", "plan", "refusals", "veths"]

FIRST_INDEX = 100
"""ifindex of the first link end of a lab. Every end gets a number of its own, never its peer's: where
both ends of a veth have the same, the kernel takes up to a second to act on a lost carrier."""

_NEEDED = (("tini", "tini"), ("nsenter", "util-linux"), ("setpriv", "util-linux"), ("ip", "iproute2"))
_FRR = Path("/usr/lib/frr/zebra")
_DOCKER_SYSCTLS = {"net.ipv4.ip_forward": "1"}
"""Docker turns forwarding on for the machine, and new network namespaces inherit it: routers of other authors
rely on it. It stands before a node's own, since a change of it sets other sysctls back."""

_PLAIN_IMAGES = ("alpine", "busybox", "debian", "ubuntu", "netshoot", "network-multitool", "iperf3", "fedora")

BRIDGE_BOOT = """
ip link add name br0 up type bridge stp_state 0
for interface in $LABCTL_INTERFACES; do
    until ip link set dev "$interface" master br0 up 2>/dev/null; do sleep 0.02; done
done
exec sleep infinity
"""
"""What a node of kind bridge runs; the names come by its environment and are names of interfaces."""


def missing(definition: Definition | None) -> tuple[str, ...]:
    """What this machine lacks for the definition, one line each with its fix."""
    found = []
    if os.geteuid() != 0:
        found.append("root is needed to make namespaces and links: use sudo")
    for name, package in _NEEDED:
        try:
            program(name)
        except HostError:
            found.append(f"{name} is not installed: apt-get install {package}")
    if "overlay" not in Path("/proc/filesystems").read_text().split():
        found.append("the kernel has no overlay file system: modprobe overlay")
    found += refusals(definition) if definition else ()
    nodes = definition.nodes if definition else ()
    found += lacks((node.name, each) for node in nodes for each in labels.requirements(node))
    return tuple(found)


def refusals(definition: Definition) -> tuple[str, ...]:
    """What the definition asks that this runtime does not do here: a line each, with its place."""
    found = [*definition.unsupported]
    for node in definition.nodes:
        # labctl wrote the files of nodes that it rendered: their places tell nobody anything.
        place = f"{node.place}: " if node.place and labels.ROLE not in node.labels else ""
        found += node.unsupported
        found += [f"{place}node {node.name}: {line}" for line in [*_node_lacks(node), *_binds_lost(node)]]
    return tuple(found)


def _node_lacks(node: NodeDefinition) -> list[str]:
    if node.kind not in ("linux", "bridge"):
        only = "the embedded runtime has only linux and bridge: use --runtime containerlab"
        return [f"kind {node.kind!r}: {only}"]
    found = []
    words = [*node.entrypoint, *node.cmd]
    if words and not _program_there(words[0], node):
        found.append(f"{words[0]} is not on this machine, whose own programs the embedded runtime uses")
    if not words and node.kind == "linux" and not _plain(node.image) and not _is_frr(node):
        found.append(
            f"what image {node.image or '(none)'} starts by itself is not known to the embedded runtime: "
            "give the node a `cmd`, or use --runtime containerlab"
        )
    # A node of ours says itself what it requires.
    has_frr = _is_frr(node) or any(bind.target.rstrip("/") == "/etc/frr" for bind in node.binds)
    if has_frr and not _FRR.exists() and not labels.requirements(node):
        found.append("FRR is not installed on this machine: apt-get install frr")
    found += [
        f"capability {name} cannot be given on this machine" for name in capabilities.lacking(node.cap_add)
    ]
    return found


def _program_there(word: str, node: NodeDefinition) -> bool:
    if "/" not in word:
        return shutil.which(word, path=clean_environment(node)["PATH"]) is not None
    for bind in node.binds:
        target = bind.target.rstrip("/")
        if word == target or word.startswith(f"{target}/"):
            return Path(f"{bind.source}{word[len(target) :]}").exists()
    return Path(word).exists()


def _plain(image: str) -> bool:
    """Whether an image starts nothing but a shell: then this machine's files will do."""
    name = image.rpartition("/")[2].partition(":")[0].partition("@")[0]
    return image.startswith("labctl/") or name in _PLAIN_IMAGES


def _is_frr(node: NodeDefinition) -> bool:
    return not node.cmd and not node.entrypoint and "frrouting/frr" in node.image


def make_folders(lab: LabDir) -> None:
    """Everything that a boot expects under the lab's folder."""
    for folder in (lab.netns, lab.parked, lab.logs, lab.path / "init", lab.path / "scratch"):
        folder.mkdir(parents=True, exist_ok=True)


def veths(definition: Definition) -> list[VethSpec]:
    """Every link with the numbers that its ends get; see :data:`FIRST_INDEX`."""
    return [
        {
            "a": (link.a.node, link.a.interface, link.macs[0], FIRST_INDEX + 2 * number),
            "b": (link.b.node, link.b.interface, link.macs[1], FIRST_INDEX + 2 * number + 1),
            "mtu": link.mtu,
        }
        for number, link in enumerate(definition.links)
    ]


def plan(lab: LabDir, nodes: Sequence[NodeDefinition], links: Sequence[VethSpec]) -> BootRequest:
    """What the helper is asked to do.

    Raises:
        NodeError: a bind has no source.
        HostError: a program is not installed.
    """
    _check_binds(nodes)
    submounts, skeleton = rootfs.submounts(), rootfs.skeleton()
    joins = node_groups.join_files(lab, [spec.name for spec in nodes])
    ends: dict[str, list[str]] = {}
    for link in links:
        for node, interface, _, _ in (link["a"], link["b"]):
            ends.setdefault(node, []).append(interface)
    return {
        "nodes": [
            {
                **_node_plan(lab, spec, ends.get(spec.name, []), submounts, skeleton),
                "cgroup": os.fspath(joins.get(spec.name, "")),
            }
            for spec in nodes
        ],
        "veths": list(links),
    }


def _node_plan(
    lab: LabDir,
    node: NodeDefinition,
    interfaces: list[str],
    submounts: list[str],
    skeleton: list[tuple[str, int, int, int]],
) -> BootSpec:
    (lab.netns / node.name).touch()
    binds = sorted(node.binds, key=lambda bind: bind.target.count("/"))
    # What a node takes up by itself, once it can pass traffic on, is not taken up for it.
    deferred = node.labels.get(DEFERRED_UP, "").split()
    return {
        "name": node.name,
        "netns": os.fspath(lab.netns / node.name),
        "log": os.fspath(lab.logs / node.name),
        "pidfile": os.fspath(lab.path / "init" / node.name),
        "argv": [program("tini"), "-g", "--", *_words(node)],
        "env": clean_environment(node),
        "sysctls": [(_sysctl_file(key), value) for key, value in _sysctls(node).items()],
        "interfaces": [name for name in interfaces if name not in deferred],
        "capabilities": sorted(capabilities.granted(node.cap_add)),
        "cgroup": "",
        "root": {
            "scratch": os.fspath(lab.path / "scratch"),
            "hostname": node.name,
            "binds": [
                *rootfs.interpreter(),
                *((os.fspath(bind.source), bind.target, bind.read_only) for bind in binds),
            ],
            "submounts": submounts,
            "skeleton": skeleton,
            "python": sys.executable,
        },
    }


def _words(node: NodeDefinition) -> list[str]:
    words = [*node.entrypoint, *node.cmd]
    if words:
        return words
    if node.kind == "bridge":
        return ["/bin/sh", "-c", BRIDGE_BOOT]
    if _is_frr(node):
        return ["/bin/sh", "-c", "/usr/lib/frr/frrinit.sh start; exec sleep infinity"]
    return ["sleep", "infinity"]


def _sysctls(node: NodeDefinition) -> dict[str, str]:
    """Of a node that labctl did not render, on top of what it would find in a container of Docker."""
    rendered = labels.acts_as(node) is not None
    return dict(node.sysctls) if rendered else {**_DOCKER_SYSCTLS, **node.sysctls}


def _sysctl_file(key: str) -> str:
    """``net.ipv4.conf.eth0/1.x`` -> ``net/ipv4/conf/eth0.1/x``, as sysctl(8) reads it."""
    return key.translate(str.maketrans("./", "/."))


def _binds_lost(node: NodeDefinition) -> list[str]:
    return [
        f"bind {bind.source}:{bind.target}: there is no {bind.source}"
        for bind in node.binds
        if not bind.source.exists()
    ]


def _check_binds(nodes: Iterable[NodeDefinition]) -> None:
    lost = [f"{node.name}: {line}" for node in nodes for line in _binds_lost(node)]
    if lost:
        raise NodeError("\n".join(lost))
