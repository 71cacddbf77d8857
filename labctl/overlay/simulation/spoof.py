"""Anti-spoofing: what a VM may not send, whatever its security groups say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labctl.overlay.packet import ARP, ICMP6, IP4, IP6, UDP
from labctl.overlay.simulation import nd

if TYPE_CHECKING:
    from labctl.overlay.flow import Packet
    from labctl.overlay.simulation.snapshot_views import PortView

__all__ = ["forgery", "is_to_dhcp_client"]

_ANY4 = bytes(10) + b"\xff\xff" + bytes(4)
_ANY6 = bytes(16)
_ALL4 = bytes(10) + b"\xff" * 6
_DHCP_SERVERS = frozenset((67, 547))
_DHCP_CLIENTS = frozenset((68, 546))
_MLD = frozenset((130, 131, 132, 143))


def forgery(port: PortView, packet: Packet) -> str:
    """Why the packet is forged; empty if it is not.

    A VM speaks with its own MAC and its own addresses, also inside ARP and neighbour discovery,
    and it is neither a DHCP server nor a router.
    """
    if packet.smac != port.mac:
        return "forged source mac"
    if packet.eth_type == ARP:
        return _arp(port, packet)
    if packet.eth_type == IP4:
        return _ip4(port, packet)
    if packet.eth_type == IP6:
        return _ip6(port, packet)
    return "neither ip nor arp"


def is_to_dhcp_client(packet: Packet) -> bool:
    """Whether a DHCP client would listen to it: clients look at nothing but their own port."""
    return packet.proto == UDP and packet.dport in _DHCP_CLIENTS


def _is_dhcp_server(packet: Packet) -> bool:
    return is_to_dhcp_client(packet) or (packet.proto == UDP and packet.sport in _DHCP_SERVERS)


def _arp(port: PortView, packet: Packet) -> str:
    if packet.frame[packet.l4 + 8 : packet.l4 + 14] != port.mac:
        return "forged arp sender mac"
    if packet.src not in port.addresses and packet.src != _ANY4:
        return "forged arp sender address"
    return ""


def _ip4(port: PortView, packet: Packet) -> str:
    if _is_dhcp_server(packet):
        return "dhcp server on a vm"
    if packet.src in port.addresses:
        return ""
    is_dhcp = packet.proto == UDP and packet.sport in _DHCP_CLIENTS and packet.dst == _ALL4
    return "" if packet.src == _ANY4 and is_dhcp else "forged source address"


def _ip6(port: PortView, packet: Packet) -> str:
    if _is_dhcp_server(packet):
        return "dhcp server on a vm"
    own = packet.src in port.addresses or packet.src == port.link_local
    if packet.proto != ICMP6:
        return "" if own else "forged source address"
    kind = packet.sport >> 8
    if kind in (nd.ROUTER_ADVERTISEMENT, nd.REDIRECT):
        return "router advertisement from a vm"
    if not own and not (packet.src == _ANY6 and kind in (nd.SOLICITATION, nd.ROUTER_SOLICITATION, *_MLD)):
        return "forged source address"
    return _neighbour(port, packet, kind)


def _neighbour(port: PortView, packet: Packet, kind: int) -> str:
    """Neighbour discovery speaks of addresses inside, too."""
    if kind == nd.ADVERTISEMENT and nd.target(packet) not in (*port.addresses, port.link_local):
        return "forged neighbour advertisement"
    if kind in nd.KINDS and nd.option_macs(packet) - {port.mac}:
        return "forged neighbour discovery mac"
    return ""
