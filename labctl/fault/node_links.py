"""All links of one node at once: sets them down, moves them to another namespace, sets them up."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Self

from labctl.errors import ActionError
from labctl.events import now_ns
from labctl.linux import netlink
from labctl.linux.netns import inside

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from types import TracebackType

__all__ = ["LinkDown", "drop_orphan_sockets", "move_links", "set_links_up"]

_GROUP = 0x6C61
"""Group number that a node's links get for the one message that takes all of them down."""

_MANAGEMENT = "eth0"


class LinkDown:
    """Prepares the messages that take a node's links down; :meth:`set_down` sends them. A context manager.

    Args:
        netns: the node's network namespace.
        interfaces: those of its links. A management interface goes along, if it has one.

    Raises:
        ActionError: the namespace lacks one of the interfaces.
    """

    def __init__(self, netns: Path, interfaces: Sequence[str]) -> None:
        self._route, there = inside(netns, _route_and_links)
        try:
            chosen = _chosen(there, interfaces, netns)
            if _MANAGEMENT in there and _MANAGEMENT not in interfaces:
                chosen.append(there[_MANAGEMENT])
            self._route.batch([netlink.set_link(link.index, group=_GROUP) for link in chosen])
            self._prepared = self._route.prepare([netlink.group_flags(_GROUP, up=False)]) if chosen else None
        except BaseException:
            self._route.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._route.close()

    def set_down(self) -> int:
        """Take all links down; nanoseconds that the kernel took for it."""
        if self._prepared is None:
            return 0
        begin = now_ns()
        self._route.send(self._prepared)
        return now_ns() - begin


def move_links(source: Path, target: Path, interfaces: Sequence[str]) -> None:
    """Move link ends from one namespace to another; each keeps its name, MAC, MTU and ifindex.

    Those that are in the target already are passed over, so that it may be called again.

    Raises:
        ActionError: an end is in neither.
    """
    there = inside(target, _links)
    handle = os.open(target, os.O_RDONLY | os.O_CLOEXEC)

    def move() -> None:
        route, here = _route_and_links()
        with contextlib.closing(route):
            wanted = _chosen(here, [name for name in interfaces if name not in there], source)
            taken = {link.index for link in there.values()}
            messages = []
            for link in wanted:
                messages.append(netlink.set_link(link.index, up=False, group=0))
                # 0: the kernel chooses; a number is taken only where somebody made links meanwhile.
                index = 0 if link.index in taken else link.index
                messages.append(netlink.move(link.index, handle, link.name, index))
            route.batch(messages)

    try:
        inside(source, move)
    except OSError as error:
        raise ActionError(f"links could not be moved from {source} to {target}: {error.strerror}") from error
    finally:
        os.close(handle)


def set_links_up(netns: Path, interfaces: Sequence[str]) -> None:
    """Set link ends up, all in one batch."""

    def set_up() -> None:
        route, there = _route_and_links()
        with contextlib.closing(route):
            chosen = _chosen(there, interfaces, netns)
            if _MANAGEMENT in there and _MANAGEMENT not in interfaces:
                chosen.append(there[_MANAGEMENT])
            route.batch([netlink.set_link(link.index, up=True, group=0) for link in chosen])

    inside(netns, set_up)


def drop_orphan_sockets(netns: Path) -> None:
    """Make the kernel drop the dead node's sockets soon: they have no link, but hold the namespace."""

    def write() -> None:
        with open("/proc/sys/net/ipv4/tcp_orphan_retries", "w") as file:  # noqa: PTH123 - per namespace
            file.write("1")

    with contextlib.suppress(OSError):
        inside(netns, write)


def _chosen(there: dict[str, netlink.LinkInfo], names: Sequence[str], where: Path) -> list[netlink.LinkInfo]:
    lost = [name for name in names if name not in there]
    if lost:
        raise ActionError(f"{where.name} has no interface {', '.join(lost)}: another program has removed it")
    return [there[name] for name in names]


def _route_and_links() -> tuple[netlink.Route, dict[str, netlink.LinkInfo]]:
    route = netlink.Route()
    return route, netlink.links(route)


def _links() -> dict[str, netlink.LinkInfo]:
    with contextlib.closing(netlink.Route()) as route:
        return netlink.links(route)
