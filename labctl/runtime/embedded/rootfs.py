"""The root file system of a node: all of the host's files, read-only, and what is the node's own.

    overlayfs      lower = the host's /, upper = a tmpfs that dies with the node
    other disks    bound read-only
    /run /tmp ...  empty except for the folders that packages made there, with their owners
    /root /home    empty, as are folders that hold keys; /etc/shadow has the host's users and no password
    /proc /sys     the node's own; what is not of its namespaces is read-only
    /dev           a dozen devices
    binds          of the definition

The code runs in the child that becomes PID 1, in its own mount namespace; see
:mod:`labctl.runtime.embedded.launcher`.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import stat
import sys
from typing import TYPE_CHECKING, TypedDict

import labctl
from labctl.linux import syscalls as sc

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["PRIVATE", "SECRET_FOLDERS", "RootPlan", "build", "interpreter", "locked", "skeleton", "submounts"]

PRIVATE = ("/run", "/tmp", "/var/tmp", "/var/log")  # noqa: S108 - folders of the node, hidden from the host's
"""Folders that a node has to itself."""

SECRET_FOLDERS = (
    "/root",
    "/home",
    "/etc/ssh",
    "/etc/ssl/private",
    "/etc/wireguard",
    "/etc/NetworkManager/system-connections",
)
"""Folders of the host that are empty in a node: keys, and what users keep."""

_PASSWORDS = ("shadow", "gshadow")
_UPPER_SIZE = "size=2g,mode=755"
_QUIET = sc.MS_NOSUID | sc.MS_NODEV | sc.MS_NOEXEC
_HOMES = tuple(sorted({"/root", "/home", os.path.realpath("/root"), os.path.realpath("/home")}))
_HIDDEN = ("/proc", "/sys", "/dev", *PRIVATE, *_HOMES, "/snap", "/var/lib/docker", "/var/lib/containerd")
_OURS = ("labctl", "netns", "docker", "containerd", "user")
_VIRTUAL = frozenset(
    [
        "autofs",
        "binfmt_misc",
        "bpf",
        "cgroup",
        "cgroup2",
        "configfs",
        "debugfs",
        "devpts",
        "devtmpfs",
        "efivarfs",
        "fusectl",
        "hugetlbfs",
        "mqueue",
        "nsfs",
        "overlay",
        "proc",
        "pstore",
        "ramfs",
        "rpc_pipefs",
        "securityfs",
        "squashfs",
        "sysfs",
        "tmpfs",
        "tracefs",
    ]
)
_PROC_READ_ONLY = ("bus", "fs", "irq", "sys", "sysrq-trigger")
_PROC_MASKED = ("kcore", "keys", "timer_list", "sched_debug")
_DEVICES = (
    ("null", 1, 3),
    ("zero", 1, 5),
    ("full", 1, 7),
    ("random", 1, 8),
    ("urandom", 1, 9),
    ("tty", 5, 0),
)
_DEV_LINKS = (
    ("/proc/self/fd", "fd"),
    ("/proc/self/fd/0", "stdin"),
    ("/proc/self/fd/1", "stdout"),
    ("/proc/self/fd/2", "stderr"),
    ("pts/ptmx", "ptmx"),
)
_TUN = (10, 200)
_MAX_LINKS = 64


class RootPlan(TypedDict):
    """What :func:`build` needs to know; plain JSON.

    Attributes:
        scratch: an empty folder of the host where the tree is put together (nothing is left there).
        hostname: of the node.
        binds: source, target, read-only.
        submounts: mount points of the host to be bound read-only.
        skeleton: folders to make in the private ones: path, mode, uid, gid.
        python: the interpreter that nodes know as ``labctl-python``.
    """

    scratch: str
    hostname: str
    binds: list[tuple[str, str, bool]]
    submounts: list[str]
    skeleton: list[tuple[str, int, int, int]]
    python: str


def build(plan: RootPlan) -> None:
    """Build the tree and make it the root. The old root is unmounted afterwards.

    Raises:
        OSError: a mount was refused; ``filename`` says where.
    """
    sc.mount("none", "/", flags=sc.MS_REC | sc.MS_PRIVATE)
    scratch = plan["scratch"]
    sc.mount("labctl", scratch, "tmpfs", sc.MS_NOSUID | sc.MS_NODEV, _UPPER_SIZE)
    root = f"{scratch}/root"
    for folder in ("upper", "work", "root"):
        os.mkdir(f"{scratch}/{folder}", 0o755)
    _fill_upper(f"{scratch}/upper", plan)
    options = f"lowerdir=/,upperdir={scratch}/upper,workdir={scratch}/work"
    sc.mount("labctl", root, "overlay", sc.MS_NODEV, options)
    for point in plan["submounts"]:
        # A disk that came or went since the plan was made is no reason not to boot.
        with contextlib.suppress(OSError):
            _bind(point, root + point, read_only=True)
    _proc(f"{root}/proc")
    sc.mount("sysfs", f"{root}/sys", "sysfs", _QUIET | sc.MS_RDONLY)
    _dev(f"{root}/dev")
    for source, target, read_only in plan["binds"]:
        inside = root + _inside(root, target)
        _make_target(source, inside)
        _bind(source, inside, read_only=read_only)
    os.chdir(root)
    sc.pivot_root(".", ".")
    sc.umount(".", sc.MNT_DETACH)
    os.chdir("/")


def _fill_upper(upper: str, plan: RootPlan) -> None:
    name = plan["hostname"]
    os.mkdir(f"{upper}/etc", 0o755)
    for file, text in (
        ("hostname", f"{name}\n"),
        ("hosts", f"127.0.0.1 localhost\n::1 localhost\n127.0.1.1 {name}\n"),
        ("resolv.conf", ""),
    ):
        with open(f"{upper}/etc/{file}", "w") as handle:
            handle.write(text)
    os.makedirs(f"{upper}/usr/local/bin", 0o755)
    # A virtual environment's interpreter knows its libraries by the name it is called by: no link.
    program = f"{upper}/usr/local/bin/labctl-python"
    with open(program, "w") as handle:
        handle.write(f'#!/bin/sh\nexec {shlex.quote(plan["python"])} "$@"\n')
    os.chmod(program, 0o755)  # noqa: S103 - a program for all
    for folder in PRIVATE:
        os.makedirs(upper + folder, 0o755)
        # What the host has below is not seen through an opaque folder (overlayfs.rst).
        os.setxattr(upper + folder, "trusted.overlay.opaque", b"y")
        if folder.endswith("tmp"):
            os.chmod(upper + folder, 0o1777)  # noqa: S103 - what a folder for all is
    for folder in SECRET_FOLDERS:
        _hide_folder(upper, os.path.realpath(folder))
    for name in _PASSWORDS:
        _hide_passwords(f"{upper}/etc", name)
    for path, mode, uid, gid in plan["skeleton"]:
        os.mkdir(upper + path)
        os.chown(upper + path, uid, gid)
        os.chmod(upper + path, mode)


def _hide_folder(upper: str, folder: str) -> None:
    """Put an empty folder of the same mode and owner over one of the host's, if the host has it."""
    if not os.path.isdir(folder):
        return
    status = os.stat(folder)
    os.makedirs(upper + folder, 0o755, exist_ok=True)
    os.setxattr(upper + folder, "trusted.overlay.opaque", b"y")
    os.chown(upper + folder, status.st_uid, status.st_gid)
    os.chmod(upper + folder, stat.S_IMODE(status.st_mode))


