"""Plans the addresses of nodes and links: keeps the given ones and fills in the rest."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from labctl.model.pools import PlanError, Taken, assign
from labctl.model.segments import segments
from labctl.model.topology import Behaviour

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network

    from labctl.model.topology import EndpointRequest, LabRequest, LinkRequest, NodeRequest

__all__ = ["Family", "plan_asns", "plan_links", "plan_loopbacks"]

Family = Literal[4, 6]
End = tuple[int, int]
"""A link's index, and 0 for its end a, 1 for b."""

_IPV4 = 4
_SMALL_SEGMENT = 254
_SMALL_PREFIX, _LARGE_PREFIX = 24, 19


def plan_loopbacks(topology: LabRequest, family: Family) -> list[int | None]:
    """An address as integer for every node that is neither switch nor guest, in order of nodes."""
    pool = topology.pools.loopback4 if family == _IPV4 else topology.pools.loopback6
    base = int(pool.network_address)
    given = [_loopback(node, family) for node in topology.nodes]
    taken = _given_spans(topology, family)
    open_items = [
        index
        for index, node in enumerate(topology.nodes)
        if given[index] is None and node.behaviour not in (Behaviour.SWITCH, Behaviour.GUEST)
    ]
    slots = assign(
        [index + 1 for index in open_items],
        pool.num_addresses,
        lambda slot: not taken.overlaps(base + slot, base + slot),
        f"IPv{family} loopbacks, {pool},",
        first=1,
    )
    for index, slot in zip(open_items, slots, strict=True):
        given[index] = base + slot
    return given


def plan_asns(topology: LabRequest) -> list[int | None]:
    """An AS number for every node that was given one or whose kind has one, in order of nodes."""
    numbers = [node.asn for node in topology.nodes]
    given = {number for number in numbers if number is not None}
    base = topology.pools.asn
    open_items = [
        index for index, node in enumerate(topology.nodes) if node.asn is None and node.behaviour.has_asn
    ]
    slots = assign(
        [index + 1 for index in open_items],
        4_294_967_294 - base + 1,
        lambda slot: base + slot not in given,
        f"AS numbers from {base}",
    )
    for index, slot in zip(open_items, slots, strict=True):
        numbers[index] = base + slot
    return numbers


def plan_links(topology: LabRequest, family: Family) -> dict[End, tuple[int, int]]:
    """Address (as integer) and prefix length of every link end that has one.

    Links between routers and gateways stay unnumbered unless something was given; links with a
    host at an end get a /31 or /127, whose even address is the other side's; what is joined by
    switches shares a subnet.

    Raises:
        PlanError: a pool or a given network is too small.
    """
    return _LinkPlanner(topology, family).plan()


def _loopback(node: NodeRequest, family: Family) -> int | None:
    given: IPv4Address | IPv6Address | None = node.loopback4 if family == _IPV4 else node.loopback6
    return None if given is None else int(given)


def _address(end: EndpointRequest, family: Family) -> IPv4Interface | IPv6Interface | None:
    return end.ipv4 if family == _IPV4 else end.ipv6


def _given_spans(topology: LabRequest, family: Family) -> Taken:
    """Every loopback and network that the user gave."""

    def spans() -> Iterator[tuple[int, int]]:
        for node in topology.nodes:
            loopback = _loopback(node, family)
            if loopback is not None:
                yield loopback, loopback
        for link in topology.links:
            for end in link.ends:
                address = _address(end, family)
                if address is not None:
                    yield int(address.network.network_address), int(address.network.broadcast_address)

    return Taken(spans())


@dataclass(slots=True)
class _Segment:
    """Link ends that share a subnet; ``given`` are the addresses among them."""

    ends: list[End] = field(default_factory=list)
    given: dict[End, IPv4Interface | IPv6Interface] = field(default_factory=dict)


