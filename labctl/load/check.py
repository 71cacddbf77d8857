"""Collisions among what the user gave: addresses, networks, MACs, interface names."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Address, IPv6Network
from typing import TYPE_CHECKING, Any

from labctl.model.segments import segments
from labctl.model.topology import Behaviour

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from labctl.document.document import Document
    from labctl.errors import Problem
    from labctl.model.topology import EndpointRequest, Given, LinkRequest, NodeRequest, Path

__all__ = ["check"]

Network = IPv4Network | IPv6Network
_FAMILIES = ("ipv4", "ipv6")


def check(document: Document, nodes: Sequence[NodeRequest], links: Sequence[LinkRequest]) -> list[Problem]:
    """Every collision among given values, with the places of both.

    Args:
        document: for positions.
        nodes: as they will be planned.
        links: as they will be planned.

    Returns:
        The problems; none if the planner may go ahead.
    """
    checker = _Checker(document, {node.name: node.behaviour for node in nodes})
    checker.nodes(nodes)
    checker.links(links)
    checker.networks(links, segments(nodes, links))
    return checker.problems


class _Checker:
    def __init__(self, document: Document, kinds: Mapping[str, Behaviour]) -> None:
        self.problems: list[Problem] = []
        self._document = document
        self._kinds = kinds
        self._told: set[Path] = set()
        self._owners: dict[object, tuple[str, Given]] = {}

    def nodes(self, nodes: Iterable[NodeRequest]) -> None:
        for node in nodes:
            for setting in ("loopback4", "loopback6", "asn"):
                given = node.given(setting)
                if given is None:
                    continue
                if node.behaviour is Behaviour.SWITCH:
                    what = "AS number" if setting == "asn" else "loopback"
                    self._complain(given, f"node {node.name!r} is a switch and has no {what}")
                elif setting != "asn":
                    self._own(given.value, given, f"loopback of node {node.name!r}")

    def links(self, links: Sequence[LinkRequest]) -> None:
        for link in links:
            for end, peer in ((link.a, link.b), (link.b, link.a)):
                name = end.given("interface")
                if name is not None:
                    self._claim(
                        (end.node, name.value), name, f"interface {name.value!r} of node {end.node!r}"
                    )
                mac = end.given("mac")
                if mac is not None:
                    self._mac(mac)
                for family in _FAMILIES:
                    given = end.given(family)
                    if given is not None:
                        self._link_address(given, end, peer)
            for family in _FAMILIES:
                self._one_network(link.a.given(family), link.b.given(family))

    def networks(self, links: Sequence[LinkRequest], segment_of: Mapping[str, str]) -> None:
        """No two segments share addresses, and a segment has one network a family."""
        for family in _FAMILIES:
            first: dict[object, Given] = {}
            for order, link in enumerate(links):
                switch = next((end.node for end in link.ends if end.node in segment_of), None)
                segment: object = order if switch is None else segment_of[switch]
                for end in link.ends:
                    given = end.given(family)
                    if given is None:
                        continue
                    known = first.setdefault(segment, given)
                    if switch is not None and known is not given:
                        self._one_network(known, given)
            self._overlaps(first)

    def _overlaps(self, first: Mapping[object, Given]) -> None:
        ordered = sorted(
            first.values(),
            key=lambda given: (int(given.value.network.network_address), given.value.network.prefixlen),
        )
        widest: Given | None = None
        for given in ordered:
            network = given.value.network
            if widest is not None and network.network_address <= widest.value.network.broadcast_address:
                late, early = sorted((given, widest), key=self._place, reverse=True)
                message = f"network {late.value.network} overlaps {early.value.network} of another segment"
                self._complain(late, f"{message}, {self._where(early)}")
            if widest is None or network.broadcast_address > widest.value.network.broadcast_address:
                widest = given

    def _own(self, address: object, given: Given, what: str) -> None:
        fault = _unusable(address)
        if fault:
            self._complain(given, f"{address} is {fault}, expected an address of one node")
            return
        self._claim(address, given, f"address {address}", what)

    def _claim(self, key: object, given: Given, what: str, owner: str = "") -> None:
        known, first = self._owners.setdefault(key, (owner, given))
        if first is not given:
            as_what = f": {owner} here, {known} there" if owner else ""
            where = "by one entry" if first.path == given.path else self._where(first)
            self._complain(given, f"{what} is given twice, {where}{as_what}")

    def _mac(self, given: Given) -> None:
        first = int(given.value[:2], 16)
        if first & 1:
            self._complain(given, f"MAC {given.value} is a group address, expected an even first byte")
        elif not int(given.value.replace(":", ""), 16):
            self._complain(given, f"MAC {given.value} is no address of an interface")
        else:
            self._claim(given.value.lower(), given, f"MAC {given.value.lower()}")

    def _link_address(self, given: Given, end: EndpointRequest, peer: EndpointRequest) -> None:
        address = given.value
        bits = address.max_prefixlen
        if self._kinds.get(end.node) is Behaviour.SWITCH:
            self._complain(given, f"node {end.node!r} is a switch and has no address, expected null")
            return
        if address.network.prefixlen >= bits:
            example = f"{address.ip}/{bits - 1}"
            self._complain(given, f"{address.ip} has no prefix length, expected such as {example}")
            return
        if address.network.prefixlen < bits - 1 and address.ip in _ends_of(address.network):
            self._complain(given, f"{address} is the network itself or its broadcast address")
            return
        self._own(address.ip, given, f"interface of {end.node!r} to {peer.node!r}")

    def _one_network(self, a: Given | None, b: Given | None) -> None:
        if a is None or b is None or _is_single(a) or _is_single(b):
            return
        if a.value.network != b.value.network:
            late, early = sorted((a, b), key=self._place, reverse=True)
            message = f"{late.value} is not in the network of {early.value}, {self._where(early)}"
            self._complain(late, f"{message}: one segment has one network")

    def _place(self, given: Given) -> tuple[int, int]:
        place = self._document.position(given.path)
        return place.line, place.column

    def _where(self, given: Given) -> str:
        line, column = self._place(given)
        return f"also at {line}:{column}"

    def _complain(self, given: Given, message: str) -> None:
        """One problem a value: a range may repeat it thousands of times."""
        if given.path in self._told:
            return
        self._told.add(given.path)
        self.problems.append(self._document.problem(given.path, message))


def _is_single(given: Given) -> bool:
    """Whether an address came without a prefix length, which is complained of by itself."""
    return bool(given.value.network.prefixlen == given.value.max_prefixlen)


def _ends_of(network: Network) -> tuple[object, ...]:
    if isinstance(network, IPv4Network):
        return (network.network_address, network.broadcast_address)
    return (network.network_address,)


def _unusable(address: Any) -> str:  # noqa: ANN401 - either family
    if address.is_multicast:
        return "a multicast address"
    if address.is_unspecified:
        return "the unspecified address"
    if address.is_loopback:
        return "the machine's own loopback"
    if isinstance(address, IPv6Address) and address.is_link_local:
        return "a link-local address"
    return ""
