"""Capabilities by name, and what a node gets besides what its definition asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labctl.linux import syscalls

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["DEFAULT", "NUMBERS", "granted", "lacking", "limit"]

# linux/capability.h; the position is the number.
_NAMES = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
]

NUMBERS = {name: number for number, name in enumerate(_NAMES)}

DEFAULT = frozenset(
    [
        "CHOWN",
        "DAC_OVERRIDE",
        "FSETID",
        "FOWNER",
        "NET_RAW",
        "SETGID",
        "SETUID",
        "SETFCAP",
        "SETPCAP",
        "NET_BIND_SERVICE",
        "SYS_CHROOT",
        "KILL",
        "AUDIT_WRITE",
    ]
)
"""What Docker gives every container, less MKNOD: without its device filter a device node would be a
way to the host's disks."""

_LAST = 63


def granted(cap_add: Iterable[str]) -> frozenset[str]:
    """The bounding set of a node, by name.

    Args:
        cap_add: names with or without ``CAP_``, any case; ``ALL`` means every one there is.
    """
    asked = {_plain(name) for name in cap_add}
    if "ALL" in asked:
        return frozenset(NUMBERS)
    return DEFAULT | (asked & NUMBERS.keys())


def lacking(cap_add: Iterable[str]) -> tuple[str, ...]:
    """Requested names that this machine cannot grant: unknown, or not in our own bounding set."""
    asked = {_plain(name) for name in cap_add} - {"ALL"}
    return tuple(sorted(n for n in asked if n not in NUMBERS or not syscalls.bounded(NUMBERS[n])))


def limit(names: Iterable[str]) -> None:
    """Take everything but ``names`` out of the calling process's bounding set, for good.

    A root process loses the rest at its next exec (capabilities(7), P' = P(inheritable) & F or bounding).
    """
    keep = {NUMBERS[name] for name in names if name in NUMBERS}
    for number in range(_LAST + 1):
        if number not in keep and syscalls.bounded(number):
            syscalls.drop_capability(number)


def _plain(name: str) -> str:
    return name.upper().removeprefix("CAP_")
