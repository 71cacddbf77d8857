"""One link of a containerlab file, in its brief or its extended form."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from labctl.clab.definition import Cable, CableEnd
from labctl.document.hints import nearest

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["LinkRead", "read_link"]

_INTERFACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,14}\Z", re.ASCII)
_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}\Z", re.ASCII)
_OUTSIDE = frozenset({"host", "mgmt-net", "macvlan", "ipvlan", "vxlan", "dummy"})
_DEFAULT_MTU = 9500
_MTU_RANGE = range(68, 65536)
_ENDS = 2

Fault = tuple[tuple[str | int, ...], str, str]
"""Path below the link, message, hint."""


@dataclass
class LinkRead:
    """What became of one link.

    Attributes:
        cable: the link, if it is a sound veth pair between two nodes of the lab.
        unsupported: why only containerlab can lay it; empty if that is not so.
        problems: what is wrong with it.
    """

    cable: Cable | None = None
    unsupported: str = ""
    problems: list[Fault] = field(default_factory=list)

    def fault(self, path: tuple[str | int, ...], message: str, hint: str = "") -> None:
        """Note a problem."""
        self.problems.append((path, message, hint))


def read_link(link: Any, nodes: Collection[str]) -> LinkRead:  # noqa: ANN401 - as it stands in YAML
    """Read one entry under ``links``.

    Args:
        link: plain data.
        nodes: names of the lab's nodes.
    """
    read = LinkRead()
    if not isinstance(link, dict):
        read.fault((), 'expected a link such as endpoints: ["a:eth1", "b:eth1"]')
        return read
    kind = str(link.get("type", "veth"))
    if kind != "veth":
        read.unsupported = f"type {kind} leads out of the lab, which the embedded runtime does not do"
        return read
    ends = link.get("endpoints")
    if not isinstance(ends, list) or len(ends) != _ENDS:
        read.fault(("endpoints",), "expected two endpoints")
        return read
    a = _end(read, ("endpoints", 0), ends[0], nodes)
    b = _end(read, ("endpoints", 1), ends[1], nodes)
    mtu = _mtu(read, link)
    if a is None or b is None or read.unsupported or read.problems:
        return read
    if (a.node, a.interface) == (b.node, b.interface):
        read.fault((), f"a link from {a.node}:{a.interface} to itself")
    else:
        read.cable = Cable(a, b, mtu)
    return read


def _mtu(read: LinkRead, link: dict[str, Any]) -> int:
    mtu = link.get("mtu", _DEFAULT_MTU)
    if isinstance(mtu, bool) or not isinstance(mtu, int) or mtu not in _MTU_RANGE:
        read.fault(("mtu",), f"expected an MTU from 68 to 65535, found {mtu!r}")
        return _DEFAULT_MTU
    return mtu


def _end(read: LinkRead, path: tuple[str | int, ...], end: Any, nodes: Collection[str]) -> CableEnd | None:  # noqa: ANN401
    if isinstance(end, str):
        node, _, interface = end.partition(":")
        mac = ""
    elif isinstance(end, dict):
        node, interface = str(end.get("node", "")), str(end.get("interface", ""))
        mac = str(end.get("mac") or "").lower()
    else:
        read.fault(path, "expected an endpoint such as a:eth1")
        return None
    if node in _OUTSIDE and node not in nodes:
        read.unsupported = f"an end on {node} leads out of the lab, which the embedded runtime does not do"
        return None
    if node not in nodes:
        read.fault(path, f"unknown node {node!r}", nearest(node, nodes))
        return None
    if not _INTERFACE.match(interface):
        read.fault(path, f"{interface!r} is not a name for an interface, expected such as eth1")
        return None
    if mac and not _MAC.match(mac):
        read.fault(path, f"{mac!r} is no MAC address, expected such as 02:00:00:00:00:01")
        return None
    return CableEnd(node, interface, mac)
