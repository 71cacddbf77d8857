"""One tenant's network made on the controller, step by step as nova-network's L3 driver did it."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from labctl.nova.dhcp import update_dhcp
from labctl.nova.l3 import initialize_range
from labctl.nova.segments import SegmentKind, segment_argv

if TYPE_CHECKING:
    from labctl.nova.database import NovaNetwork
    from labctl.nova.firewall import Firewall
    from labctl.nova.rootexec import Execute
    from labctl.nova.settings import NovaSettings

__all__ = ["Builder"]

VPN_PORT = 1194


class Builder:
    """Makes networks, one after the other; a network that is there already is brought up to date."""

    def __init__(
        self, settings: NovaSettings, kind: SegmentKind, execute: Execute, firewall: Firewall
    ) -> None:
        self._settings = settings
        self._kind = kind
        self._execute = execute
        self._firewall = firewall

    def build(self, network: NovaNetwork) -> None:
        """Everything for one network, in nova's order.

        Raises:
            CommandError: a command failed.
        """
        if self._firewall.traits.range_a_network:
            # Made before the first network already: the dirty check skips both applies.
            initialize_range(self._settings, network.cidr, self._firewall)
        self.ensure_vlan(network)
        self.ensure_bridge(network)
        self.initialize_gateway(network)
        self.ensure_vpn_forward(network)
        update_dhcp(network, self._settings, self._execute, self._firewall)

    def ensure_vlan(self, network: NovaNetwork) -> None:
        """The segment's interface, with a MAC of its own."""
        name = f"vlan{network.vlan}"
        if not self._exists(name):
            self._execute("ip", *segment_argv(self._kind, self._settings.interface, network.vlan))
            mac = "fa:16:3e:" + secrets.token_bytes(3).hex(":")
            self._execute("ip", "link", "set", name, "address", mac)
            self._execute("ip", "link", "set", name, "up")

    def ensure_bridge(self, network: NovaNetwork) -> None:
        """The bridge over it, and apply 1: traffic in and out of the bridge is forwarded."""
        run, bridge, name = self._execute, network.bridge, f"vlan{network.vlan}"
        if not self._exists(bridge):
            run("brctl", "addbr", bridge)
            run("brctl", "setfd", bridge, "0")
            run("brctl", "stp", bridge, "off")
            run("ip", "link", "set", bridge, "up")
        # 1: it is in the bridge already.
        run("brctl", "addif", bridge, name, allowed=(0, 1))
        if self._firewall.traits.up_in_bridge:
            run("ip", "link", "set", name, "up")
        # What addresses and routes the interface had would move to the bridge; a segment has none.
        run("ip", "route", "show", "dev", name, root=False)
        run("ip", "addr", "show", "dev", name, "scope", "global")
        filters = self._firewall.tables["filter"]
        filters.add("FORWARD", f"-i {bridge} -j ACCEPT")
        filters.add("FORWARD", f"-o {bridge} -j ACCEPT")
        self._firewall.apply()

    def initialize_gateway(self, network: NovaNetwork) -> None:
        """The gateway's address; announced if the settings say so."""
        run, bridge = self._execute, network.bridge
        # 1, 255: a container has its settings read-only, and this one from its definition.
        run("sysctl", "-w", "net.ipv4.ip_forward=1", allowed=(0, 1, 255))
        wanted = f"{network.gateway}/{network.prefix}"
        there = run("ip", "addr", "show", "dev", bridge, "scope", "global")
        if f"inet {wanted} " not in there:
            run("ip", "route", "show", "dev", bridge)
            run("ip", "addr", "add", wanted, "brd", network.broadcast, "dev", bridge)
        if self._settings.send_arp_for_ha:
            run("arping", "-U", "-A", "-I", bridge, "-c", "3", network.gateway)

    def ensure_vpn_forward(self, network: NovaNetwork) -> None:
        """Apply 2: a port of the public address leads to the tenant's VPN machine."""
        private, port = network.vpn_private_address, network.vpn_public_port
        filters, nat = self._firewall.tables["filter"], self._firewall.tables["nat"]
        filters.add("FORWARD", f"-d {private}/32 -p udp -m udp --dport {VPN_PORT} -j ACCEPT")
        for chain in ("PREROUTING", "OUTPUT"):
            matches = f"-d {self._settings.public_address}/32 -p udp -m udp --dport {port}"
            nat.add(chain, f"{matches} -j DNAT --to-destination {private}:{VPN_PORT}")
        self._firewall.apply()

    def _exists(self, interface: str) -> bool:
        """Whether there is such an interface; nova looks as root, though every user may."""
        return bool(self._execute("ip", "link", "show", "dev", interface, allowed=(0, 1)).strip())
