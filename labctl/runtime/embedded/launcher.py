"""The launcher: a helper process that boots nodes, and its children, which become the nodes' PID 1.

It runs as a program of its own and imports only the standard library's lightest modules. So forks are
cheap, no thread of the caller interferes, and when the caller is killed everything half-made
ends with it::

    stdin   a :class:`BootRequest` as JSON
    stdout  a :class:`BootOutcome` as JSON

1. For each node: a network namespace, pinned by a bind mount before any process is in it (so that
   every process of a lab can be found by its namespace), then a child in fresh PID, mount, UTS and
   IPC namespaces, which sets the sysctls and builds its root file system. All children run at once.
2. When all are prepared, every link is created in one netlink batch, directly between the namespaces.
3. Then the children continue: each execs ``tini -g -- cmd``. Up to here they die with the launcher.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import signal
import socket
import struct
import sys
import time
from typing import NoReturn, TypedDict

from labctl.linux import netlink
from labctl.linux import syscalls as sc
from labctl.runtime.embedded import capabilities, rootfs

__all__ = ["BootOutcome", "BootRequest", "BootSpec", "main"]

_PREPARE_S = 30.0
_SIOCGIFFLAGS = 0x8913
_SIOCSIFFLAGS = 0x8914


class BootSpec(TypedDict):
    """One node.

    Attributes:
        name: of the node.
        netns: where its network namespace is pinned: an empty file.
        log: where PID 1 writes.
        pidfile: gets the process id of PID 1 in the host's numbering.
        argv: of PID 1, an absolute program first.
        env: of PID 1, whole.
        sysctls: file below /proc/sys, value.
        interfaces: ends of the plan's links, to be set up before PID 1 starts.
        capabilities: the bounding set by name.
        cgroup: file by which to join the node's control group; empty where there is none.
        root: see :class:`labctl.runtime.embedded.rootfs.RootPlan`.
    """

    name: str
    netns: str
    log: str
    pidfile: str
    argv: list[str]
    env: dict[str, str]
    sysctls: list[tuple[str, str]]
    interfaces: list[str]
    capabilities: list[str]
    cgroup: str
    root: rootfs.RootPlan


class VethSpec(TypedDict):
    """One link: for each end node, name, MAC (or empty) and ifindex."""

    a: tuple[str, str, str, int]
    b: tuple[str, str, str, int]
    mtu: int


class BootRequest(TypedDict):
    """The request to the launcher."""

    nodes: list[BootSpec]
    veths: list[VethSpec]


class BootOutcome(TypedDict):
    """The result of a boot: process ids by node, reasons by node (``""``: of no single node)."""

    started: dict[str, int]
    failed: dict[str, str]


class _Child:
    __slots__ = ("name", "netns", "pid")

    def __init__(self, name: str, pid: int, netns: int) -> None:
        self.name = name
        self.pid = pid
        self.netns = netns


def main() -> None:
    """Read the plan, boot, report the outcome.

    The last argument is the caller's process id. Nobody would ever look for what an orphan boots.
    """
    sc.die_with_parent(signal.SIGKILL)
    if os.getppid() != int(sys.argv[-1]):
        sys.exit(1)
    plan: BootRequest = json.load(sys.stdin)
    outcome = boot(plan)
    sys.stdout.write(json.dumps(outcome))
    sys.stdout.flush()


def boot(plan: BootRequest) -> BootOutcome:
    """Boot every node of the plan and create its links; on any failure no process is left."""
    children: list[_Child] = []
    failed: dict[str, str] = {}
    status_out, status_in = os.pipe2(os.O_CLOEXEC)
    go_out, go_in = os.pipe2(os.O_CLOEXEC)
    try:
        _start_all(plan["nodes"], children, (status_in, go_out, go_in), failed)
        os.close(status_in)
        os.close(go_out)
        if not failed:
            failed.update(_await_prepared(children, status_out))
        if not failed:
            _create_links(plan["veths"], children)
            os.write(go_in, b"g" * len(children))
            failed.update(_await_gone(children, status_out))
    except OSError as error:
        failed[""] = _reason(error)
    finally:
        if failed:
            _end_all(children)
    return {"started": {c.name: c.pid for c in children}, "failed": failed}


def _start_all(
    nodes: list[BootSpec], children: list[_Child], pipes: tuple[int, int, int], failed: dict[str, str]
) -> None:
    """Fork a child for each node; ``pipes``: to tell the status, to be let go, the latter's other end."""
    status, go, go_in = pipes
    own_pid = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    own_net = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        for number, node in enumerate(nodes):
            try:
                sc.setns(own_pid)
                sc.unshare(sc.CLONE_NEWNET | sc.CLONE_NEWPID)
                sc.mount("/proc/self/ns/net", node["netns"], flags=sc.MS_BIND)
                netns = os.open(node["netns"], os.O_RDONLY | os.O_CLOEXEC)
                pid = os.fork()
                if pid == 0:
                    os.close(go_in)
                    _become(node, number, status, go)
            except OSError as error:
                failed[node["name"]] = _reason(error)
                return
            children.append(_Child(node["name"], pid, netns))
            with open(node["pidfile"], "w") as file:
                file.write(str(pid))
    finally:
        sc.setns(own_net)
        sc.setns(own_pid)
        os.close(own_net)
        os.close(own_pid)


