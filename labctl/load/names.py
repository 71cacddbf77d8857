"""The rules for names of nodes, labs and interfaces.

Names become folders, host names, container names and words on command lines. This module rejects names
that are not safe in all of these places.
"""

from __future__ import annotations

import re

__all__ = ["MAX_INTERFACE_BYTES", "MAX_NAME", "interface_fault", "label_fault", "suggestion"]

MAX_NAME = 40
"""Characters of a node's or a lab's name: ``clab-<lab>-<node>`` stays a valid container name."""

MAX_INTERFACE_BYTES = 15
"""IFNAMSIZ of Linux less the closing NUL."""

_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\Z", re.ASCII)
_INTERFACE = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*\Z", re.ASCII)
_RESERVED_NODES = frozenset({"all"})
_RESERVED_INTERFACES = frozenset({"lo", "eth0", "all", "default"})


def label_fault(name: str, what: str) -> str:
    """What is wrong with a node's or lab's name; empty if nothing is.

    Args:
        name: as given.
        what: ``node`` or ``lab``, for the message.
    """
    if len(name) > MAX_NAME:
        return f"{name[:20] + '...'!r} has {len(name)} characters, expected at most {MAX_NAME}"
    if not _LABEL.match(name):
        return (
            f"{name!r} is not a name for a {what}, "
            "expected lower-case letters, digits and '-', with a letter or digit at both ends"
        )
    if name in _RESERVED_NODES:
        return f"{name!r} is not a name for a {what}: scenarios use the word for all of them"
    return ""


def interface_fault(name: str) -> str:
    """What is wrong with an interface's name; empty if nothing is."""
    if len(name.encode()) > MAX_INTERFACE_BYTES:
        return (
            f"interface {name[:20]!r} has {len(name.encode())} bytes, expected at most {MAX_INTERFACE_BYTES}"
        )
    if not _INTERFACE.match(name):
        return (
            f"{name!r} is not a name for an interface, expected a letter, then letters, digits, '_', '.', '-'"
        )
    if name in _RESERVED_INTERFACES:
        return f"interface {name!r} is the system's own, expected such as eth1"
    return ""


def suggestion(name: str) -> str:
    """A hint with the nearest name that would do; empty if there is none."""
    tidy = re.sub(r"[^a-z0-9-]+", "-", name.lower()).strip("-")[:MAX_NAME].strip("-")
    return f"such as {tidy!r}" if tidy and tidy not in _RESERVED_NODES else ""
