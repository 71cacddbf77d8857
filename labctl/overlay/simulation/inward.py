"""The proactive flows of a gateway: one for each VM address, and the prefixes that are inside.

From the outside nothing but the destination address decides, because security groups are enforced on the VM's
own host. So a gateway can hold one entry for each VM address instead of one for each flow,
installed before any packet; a gateway that takes over flows of another one needs no first-packet decisions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from labctl.overlay.flow import Forward, Match, Packet
from labctl.overlay.packet import IP4, IP6, is_ipv4
from labctl.overlay.simulation.engine import simulate
from labctl.overlay.simulation.snapshot_views import RouteKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from labctl.overlay.simulation.snapshot_views import UplinkView
    from labctl.overlay.simulation.topology import VirtualTopology

__all__ = ["Inward", "inside_prefixes", "inward"]

_FULL_TTL = 255


class Inward(NamedTuple):
    """One VM address as a gateway sees it.

    Attributes:
        ingress: key of the uplink.
        dst: the address, 16 bytes.
        forward: valid for every packet to it that comes by that uplink
            (:data:`labctl.overlay.flow.Match.DESTINATION`).
    """

    ingress: int
    dst: bytes
    forward: Forward


def inward(topology: VirtualTopology, host: str, only: Iterable[bytes] | None = None) -> Iterator[Inward]:
    """The way in to every VM address that can be reached from the outside.

    Args:
        topology: a snapshot.
        host: name of the gateway.
        only: addresses of interest; None for all.
    """
    addresses = frozenset(only) if only is not None else None
    for uplink in topology.uplinks.values():
        for port in topology.ports.values():
            for address in port.addresses:
                if addresses is not None and address not in addresses:
                    continue
                decision = simulate(topology, host, _probe(uplink, address), uplink.key, _nothing)
                if isinstance(decision, Forward) and decision.match is Match.DESTINATION:
                    yield Inward(uplink.key, address, decision)


def inside_prefixes(topology: VirtualTopology) -> frozenset[tuple[bytes, int]]:
    """Every routed prefix of the tenants: first address (16 bytes) and length in that space.

    A packet from the outside with a source in one of these is forged, and the BGP daemons of the
    gateways announce just these.
    """
    return frozenset(
        (route.prefix.to_bytes(16, "big"), route.bits)
        for router in topology.routers.values()
        if not router.tenant
        for route in router.routes()
        if route.kind is RouteKind.TENANT
    )


def _probe(uplink: UplinkView, dst: bytes) -> Packet:
    """A small packet of no known protocol from nowhere special."""
    four = is_ipv4(dst)
    src = bytes(10) + b"\xff\xff" + b"\xc6\x12\0\1" if four else b"\x20\x01\x0d\xb8" + bytes(11) + b"\1"
    return Packet(
        b"", uplink.mac, uplink.kernel_mac, IP4 if four else IP6, src, dst, 255, _FULL_TTL, length=64
    )


def _nothing(_: object) -> bool:
    return False