def _hide_passwords(upper_etc: str, name: str) -> None:
    """Give the node the host's users with every password locked: shadow(5), gshadow(5)."""
    for file in (name, f"{name}-"):
        if not os.path.exists(f"/etc/{file}"):
            continue
        with open(f"/etc/{file}", encoding="utf-8", errors="surrogateescape") as host:
            text = locked(host.read())
        path = f"{upper_etc}/{file}"
        with open(path, "w", encoding="utf-8", errors="surrogateescape") as handle:
            handle.write(text)
        status = os.stat(f"/etc/{file}")
        os.chown(path, status.st_uid, status.st_gid)
        os.chmod(path, stat.S_IMODE(status.st_mode))


def locked(text: str) -> str:
    """A shadow(5) or gshadow(5) file with ``*`` in the place of each password."""
    rows = (line.split(":") for line in text.splitlines())
    return "".join(":".join([row[0], "*", *row[2:]]) + "\n" for row in rows)


def _proc(where: str) -> None:
    sc.mount("proc", where, "proc", _QUIET)
    for name in _PROC_READ_ONLY:
        if os.path.exists(f"{where}/{name}"):
            _bind(f"{where}/{name}", f"{where}/{name}", read_only=True)
    for name in _PROC_MASKED:
        if os.path.exists(f"{where}/{name}"):
            sc.mount("/dev/null", f"{where}/{name}", flags=sc.MS_BIND)
    # The sysctls of the network belong to the node's own namespace: these it may set.
    _bind(f"{where}/sys/net", f"{where}/sys/net", read_only=False)
    sc.mount("none", f"{where}/sys/net", flags=sc.MS_REMOUNT | sc.MS_BIND | _QUIET)


