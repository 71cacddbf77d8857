"""A topology before planning: every node and link by name, the given values, and their positions.

Ranges, counts and variables are already expanded; :func:`labctl.model.plan.plan` makes a
:class:`~labctl.model.lab.Lab` of it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "MAX_LINKS",
    "MAX_NODES",
    "NODE_SETTINGS",
    "AddressPools",
    "Behaviour",
    "EndpointRequest",
    "Given",
    "LabRequest",
    "LinkRequest",
    "NodeRequest",
    "Path",
]

MAX_NODES = 4096
"""More nodes than this are taken for a slip of the pen."""

MAX_LINKS = 16384
"""The same for links."""


class Behaviour(StrEnum):
    """How nodes of a role are planned, whatever the role's name.

    ``host``: an end system, numbered links. ``router``: forwards, has an AS number, unnumbered
    links. ``gateway``: a router that stands between the sides of the topology. ``switch``: a
    bridge; has no address, and what is joined by switches shares one subnet. ``guest``: an end
    system that is told its address by others, as a virtual machine is.
    """

    HOST = "host"
    ROUTER = "router"
    GATEWAY = "gateway"
    SWITCH = "switch"
    GUEST = "guest"

    @property
    def has_asn(self) -> bool:
        """Whether a node of that kind gets an AS number of its own unasked."""
        return self in (Behaviour.ROUTER, Behaviour.GATEWAY)


Path = tuple[str | int, ...]
"""Keys and indices from the root of the user's file: where something was given."""


@dataclass(frozen=True, slots=True)
class Given:
    """A value, and the path to where the user gave it."""

    value: Any
    path: Path


@dataclass(frozen=True, slots=True)
class _Request:
    """What was given, and where: ``places`` has the path of every setting that the user gave."""

    places: Mapping[str, Path] = field(default_factory=dict, kw_only=True, compare=False)

    def given(self, setting: str) -> Given | None:
        """A setting that the user gave; None if it is to be planned."""
        path = self.places.get(setting)
        return None if path is None else Given(self._value(setting), path)

    def with_given(self, setting: str, value: Any, path: Path) -> Self:  # noqa: ANN401 - any setting
        """The same with one setting more, or another."""
        return replace(self, **{setting: value}, places={**self.places, setting: path})

    def _value(self, setting: str) -> Any:  # noqa: ANN401 - any setting
        return getattr(self, setting)


@dataclass(frozen=True, slots=True)
class NodeRequest(_Request):
    """A node, and what was given for it; None is to be planned.

    Attributes:
        name: a DNS label.
        role: name of its role's folder; empty while it is not known.
        behaviour: how its role is planned for.
        loopback4, loopback6: its own address.
        asn: BGP autonomous system number.
        image: container image in the place of the role's own; empty for the role's.
        params: the user's ``vars``; over the role's defaults, once the role is known.
        extras: what was given under keys that only a role knows.
        path: to the key that first named the node.
        param_places: where the user gave each of his ``vars`` for this node.
    """

    name: str
    role: str = ""
    behaviour: Behaviour = Behaviour.HOST
    loopback4: IPv4Address | None = None
    loopback6: IPv6Address | None = None
    asn: int | None = None
    image: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)
    extras: Mapping[str, Any] = field(default_factory=dict)
    path: Path = ()
    param_places: Mapping[str, Path] = field(default_factory=dict, compare=False)

    def with_given(self, setting: str, value: Any, path: Path) -> NodeRequest:  # noqa: ANN401 - any setting
        """The same with one setting more, or another; what is none of every node is an extra."""
        places = {**self.places, setting: path}
        if setting in NODE_SETTINGS:
            return replace(self, **{setting: value}, places=places)
        return replace(self, extras={**self.extras, setting: value}, places=places)

    def _value(self, setting: str) -> Any:  # noqa: ANN401 - any setting
        return getattr(self, setting) if setting in NODE_SETTINGS else self.extras.get(setting)


NODE_SETTINGS = frozenset({"role", "loopback4", "loopback6", "asn", "image"})
"""What may be given for every node, whatever its role."""


@dataclass(frozen=True, slots=True)
class EndpointRequest(_Request):
    """One end of a link, and what was given for it; None (or empty) is to be planned."""

    node: str
    interface: str = ""
    mac: str = ""
    ipv4: IPv4Interface | None = None
    ipv6: IPv6Interface | None = None


@dataclass(frozen=True, slots=True)
class LinkRequest:
    """A link between two nodes.

    Attributes:
        a: one end.
        b: the other end.
        mtu: bytes of IP packet.
        path: to the entry of ``links`` that made it.
    """

    a: EndpointRequest
    b: EndpointRequest
    mtu: int = 1500
    path: Path = ()

    @property
    def ends(self) -> tuple[EndpointRequest, EndpointRequest]:
        """Both ends, ``a`` first."""
        return (self.a, self.b)


_LOOPBACK4, _LOOPBACK6 = IPv4Network("10.255.0.0/16"), IPv6Network("fd5c:1ab:7e57:ffff::/64")
_LINK4, _LINK6 = IPv4Network("10.254.0.0/16"), IPv6Network("fd5c:1ab:7e57:fffe::/64")
_SEGMENT4, _SEGMENT6 = IPv4Network("10.192.0.0/11"), IPv6Network("fd5c:1ab:7e57::/49")


@dataclass(frozen=True, slots=True)
class AddressPools:
    """Where planned values come from.

    Attributes:
        loopback4, loopback6: one address a node.
        link4, link6: /31 and /127 of point-to-point links with a host at one end.
        segment4: a /24 a switched segment in the lower half, a /19 in the upper half for those
            with more than 254 members.
        segment6: a /64 a switched segment.
        asn: the first AS number; RFC 6996 keeps 4200000000 to 4294967294 for private use.
    """

    loopback4: IPv4Network = _LOOPBACK4
    loopback6: IPv6Network = _LOOPBACK6
    link4: IPv4Network = _LINK4
    link6: IPv6Network = _LINK6
    segment4: IPv4Network = _SEGMENT4
    segment6: IPv6Network = _SEGMENT6
    asn: int = 4_200_000_000


@dataclass(frozen=True, slots=True)
class LabRequest:
    """A whole topology, expanded, with names that are known to be right."""

    name: str
    nodes: tuple[NodeRequest, ...]
    links: tuple[LinkRequest, ...]
    vars: Mapping[str, Any] = field(default_factory=dict)
    pools: AddressPools = field(default_factory=AddressPools)
