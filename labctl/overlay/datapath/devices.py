"""The devices that a flow cache uses: one VXLAN device for all tunnels, and a veth pair to the agent.

The VXLAN device takes destination and key from each packet's metadata, so there is no mesh of
tunnels: nothing is set up or torn down when hosts come and go.
"""

from __future__ import annotations

import socket
import subprocess
from dataclasses import dataclass

from labctl.errors import HostError

__all__ = ["AGENT_END", "KERNEL_END", "VXLAN", "VXLAN_MAC", "Devices", "ensure"]

VXLAN = "lc-vx"
KERNEL_END = "lc-up0"
AGENT_END = "lc-up1"
VXLAN_MAC = "0e:6c:63:00:00:01"


@dataclass(frozen=True, slots=True)
class Devices:
    """Interface numbers of what :func:`ensure` made or found."""

    vxlan: int
    kernel_end: int
    agent_end: int


def ensure(*, port: int, mtu: int = 65000) -> Devices:
    """Make the devices in this network namespace, or find those of an earlier agent.

    Args:
        port: UDP port of the tunnels.
        mtu: of the agent's veth and of the VXLAN device; what may leave is checked flow by flow.

    Raises:
        HostError: the kernel or iproute2 refused.
    """
    there = {name for _, name in socket.if_nameindex()}
    lines: list[str] = []
    if VXLAN not in there:
        # No learning and no default destination: metadata says all. Its socket takes IPv4 and IPv6.
        kind = f"type vxlan external nolearning dstport {port} udp6zerocsumrx"
        lines.append(f"link add {VXLAN} address {VXLAN_MAC} {kind}")
    if KERNEL_END not in there:
        lines.append(f"link add {KERNEL_END} type veth peer name {AGENT_END}")
    for name in (VXLAN, KERNEL_END, AGENT_END):
        # Nothing of the kernel's own (ARP, router solicitations) may appear on these.
        lines.append(f"link set {name} addrgenmode none")
        lines.append(f"link set {name} mtu {mtu} arp off up")
    done = subprocess.run(
        ["ip", "-batch", "-"], input="\n".join(lines).encode(), capture_output=True, check=False
    )
    if done.returncode:
        raise HostError(f"the overlay's devices could not be made: {done.stderr.decode().strip()}")
    return Devices(*(socket.if_nametoindex(name) for name in (VXLAN, KERNEL_END, AGENT_END)))
