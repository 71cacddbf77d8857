"""Tags: what a decision was made from, and what a change touches.

A decision carries a tag for every fact of the topology that it was made from, absent ones too (an
address that nobody has). A change of the topology yields tags; a decision that holds one of them
must be made again. :class:`TagIndex` finds those decisions.

============================  ============================================================
``port:NAME``                 a VM port, all of it
``key:N``                     which port has that key
``net:NAME``                  a network's own attributes
``ports:NET``                 which ports a network has (floods)
``subnets:NET``               the subnets and gateways of a network (DHCP, advertisements)
``mac:NET:HEX``               who has that MAC address
``ip:NET:HEX``                who has that address (16 bytes in hex, IPv4 mapped)
``router:NAME``               a router's own attributes
``rport:NAME``                a router port, all of it
``to:ROUTER:HEX``             the route of a router to that address; in a change
                              ``to:ROUTER:HEX/BITS``: to all addresses of that prefix
``group:NAME``                the set of rules of a security group (a new rule)
``rule:NAME``                 one rule (changed or gone)
``member:GROUP:HEX``          whether the address is of a member of the group
``uplink:NAME``               an uplink, all of it
``host:NAME``                 a host's record
``gateways``                  the gateways' record
``peering:A:B``               whether two tenants are peers; names in order
``conn:HEX``                  whether a connection is known (a packed ConnKey); changed by the
                              datapath, not by the state database
============================  ============================================================
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable

    from labctl.overlay.flow import ConnKey

__all__ = ["TagIndex", "conn_tag", "matches", "route_change_tag", "route_tag"]

_Flow = TypeVar("_Flow", bound="Hashable")
_ADDRESS_BITS = 128


def route_tag(router: str, address: bytes) -> str:
    """The route of a router to an address of 16 bytes."""
    return f"to:{router}:{address.hex()}"


def route_change_tag(router: str, prefix: int, bits: int) -> str:
    """A change of routes to all addresses of a prefix, both in the space of 128 bits."""
    return f"to:{router}:{prefix:032x}/{bits}"


def conn_tag(conn: ConnKey) -> str:
    """Whether a connection is known."""
    return f"conn:{conn.pack().hex()}"


def _split_route(tag: str) -> tuple[str, int, int] | None:
    """Router, address, bits of a ``to:`` tag; None for any other."""
    if not tag.startswith("to:"):
        return None
    _, router, where = tag.split(":")
    address, _, bits = where.partition("/")
    return router, int(address, 16), int(bits or _ADDRESS_BITS)


def matches(tags: frozenset[str], changed: Iterable[str]) -> bool:
    """Whether a decision with these tags is touched by a change with those."""
    index: TagIndex[int] = TagIndex()
    index.add(0, tags)
    return bool(index.touched(changed))


class TagIndex(Generic[_Flow]):
    """Which decisions hold which tags.

    A flow may be anything that can be hashed. Adding it again replaces its tags.
    """

    def __init__(self) -> None:
        self._tags_of: dict[_Flow, frozenset[str]] = {}
        self._exact: dict[str, set[_Flow]] = {}
        self._routes: dict[str, dict[int, set[_Flow]]] = {}

    def __len__(self) -> int:
        return len(self._tags_of)

    def __contains__(self, flow: object) -> bool:
        return flow in self._tags_of

    def add(self, flow: _Flow, tags: frozenset[str]) -> None:
        """Remember what the decision for a flow was made from."""
        if flow in self._tags_of:
            self.remove(flow)
        self._tags_of[flow] = tags
        for tag in tags:
            holders = self._exact.get(tag)
            if holders is not None:
                holders.add(flow)
                continue
            holders = self._exact[tag] = {flow}
            route = _split_route(tag)
            if route is not None:
                self._routes.setdefault(route[0], {})[route[1]] = holders

    def remove(self, flow: _Flow) -> None:
        """Forget a flow; nothing happens if it is not known."""
        for tag in self._tags_of.pop(flow, ()):
            holders = self._exact[tag]
            holders.discard(flow)
            if holders:
                continue
            del self._exact[tag]
            route = _split_route(tag)
            if route is not None:
                del self._routes[route[0]][route[1]]

    def touched(self, changed: Iterable[str]) -> set[_Flow]:
        """The flows whose decisions a change touches; they stay in the index."""
        found: set[_Flow] = set()
        for tag in changed:
            found |= self._exact.get(tag, set())
            route = _split_route(tag)
            if route is not None:
                router, prefix, bits = route
                shift = _ADDRESS_BITS - bits
                for address, holders in self._routes.get(router, {}).items():
                    if address >> shift == prefix >> shift:
                        found |= holders
        return found
