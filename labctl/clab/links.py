"""One link of a containerlab file, in its brief or its extended form."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from labctl.clab.aliases import linux_name
from labctl.document.hints import nearest
from labctl.model.lab import Endpoint, LinkPlan

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["UnsupportedLinkError", "read_link"]

_INTERFACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,14}\Z", re.ASCII)
_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}\Z", re.ASCII)
_OUTSIDE = frozenset({"host", "mgmt-net", "macvlan", "ipvlan", "vxlan", "dummy"})
_DEFAULT_MTU = 9500
_MTU_RANGE = range(68, 65536)
_ENDS = 2

Fault = tuple[tuple[str | int, ...], str, str]
"""Path below the link, message, hint."""


class UnsupportedLinkError(Exception):
    """A valid link that only containerlab can create; the message says why."""


def read_link(link: Any, index: int, nodes: Mapping[str, str], faults: list[Fault]) -> LinkPlan | None:  # noqa: ANN401 - as it stands in YAML
    """Read one entry under ``links``.

    Args:
        link: plain data.
        index: of the link, should it be sound.
        nodes: kinds of the lab's nodes, by their names.
        faults: gets every problem of the entry.

    Returns:
        The link; None if it has a problem.

    Raises:
        UnsupportedLinkError: it leads out of the lab.
    """
    if not isinstance(link, dict):
        faults.append(((), 'expected a link such as endpoints: ["a:eth1", "b:eth1"]', ""))
        return None
    kind = str(link.get("type", "veth"))
    if kind != "veth":
        raise UnsupportedLinkError(
            f"type {kind} leads out of the lab, which the embedded runtime does not do"
        )
    ends = link.get("endpoints")
    if not isinstance(ends, list) or len(ends) != _ENDS:
        faults.append((("endpoints",), "expected two endpoints", ""))
        return None
    before = len(faults)
    found = [_end(("endpoints", at), end, nodes, faults) for at, end in enumerate(ends)]
    mtu = _mtu(link, faults)
    if len(faults) > before or found[0] is None or found[1] is None:
        return None
    (a, mac_a), (b, mac_b) = found[0], found[1]
    if a == b:
        faults.append(((), f"a link from {a} to itself", ""))
        return None
    return LinkPlan(index, a, b, mtu, (mac_a, mac_b))


def _mtu(link: dict[str, Any], faults: list[Fault]) -> int:
    mtu = link.get("mtu", _DEFAULT_MTU)
    if isinstance(mtu, str) and mtu.isascii() and mtu.isdigit():  # of a variable
        mtu = int(mtu)
    if isinstance(mtu, bool) or not isinstance(mtu, int) or mtu not in _MTU_RANGE:
        faults.append((("mtu",), f"expected an MTU from 68 to 65535, found {mtu!r}", ""))
        return _DEFAULT_MTU
    return mtu


def _end(
    path: tuple[str | int, ...],
    end: Any,  # noqa: ANN401 - as it stands in YAML
    nodes: Mapping[str, str],
    faults: list[Fault],
) -> tuple[Endpoint, str] | None:
    """An endpoint and its MAC address; None if it has a problem."""
    if isinstance(end, str):
        node, _, interface = end.partition(":")
        mac = ""
    elif isinstance(end, dict):
        node, interface = str(end.get("node", "")), str(end.get("interface", ""))
        mac = str(end.get("mac") or "").lower()
    else:
        faults.append((path, "expected an endpoint such as a:eth1", ""))
        return None
    if node in _OUTSIDE and node not in nodes:
        raise UnsupportedLinkError(
            f"an end on {node} leads out of the lab, which the embedded runtime does not do"
        )
    interface = linux_name(nodes.get(node, ""), interface)
    if node not in nodes:
        faults.append((path, f"unknown node {node!r}", nearest(node, nodes)))
    elif not _INTERFACE.match(interface):
        faults.append((path, f"{interface!r} is not a name for an interface, expected such as eth1", ""))
    elif mac and not _MAC.match(mac):
        faults.append((path, f"{mac!r} is no MAC address, expected such as 02:00:00:00:00:01", ""))
    else:
        return Endpoint(node, interface), mac
    return None
