"""Checks of the programs of this machine, each with its package and the reason for it."""

from __future__ import annotations

import ctypes
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from labctl.doctor.checks.kernel import run
from labctl.doctor.model import ALL, Check, LackingError, Purpose

__all__ = ["CHECKS", "FRR_DAEMONS"]

FRR_DAEMONS = Path("/usr/lib/frr")
ZOOKEEPER = Path("/usr/share/java/zookeeper.jar")
OLDEST_FRR = (8, 4)

_GROUP = "tools"
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_EMBEDDED = frozenset({Purpose.EMBEDDED, Purpose.TESTS})
_TESTS = frozenset({Purpose.TESTS})
_OVERLAY = frozenset({Purpose.OVERLAY, Purpose.TESTS})


@dataclass(frozen=True, slots=True)
class OnPath:
    """Every one of these programs is installed, where nodes look for them."""

    programs: tuple[str, ...]

    def __call__(self) -> str:
        """Their folders; LackingError names those that are not there."""
        found = {name: shutil.which(name, path=_PATH) for name in self.programs}
        lacking = [name for name, path in found.items() if path is None]
        if lacking:
            raise LackingError("no " + ", ".join(lacking))
        return " ".join(str(path) for path in found.values())


def _frr() -> str:
    lacking = [name for name in ("zebra", "bgpd", "bfdd", "staticd") if not (FRR_DAEMONS / name).exists()]
    if lacking:
        raise LackingError(f"no {', '.join(lacking)} in {FRR_DAEMONS}")
    said = run((str(FRR_DAEMONS / "zebra"), "--version"))
    match = re.search(r"version (\d+)\.(\d+)\S*", said)
    if not match:
        raise LackingError("zebra does not report its version")
    if (int(match[1]), int(match[2])) < OLDEST_FRR:
        raise LackingError(f"{match[0]}, tried from 8.4 on", "a distribution with a newer FRR is needed")
    return match[0]


def _zookeeper() -> str:
    if not ZOOKEEPER.exists():
        raise LackingError(f"no {ZOOKEEPER}")
    return str(ZOOKEEPER)


def _libbpf() -> str:
    try:
        ctypes.CDLL("libbpf.so.1")
    except OSError as error:
        raise LackingError("no libbpf.so.1") from error
    return "libbpf.so.1"


def _tool(
    programs: str,
    packages: str,
    reason: str,
    *,
    needed: frozenset[Purpose] = frozenset(),
    useful: frozenset[Purpose] = frozenset(),
) -> Check:
    names = tuple(programs.split())
    return Check(
        names[0],
        _GROUP,
        reason,
        OnPath(names),
        needed=needed,
        useful=useful - needed,
        packages=tuple(packages.split()),
    )


CHECKS = (
    _tool("ip tc bridge", "iproute2", "links, addresses, routes and queues, in batches", needed=ALL),
    _tool(
        "unshare nsenter setpriv",
        "util-linux",
        "entering a node with the node's own rights",
        needed=_EMBEDDED,
    ),
    _tool("tini", "tini", "the first process of a node: it reaps, and passes signals on", needed=_EMBEDDED),
    Check(
        "FRR",
        _GROUP,
        "the routers: zebra, bgpd, bfdd and staticd as they run in production",
        _frr,
        needed=_EMBEDDED,
        packages=("frr",),
    ),
    _tool("vtysh", "frr", "querying a router for its sessions and routes", needed=_EMBEDDED),
    _tool("nft", "nftables", "silent loss on a link; filters in nodes", needed=ALL),
    _tool("ping", "iputils-ping", "a first look into a lab", needed=_TESTS, useful=ALL),
    _tool("tcpdump", "tcpdump", "captures: what a node sends while it fails", needed=_TESTS, useful=ALL),
    _tool("ethtool", "ethtool", "offloads of interfaces, for who looks into checksums", useful=ALL),
    _tool("sysctl", "procps", "reading a node's settings", useful=ALL),
    _tool("java", "default-jre-headless", "the overlay's state database runs on it", needed=_OVERLAY),
    Check(
        "zookeeper",
        _GROUP,
        "the overlay's state database",
        _zookeeper,
        needed=_OVERLAY,
        packages=("zookeeper",),
    ),
    Check(
        "libbpf",
        _GROUP,
        "loading the overlay's flow cache into the kernel",
        _libbpf,
        needed=_OVERLAY,
        packages=("libbpf1",),
    ),
    _tool(
        "clang llvm-strip",
        "clang llvm libbpf-dev linux-libc-dev",
        "compiling the overlay's flow cache, once",
        needed=_OVERLAY,
    ),
    _tool(
        "udhcpc",
        "udhcpc",
        "virtual machines ask for their addresses with it",
        needed=_OVERLAY | {Purpose.PARIS},
    ),
)
