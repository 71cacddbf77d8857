"""The links of a lab that containerlab deployed: whether they exist, and their interface numbers.

A veth whose two ends have the same interface number, each in its own namespace, reports lost carrier
up to a second late: the kernel compares the two numbers to find out whether a link has a peer at all
(linkwatch). containerlab leaves the numbers to chance.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from labctl.errors import LabctlError
from labctl.linux.netlink import LinkInfo, Route, links, move, set_link
from labctl.linux.netns import inside

if TYPE_CHECKING:
    from collections.abc import Callable

    from labctl.clab.definition import Definition

__all__ = ["not_laid", "refresh_name", "renumber", "twins"]

NETNS_FOLDER = Path("/run/netns")


def _links(netns: Path) -> dict[str, LinkInfo]:
    def read() -> dict[str, LinkInfo]:
        route = Route()
        try:
            return links(route)
        finally:
            route.close()

    return inside(netns, read)


def _ends(definition: Definition, netns_of: Callable[[str], Path]) -> dict[str, dict[str, LinkInfo]]:
    """Links by node and name; a node without a namespace of its own (a bridge, the host) is left out."""
    found: dict[str, dict[str, LinkInfo]] = {}
    for node in {end.node for link in definition.links for end in link.ends}:
        with contextlib.suppress(LabctlError, OSError):
            found[node] = _links(netns_of(node))
    return found


def not_laid(definition: Definition, netns_of: Callable[[str], Path]) -> list[str]:
    """Link ends that are missing in their node, one line each."""
    there = _ends(definition, netns_of)
    return [
        f"{end.node}: interface {end.interface} is not there after deploy"
        for link in definition.links
        for end in link.ends
        if end.node in there and end.interface not in there[end.node]
    ]


def twins(definition: Definition, netns_of: Callable[[str], Path]) -> dict[str, int]:
    """Nodes with a link whose two ends have the same number, one node a link.

    Returns:
        For each node the number from which on all its interfaces can be numbered anew, so that no
        interface of the lab has the number of another.
    """
    there = _ends(definition, netns_of)
    numbers = [link.index for node in there.values() for link in node.values()]
    found: dict[str, int] = {}
    free = max(numbers, default=0) + 1
    for link in definition.links:
        ends = [there.get(end.node, {}).get(end.interface) for end in link.ends]
        same = ends[0] is not None and ends[1] is not None and ends[0].index == ends[1].index
        if same and link.a.node not in found and link.b.node not in found:
            found[link.a.node] = free
            free += len(there[link.a.node])
    return found


def renumber(old: Path, new: Path, interfaces: list[str], first: int) -> None:
    """Move interfaces from one namespace into another, numbered from ``first`` on, and set them up."""
    target = os.open(new, os.O_RDONLY | os.O_CLOEXEC)

    def move_out() -> None:
        route = Route()
        try:
            there = links(route)
            wanted = [there[name] for name in interfaces if name in there]
            route.batch([move(link.index, target, link.name, first + at) for at, link in enumerate(wanted)])
        finally:
            route.close()

    def set_up() -> None:
        route = Route()
        try:
            there = links(route)
            route.batch([set_link(there[name].index, up=True) for name in interfaces if name in there])
        finally:
            route.close()

    try:
        inside(old, move_out)
    finally:
        os.close(target)
    inside(new, set_up)


def refresh_name(name: str, netns: Path) -> None:
    """Let the name that containerlab gave a namespace under /run/netns point to the one of this boot."""
    path = NETNS_FOLDER / name
    if path.is_symlink():
        path.unlink()
        path.symlink_to(netns)