def _become(node: BootSpec, number: int, status: int, go: int) -> NoReturn:
    """In the child: prepare, wait for the signal to continue, become the node's PID 1."""
    try:
        sc.die_with_parent(signal.SIGKILL)
        os.setsid()
        os.umask(0o022)
        _wire_streams(node["log"])
        _join(node["cgroup"])
        for name, value in node["sysctls"]:
            _sysctl(name, value)
        sc.unshare(sc.CLONE_NEWNS | sc.CLONE_NEWUTS | sc.CLONE_NEWIPC)
        sc.set_hostname(node["root"]["hostname"])
        rootfs.build(node["root"])
        _set_up("lo")
        capabilities.limit(node["capabilities"])
        for caught in (signal.SIGINT, signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(caught, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        os.write(status, f"{number} \n".encode())
        if os.read(go, 1) != b"g":
            os._exit(1)
        for interface in node["interfaces"]:
            _set_up(interface)
        sc.die_with_parent(0)
        os.execve(node["argv"][0], node["argv"], node["env"])  # noqa: S606 - an argument list
    except BaseException as error:  # noqa: BLE001 - nothing of the helper's must run on in the child
        os.write(status, f"{number} {_reason(error)}\n".encode()[:2048])
    os._exit(127)


def _wire_streams(log: str) -> None:
    null = os.open("/dev/null", os.O_RDONLY)
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o644)
    for source, target in ((null, 0), (out, 1), (out, 2)):
        os.dup2(source, target)
    os.close(null)
    os.close(out)


def _join(cgroup: str) -> None:
    """Enter the node's control group, before this process has children and before its view of /sys goes."""
    if cgroup:
        # Where the kernel does not let us, the node stops by signals: labctl.lab.node_groups.
        with contextlib.suppress(OSError), open(cgroup, "w") as file:
            file.write("0")


def _sysctl(name: str, value: str) -> None:
    with open(f"/proc/sys/{name}", "w") as file:
        file.write(value)


def _set_up(interface: str) -> None:
    """Set an interface up by netdevice(7). A veth cannot be up when it is made: it has no peer yet."""
    name = interface.encode()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sh14x", name, 0)
        flags = struct.unpack_from("16sh", fcntl.ioctl(any_socket, _SIOCGIFFLAGS, request))[1]
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh14x", name, flags | netlink.IFF_UP))


def _await_prepared(children: list[_Child], status: int) -> dict[str, str]:
    """Wait until each child has reported that it is prepared; returns failures by node."""
    waiting = {number: child.name for number, child in enumerate(children)}
    failed: dict[str, str] = {}
    end = time.monotonic() + _PREPARE_S
    rest = b""
    while waiting:
        left = end - time.monotonic()
        if left <= 0 or not select.select([status], [], [], left)[0]:
            failed.update(dict.fromkeys(waiting.values(), "not prepared in time"))
            break
        data = os.read(status, 1 << 16)
        if not data:
            failed.update(dict.fromkeys(waiting.values(), "ended while it was prepared"))
            break
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            number, _, reason = line.decode(errors="replace").partition(" ")
            name = waiting.pop(int(number))
            if reason:
                failed[name] = reason
    return failed


def _await_gone(children: list[_Child], status: int) -> dict[str, str]:
    """Wait until every child has become its program (its end of the pipe closes on exec)."""
    failed: dict[str, str] = {}
    reports = b""
    while data := os.read(status, 1 << 16):
        reports += data
    for line in reports.splitlines():
        number, _, reason = line.decode(errors="replace").partition(" ")
        failed[children[int(number)].name] = reason
    return failed


def _create_links(veths: list[VethSpec], children: list[_Child]) -> None:
    """Create all links in one batch, from an empty namespace, where no name or number can clash."""
    if not veths:
        return
    netns = {child.name: child.netns for child in children}
    messages = []
    for veth in veths:
        a, b = ((name, mac, netns[node], index) for node, name, mac, index in (veth["a"], veth["b"]))
        messages.append(netlink.veth_pair(a, b, veth["mtu"]))
    own = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    sc.unshare(sc.CLONE_NEWNET)
    route = netlink.Route()
    try:
        route.batch(messages)
    except OSError as error:
        bad = veths[int(error.filename)] if isinstance(error.filename, int) else veths[0]
        ends = " - ".join(f"{end[0]}:{end[1]}" for end in (bad["a"], bad["b"]))
        raise OSError(error.errno, f"link {ends}: {error.strerror}") from error
    finally:
        route.close()
        sc.setns(own)
        os.close(own)


def _end_all(children: list[_Child]) -> None:
    for child in children:
        os.kill(child.pid, signal.SIGKILL)
    for child in children:
        os.waitpid(child.pid, 0)


def _reason(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename is not None else ""
        return f"{where}{error.strerror}".replace("\n", " ")
    return f"{type(error).__name__}: {error}".replace("\n", " ")


if __name__ == "__main__":
    main()
