"""What the agent sets in its node's own kernel: the uplink's veth, routes inward, the anycast address.

All by ``ip -batch``: values are words on standard input, never part of a shell's line. Routes of
ours carry a protocol number of their own, so that FRR redistributes just these and an agent that
starts again finds them.
"""

from __future__ import annotations

import socket
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from labctl.errors import HostError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

    from labctl.overlay.model import Uplink

    Address = IPv4Address | IPv6Address
    Prefix = IPv4Network | IPv6Network

__all__ = ["KERNEL_SIDE", "OVERLAY_SIDE", "ROUTE_PROTOCOL", "Kernel", "ip_batch"]

OVERLAY_SIDE = "lc-gw0"
KERNEL_SIDE = "lc-gw1"
ROUTE_PROTOCOL = 77
"""``rtm_protocol`` of routes that an agent made."""


@dataclass(frozen=True, slots=True)
class Kernel:
    """The node's kernel, spoken to through a function that runs a batch of ``ip`` commands.

    Attributes:
        batch: runs the lines; :func:`ip_batch`, or a list's ``extend`` in tests.
    """

    batch: Callable[[Sequence[str]], None]

    def ensure_uplink(self, uplink: Uplink) -> None:
        """Make the veth between the overlay and this kernel, with the kernel's addresses on it."""
        there = {name for _, name in socket.if_nameindex()}
        lines = []
        if KERNEL_SIDE not in there:
            lines.append(f"link add {OVERLAY_SIDE} type veth peer name {KERNEL_SIDE}")
        lines += [
            f"link set {OVERLAY_SIDE} addrgenmode none",
            f"link set {KERNEL_SIDE} addrgenmode none",
            f"link set {KERNEL_SIDE} address {uplink.kernel_mac}",
            f"link set {OVERLAY_SIDE} up",
            f"link set {KERNEL_SIDE} mtu {uplink.mtu} up",
        ]
        for address in uplink.kernel_addresses:
            lines.append(f"address replace {address}/{_beside(address)} dev {KERNEL_SIDE}")
        # The router's end never changes: nobody has to ask for its MAC first.
        for address in uplink.addresses:
            lines.append(f"neigh replace {address} lladdr {uplink.mac} dev {KERNEL_SIDE} nud permanent")
        self.batch(lines)

    def routes_inward(self, uplink: Uplink, new: Iterable[Prefix], gone: Iterable[Prefix]) -> None:
        """Route the tenants' prefixes to the overlay; FRR announces what stands here."""
        hops = {address.version: address for address in uplink.addresses}
        way = f"dev {KERNEL_SIDE} onlink proto {ROUTE_PROTOCOL}"
        lines = [
            f"route replace {prefix} via {hops[prefix.version]} {way}"
            for prefix in sorted(new, key=str)
            if prefix.version in hops
        ]
        lines += [
            f"route del {prefix} proto {ROUTE_PROTOCOL}"
            for prefix in sorted(gone, key=str)
            if prefix.version in hops
        ]
        self.batch(lines)

    def attract(self, anycast: Address) -> None:
        """Take the gateways' common address: the underlay sends packets outward from now on."""
        self.batch([f"address replace {anycast}/{anycast.max_prefixlen} dev lo"])

    def repel(self, anycast: Address) -> None:
        """Give it back."""
        self.batch([f"address del {anycast}/{anycast.max_prefixlen} dev lo"])


def ip_batch(lines: Sequence[str]) -> None:
    """Run lines of ``ip`` in one process, in this network namespace; every line is tried.

    Raises:
        HostError: one was refused.
    """
    if not lines:
        return
    done = subprocess.run(
        ["ip", "-force", "-batch", "-"],
        input="\n".join(lines).encode(),
        capture_output=True,
        check=False,
        timeout=10,
    )
    if done.returncode:
        raise HostError(f"ip refused: {done.stderr.decode().strip()}")


def _beside(address: Address) -> int:
    """Length of a prefix that holds just the two ends."""
    return address.max_prefixlen - 1