class _LinkPlanner:
    """Plans one address family's link ends."""

    def __init__(self, topology: LabRequest, family: Family) -> None:
        self._family = family
        self._pools = topology.pools
        self._links: Sequence[LinkRequest] = topology.links
        self._behaviour: Mapping[str, Behaviour] = {node.name: node.behaviour for node in topology.nodes}
        self._segment_of = segments(topology.nodes, topology.links)
        self._taken = _given_spans(topology, family)
        self._bits = 32 if family == _IPV4 else 128
        self._planned: dict[End, tuple[int, int]] = {}

    def plan(self) -> dict[End, tuple[int, int]]:
        """Do it."""
        fresh: list[tuple[int, tuple[End, End]]] = []
        shared = {first: _Segment() for first in dict.fromkeys(self._segment_of.values())}
        hosted = 0
        for index, link in enumerate(self._links):
            kinds = [self._behaviour[end.node] for end in link.ends]
            given = {
                (index, at): found
                for at, end in enumerate(link.ends)
                if (found := _address(end, self._family)) is not None
            }
            if Behaviour.SWITCH in kinds:
                self._attach(shared, index, link, given)
                continue
            if Behaviour.HOST in kinds:
                even_first = kinds[1] is Behaviour.HOST
                ends = ((index, 0), (index, 1)) if even_first else ((index, 1), (index, 0))
                if not given:
                    fresh.append((hosted, ends))
                hosted += 1
            if given:
                self._fill([(index, 0), (index, 1)], given)
        self._point_to_point(fresh)
        self._switched(list(shared.values()))
        return self._planned

    def _attach(
        self,
        shared: dict[str, _Segment],
        index: int,
        link: LinkRequest,
        given: dict[End, IPv4Interface | IPv6Interface],
    ) -> None:
        for at, end in enumerate(link.ends):
            if end.node not in self._segment_of:
                segment = shared[self._segment_of[link.ends[1 - at].node]]
                segment.ends.append((index, at))
                segment.given |= given

    def _point_to_point(self, fresh: list[tuple[int, tuple[End, End]]]) -> None:
        pool: IPv4Network | IPv6Network = self._pools.link4 if self._family == _IPV4 else self._pools.link6
        base = int(pool.network_address)
        slots = assign(
            [slot for slot, _ in fresh],
            pool.num_addresses // 2,
            lambda slot: not self._taken.overlaps(base + 2 * slot, base + 2 * slot + 1),
            f"point-to-point links, {pool},",
        )
        for slot, (_, ends) in zip(slots, fresh, strict=True):
            for offset, end in enumerate(ends):
                self._planned[end] = (base + 2 * slot + offset, self._bits - 1)

    def _switched(self, shared: list[_Segment]) -> None:
        small: list[tuple[int, _Segment]] = []
        large: list[tuple[int, _Segment]] = []
        for order, segment in enumerate(shared):
            if segment.given:
                self._fill(segment.ends, segment.given)
            elif self._family == _IPV4 and len(segment.ends) > _SMALL_SEGMENT:
                large.append((len(large), segment))
            else:
                small.append((order, segment))
        pool: IPv4Network | IPv6Network = (
            self._pools.segment4 if self._family == _IPV4 else self._pools.segment6
        )
        base, half = int(pool.network_address), pool.num_addresses // 2
        if pool.prefixlen >= _LARGE_PREFIX and not large:
            half *= 2  # a pool too small for large segments is the small ones' own
        if self._family != _IPV4:
            self._subnets(small, base, 2 * half, 64, str(pool))
        else:
            self._subnets(small, base, half, _SMALL_PREFIX, str(pool))
            self._subnets(large, base + half, half, _LARGE_PREFIX, str(pool))

    def _subnets(
        self, chosen: list[tuple[int, _Segment]], base: int, room: int, prefix: int, pool: str
    ) -> None:
        size = 1 << (self._bits - prefix)
        slots = assign(
            [order for order, _ in chosen],
            room // size,
            lambda slot: not self._taken.overlaps(base + slot * size, base + slot * size + size - 1),
            f"switched segments, {pool},",
        )
        for slot, (_, segment) in zip(slots, chosen, strict=True):
            for offset, end in enumerate(segment.ends):
                self._planned[end] = (base + slot * size + 1 + offset, prefix)

    def _fill(self, ends: list[End], given: Mapping[End, IPv4Interface | IPv6Interface]) -> None:
        """Complete a segment of which the user gave an address or more."""
        network = next(iter(given.values())).network
        low, high = int(network.network_address), int(network.broadcast_address)
        if network.prefixlen < self._bits - 1:
            low += 1
            high -= 1 if self._family == _IPV4 else 0
        used = {int(address) for address in given.values()}
        open_ends = [(order, end) for order, end in enumerate(ends) if end not in given]
        for end, address in given.items():
            self._planned[end] = (int(address), network.prefixlen)
        try:
            slots = assign(
                [order for order, _ in open_ends],
                high - low + 1,
                lambda slot: low + slot not in used,
                f"addresses in {network}",
            )
        except PlanError as error:
            raise PlanError(f"{network} has no room for {len(ends)} addresses", ends[0][0]) from error
        for slot, (_, end) in zip(slots, open_ends, strict=True):
            self._planned[end] = (low + slot, network.prefixlen)