def _dev(where: str) -> None:
    sc.mount("labctl", where, "tmpfs", sc.MS_NOSUID | sc.MS_NOEXEC, "size=1m,mode=755")
    for name, major, minor in _DEVICES:
        _device(f"{where}/{name}", major, minor)
    if os.path.exists("/dev/net/tun"):
        os.mkdir(f"{where}/net")
        _device(f"{where}/net/tun", *_TUN)
    for target, name in _DEV_LINKS:
        os.symlink(target, f"{where}/{name}")
    for folder in ("pts", "shm", "mqueue"):
        os.mkdir(f"{where}/{folder}")
    sc.mount(
        "devpts", f"{where}/pts", "devpts", sc.MS_NOSUID | sc.MS_NOEXEC, "newinstance,ptmxmode=0666,mode=620"
    )
    sc.mount("shm", f"{where}/shm", "tmpfs", _QUIET, "size=256m,mode=1777")
    with contextlib.suppress(OSError):
        sc.mount("mqueue", f"{where}/mqueue", "mqueue", _QUIET)


def _device(path: str, major: int, minor: int) -> None:
    os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(major, minor))
    os.chmod(path, 0o666)  # noqa: S103 - as everywhere


def _bind(source: str, target: str, *, read_only: bool) -> None:
    sc.mount(source, target, flags=sc.MS_BIND)
    if read_only:
        sc.mount("none", target, flags=sc.MS_REMOUNT | sc.MS_BIND | sc.MS_RDONLY | sc.MS_NOSUID)


def _inside(root: str, target: str) -> str:
    """The target with every symbolic link on its way taken as the node would take it."""
    path = os.path.normpath("/" + target)
    done = ""
    steps = 0
    parts = path.strip("/").split("/")
    while parts:
        part = parts.pop(0)
        here = f"{done}/{part}"
        steps += 1
        if steps < _MAX_LINKS and os.path.islink(root + here):
            link = os.readlink(root + here)
            full = os.path.normpath(os.path.join("/" if link.startswith("/") else done or "/", link))
            parts = [*full.strip("/").split("/"), *parts]
            done = ""
            continue
        done = here
    return done


def _make_target(source: str, inside: str) -> None:
    if os.path.exists(inside):
        return
    if os.path.isdir(source):
        os.makedirs(inside, 0o755)
        return
    os.makedirs(os.path.dirname(inside), 0o755, exist_ok=True)
    os.close(os.open(inside, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o644))


def interpreter() -> list[tuple[str, str, bool]]:
    """Binds that show a node our own interpreter and package where they lie in folders hidden from it."""
    package = os.path.dirname(os.path.dirname(os.path.abspath(labctl.__file__)))
    folders = sorted({sys.prefix, sys.base_prefix, package})
    return [(folder, folder, True) for folder in folders if _below(folder, _HIDDEN)]


def submounts() -> list[str]:
    """Mount points of the host that hold real files besides its root: to be bound read-only."""
    found = []
    with open("/proc/self/mountinfo") as table:
        for line in table:
            fields, _, rest = line.partition(" - ")
            point = fields.split()[4].encode().decode("unicode_escape")
            if point == "/" or rest.split()[0] in _VIRTUAL or _below(point, _HIDDEN):
                continue
            found.append(point)
    return sorted(set(found))


def skeleton() -> list[tuple[str, int, int, int]]:
    """The folders that packages made in the host's /run and /var/log, with their owners, less our own."""
    found = []
    for parent in ("/run", "/var/log"):
        with os.scandir(parent) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False) and entry.name not in _OURS:
                    status = entry.stat(follow_symlinks=False)
                    found.append((entry.path, stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid))
    return sorted(found)


def _below(path: str, parents: Sequence[str]) -> bool:
    return any(path == parent or path.startswith(f"{parent}/") for parent in parents)
