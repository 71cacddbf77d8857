"""The agent's settings in its node's own kernel: the uplink's veth, routes inward, the anycast address.

All settings go through ``ip -batch``: values are words on standard input, never part of a shell's line. The
agent's routes have a protocol number of their own, so that FRR redistributes only these and a restarted agent
finds them.
"""

from __future__ import annotations

import ipaddress
import json
import socket
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from labctl.errors import HostError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

    from labctl.overlay.config.model import Uplink

    Address = IPv4Address | IPv6Address
    Prefix = IPv4Network | IPv6Network

__all__ = ["KERNEL_SIDE", "OVERLAY_SIDE", "ROUTE_PROTOCOL", "Ip", "IpCommand", "Kernel"]

OVERLAY_SIDE = "lc-gw0"
KERNEL_SIDE = "lc-gw1"
ROUTE_PROTOCOL = 77
"""``rtm_protocol`` of routes that an agent made."""
ANYCAST_LABEL = "lo:labctl"
"""Label of the IPv4 anycast address on the loopback device: how an agent that starts again finds it.

IPv6 addresses have no labels: there it is the one that is deprecated (RFC 4862, 5.5.4), which also
keeps the kernel from choosing it as the source of anything of its own (RFC 6724, rule 3)."""
_PATIENCE_S = 10
_IPV4 = 4


class Ip(Protocol):
    """iproute2, or what stands for it in tests."""

    def batch(self, lines: Sequence[str]) -> None:
        """Run lines of ``ip``; every one is tried.

        Raises:
            HostError: one was refused.
        """

    def show(self, *words: str) -> list[dict[str, Any]]:
        """What an ``ip ... show`` finds, as JSON."""


class IpCommand:
    """The real one, in this network namespace."""

    def batch(self, lines: Sequence[str]) -> None:
        """See :class:`Ip`."""
        if not lines:
            return
        done = subprocess.run(
            ["ip", "-force", "-batch", "-"],
            input="\n".join(lines).encode(),
            capture_output=True,
            check=False,
            timeout=_PATIENCE_S,
        )
        if done.returncode:
            raise HostError(f"ip refused: {done.stderr.decode().strip()}")

    def show(self, *words: str) -> list[dict[str, Any]]:
        """See :class:`Ip`."""
        done = subprocess.run(["ip", "-json", *words], capture_output=True, check=False, timeout=_PATIENCE_S)
        if done.returncode:
            raise HostError(f"ip {' '.join(words)}: {done.stderr.decode().strip()}")
        return list(json.loads(done.stdout or b"[]"))


@dataclass(frozen=True, slots=True)
class Kernel:
    """The node's kernel, configured through iproute2."""

    ip: Ip

    def ensure_uplink(self, uplink: Uplink) -> None:
        """Make the veth between the overlay and this kernel, with the kernel's addresses on it."""
        there = {name for _, name in socket.if_nameindex()}
        lines = []
        if KERNEL_SIDE not in there:
            lines.append(f"link add {OVERLAY_SIDE} type veth peer name {KERNEL_SIDE}")
        lines += [
            f"link set {OVERLAY_SIDE} addrgenmode none arp off",
            f"link set {KERNEL_SIDE} addrgenmode none",
            f"link set {KERNEL_SIDE} address {uplink.kernel_mac}",
            f"link set {OVERLAY_SIDE} up",
            f"link set {KERNEL_SIDE} mtu {uplink.mtu} up",
        ]
        for address in uplink.kernel_addresses:
            nodad = " nodad" if address.version != _IPV4 else ""
            lines.append(f"address replace {address}/{_beside(address)} dev {KERNEL_SIDE}{nodad}")
        # The router's end never changes: nobody has to ask for its MAC first.
        for address in uplink.addresses:
            lines.append(f"neigh replace {address} lladdr {uplink.mac} dev {KERNEL_SIDE} nud permanent")
        self.ip.batch(lines)

    def routed(self) -> frozenset[Prefix]:
        """The prefixes that an agent has routed to the overlay."""
        found: set[Prefix] = set()
        for family in ("-4", "-6"):
            for route in self.ip.show(family, "route", "show", "proto", str(ROUTE_PROTOCOL)):
                found.add(ipaddress.ip_network(str(route["dst"])))
        return frozenset(found)

    def routes_inward(self, uplink: Uplink, new: Iterable[Prefix], gone: Iterable[Prefix]) -> None:
        """Route the tenants' prefixes to the overlay; FRR announces what stands here."""
        hops = {address.version: address for address in uplink.addresses}
        way = f"dev {KERNEL_SIDE} onlink proto {ROUTE_PROTOCOL}"
        lines = [
            f"route replace {prefix} via {hops[prefix.version]} {way}"
            for prefix in sorted(new, key=str)
            if prefix.version in hops
        ]
        lines += [f"route del {prefix} proto {ROUTE_PROTOCOL}" for prefix in sorted(gone, key=str)]
        self.ip.batch(lines)

    def attracting(self) -> frozenset[Address]:
        """The anycast addresses that an agent has taken."""
        return frozenset(
            ipaddress.ip_address(str(address["local"]))
            for link in self.ip.show("address", "show", "dev", "lo")
            for address in link.get("addr_info", ())
            if address.get("label") == ANYCAST_LABEL or address.get("deprecated")
        )

    def attract(self, anycast: Address) -> None:
        """Take the gateways' common address: the underlay sends packets outward from now on."""
        mark = f"label {ANYCAST_LABEL}" if anycast.version == _IPV4 else "nodad preferred_lft 0"
        self.ip.batch([f"address replace {anycast}/{anycast.max_prefixlen} dev lo {mark}"])

    def repel(self, anycast: Address) -> None:
        """Give it back."""
        self.ip.batch([f"address del {anycast}/{anycast.max_prefixlen} dev lo"])


def _beside(address: Address) -> int:
    """Length of a prefix that holds just the two ends."""
    return address.max_prefixlen - 1
