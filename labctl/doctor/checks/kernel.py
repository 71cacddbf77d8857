"""Checks of the kernel: each feature is used once in a throw-away network namespace.

Module names say nothing (a feature may be built in, or its module may be missing from the running
kernel's package), so nothing here looks at them. A feature that is a module is loaded by being used.
"""

from __future__ import annotations

import platform
import shlex
import socket
import subprocess
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from labctl.doctor.model import ALL, Check, LackingError, Purpose
from labctl.linux import syscalls

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["CHECKS"]

_GROUP = "kernel"
_ACCEPT_ALL = "'1,6 0 0 4294967295,'"  # one instruction: return the whole packet
_OVERLAY = """
mount -t tmpfs t "$1" && cd "$1" && mkdir l u w m && mount -t overlay o -o lowerdir=l,upperdir=u,workdir=w m
"""
_LINK = "ip link add name a type veth peer name b"

Command = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Trial:
    """Commands that work where a feature is there, in a namespace that has nothing but ``lo``.

    Attributes:
        commands: run in turn; the first that fails ends the trial.
        stdin: of the last of them.
    """

    commands: tuple[Command, ...]
    stdin: str = ""

    def __call__(self) -> str:
        """Run it; LackingError with the last words of the command that failed."""
        in_new_namespace(self._run)
        return "works"

    def _run(self) -> None:
        for number, command in enumerate(self.commands):
            stdin = self.stdin if number == len(self.commands) - 1 else ""
            run(command, stdin)


def run(command: Sequence[str], stdin: str = "") -> str:
    """Run a command; its stdout.

    Raises:
        LackingError: it failed, or is not installed.
    """
    try:
        done = subprocess.run(
            list(command), input=stdin, capture_output=True, text=True, check=False, timeout=30
        )
    except FileNotFoundError:
        raise LackingError(f"not tried: {command[0]} is not installed") from None
    except subprocess.TimeoutExpired:
        raise LackingError(f"{command[0]} hangs") from None
    if done.returncode != 0:
        lines = [line.strip() for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        raise LackingError(lines[-1] if lines else f"{command[0]} ended with {done.returncode}")
    return done.stdout


def in_new_namespace(work: Callable[[], object]) -> None:
    """Run ``work`` in a thread with a network namespace of its own, which ends with it.

    Raises:
        LackingError: from ``work``; or no namespace can be made.
    """
    failures: list[BaseException] = []

    def enter() -> None:
        try:
            syscalls.unshare(syscalls.CLONE_NEWNET)
            work()
        except PermissionError:
            failures.append(LackingError("not tried: takes root", "run it as root: sudo labctl doctor"))
        except OSError as error:
            failures.append(LackingError(error.strerror or str(error)))
        except BaseException as error:  # noqa: BLE001 - carried over to the caller's thread
            failures.append(error)

    thread = threading.Thread(target=enter, name="labctl-doctor")
    thread.start()
    thread.join()
    if failures:
        raise failures[0]


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


def _ruleset(family: str, chain: str) -> str:
    return f"table {family} labctl {{ chain try {{ {chain}; }}; }}\n"


def _trial(*commands: str, stdin: str = "") -> Trial:
    return Trial(tuple(tuple(shlex.split(command)) for command in commands), stdin)


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
    _needed("veth", "every link is a pair of them", _trial(_LINK)),
    _needed("bridge", "switches are bridges", _trial("ip link add name s type bridge")),
    _needed("AF_PACKET", "the probe sends and receives whole packets", _packet_socket),
    _needed(
        "equal-cost routes",
        "traffic goes over several gateways at once",
        _trial(
            _LINK,
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
        _trial(
            _LINK,
            "nft -f -",
            stdin=_ruleset("netdev", 'type filter hook ingress device "a" priority 0; drop'),
        ),
    ),
    _useful(
        "nftables, inet",
        "filters and address translation in nodes",
        _trial("nft -f -", stdin=_ruleset("inet", "type filter hook forward priority 0; accept")),
    ),
    _useful(
        "vxlan",
        "tunnels between the machines of a virtual network",
        _trial("ip link add name v type vxlan id 7 dstport 4789 local 127.0.0.1"),
    ),
    _useful(
        "cls_bpf",
        "datapath programs on a node's interfaces",
        _trial(
            _LINK,
            "tc qdisc add dev a clsact",
            f"tc filter add dev a ingress protocol all bpf bytecode {_ACCEPT_ALL}",
        ),
    ),
    _useful(
        "netem",
        "delay, jitter and random loss on a link; without it only loss and rate can be had",
        _trial(_LINK, "tc qdisc add dev a root netem delay 1ms"),
    ),
    _useful(
        "tbf",
        "a bounded rate on a link",
        _trial(_LINK, "tc qdisc add dev a root tbf rate 1mbit burst 10kb latency 10ms"),
    ),
    _useful(
        "8021q",
        "VLANs of the legacy network; without it each is a VXLAN segment",
        _trial(_LINK, "ip link add link a name a.5 type vlan id 5"),
    ),
    _useful(
        "bridge vlan_filtering",
        "VLANs on a switch",
        _trial("ip link add name s type bridge vlan_filtering 1"),
    ),
    _useful("vrf", "routing tables of tenants", _trial("ip link add name v type vrf table 9")),
    _useful("dummy", "interfaces without a link", _trial("ip link add name d type dummy")),
)
