"""``route``: a node's kernel has a route."""

from __future__ import annotations

import ipaddress
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field, field_validator

from labctl.document.entries import Entry, Name
from labctl.errors import ActionError
from labctl.scenario.kinds.condition import ConditionKind, Measured, Polled, PolledEntry, polled
from labctl.scenario.kinds.node_command import shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labctl.scenario.backend import LabBackend

__all__ = ["KIND", "RouteThere"]

_TIMEOUT_S = 5.0
_DEAD = {"dead", "linkdown"}


class WantedRoute(Entry):
    """A route of a node's kernel."""

    node: Name
    to: Annotated[str, Field(min_length=1, max_length=63, description="a prefix, default, or a node's name")]
    via: Annotated[
        str | None, Field(min_length=1, max_length=63, description="one next hop: an address or an interface")
    ] = None
    next_hops: Annotated[
        int | None, Field(alias="next-hops", ge=1, description="at least so many live next hops")
    ] = None

    @field_validator("to")
    @classmethod
    def _a_prefix(cls, text: str) -> str:
        if "/" not in text and ":" not in text:
            return text
        try:
            return str(ipaddress.ip_network(text if "/" in text else f"{text}/128"))
        except ValueError as error:
            raise ValueError(f"expected a prefix such as 10.0.0.0/24, default, or a node: {error}") from error


class RouteEntry(PolledEntry):
    """``route`` as a user writes it."""

    route: Annotated[WantedRoute, Field(description="a route that the kernel of a node must have")]


@dataclass(frozen=True, slots=True)
class RouteThere(Polled):
    """A node's kernel has a route with live next hops.

    Attributes:
        node: whose kernel.
        to: a prefix, ``default``, or the name of a node: the prefix of its IPv4 loopback address.
        via: an address or an interface that one of the next hops must have; empty for any.
        hops: at least so many next hops that are neither dead nor without carrier.
    """

    kind: ClassVar[str] = "route"

    node: str
    to: str
    via: str
    hops: int

    def poll(self, backend: LabBackend) -> Measured:
        """Look once, at exactly that prefix."""
        is_prefix = "/" in self.to or self.to == "default"
        prefix = self.to if is_prefix else f"{backend.address(self.to, 4)}/32"
        argv = ["ip", "-json", "-6" if ":" in prefix else "-4", "route", "show", "to", "exact", prefix]
        result = backend.execute(self.node, argv, _TIMEOUT_S)
        if not result.ok:
            raise ActionError(f"ip route ended with {result.code}: {shown(result.stderr)}")
        try:
            live = list(_live(json.loads(result.stdout or b"[]")))
        except (ValueError, TypeError, AttributeError) as error:
            raise ActionError(f"ip route: {shown(result.stdout)!r} cannot be read") from error
        if len(live) < self.hops:
            told = f"{len(live)} live next hops to {prefix}" if live else f"no route to {prefix}"
            return Measured(met=False, values={"missing": {self.node: told}})
        if self.via and all(self.via not in hop for hop in live):
            told = f"{prefix} by {', '.join(' '.join(hop) for hop in live)}, not by {self.via}"
            return Measured(met=False, values={"missing": {self.node: told}})
        return Measured(met=True, values={"next_hops": [" ".join(hop) for hop in live]})

    def nodes(self) -> Iterator[tuple[tuple[str | int, ...], str]]:
        """Whose kernel, and the node that it leads to."""
        yield ("route", "node"), self.node
        if "/" not in self.to and self.to != "default":
            yield ("route", "to"), self.to

    def words(self) -> str:
        """As people say it."""
        via = f" via {self.via}" if self.via else ""
        hops = f" by {self.hops} next hops" if self.hops > 1 else ""
        return f"{self.node} to {self.to}{via}{hops}"

    __str__ = Polled.__str__


def _live(routes: list[dict[str, Any]]) -> Iterator[tuple[str, ...]]:
    """Gateway and interface of each live next hop."""
    for route in routes:
        for hop in route.get("nexthops", [route]):
            if not _DEAD.intersection([*route.get("flags", []), *hop.get("flags", [])]):
                gateway = hop.get("gateway") or hop.get("via", {}).get("host")
                yield tuple(str(one) for one in (gateway, hop.get("dev")) if one)


def _read(entry: RouteEntry) -> RouteThere:
    wanted = entry.route
    return RouteThere(*polled(entry), wanted.node, wanted.to, wanted.via or "", wanted.next_hops or 1)


KIND = ConditionKind(
    name="route",
    doc="the node's kernel has a route to exactly that prefix (`default`, or a node: the /32 of its "
    "loopback address), with a live next hop; `via` an address or an interface, with `next-hops: "
    "N` at least so many",
    example="{route: {node: r1, to: 10.128.0.0/24, next-hops: 2}, within: 10s}",
    entry=RouteEntry,
    read=_read,
)
