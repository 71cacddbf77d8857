"""Every kind of frame with which a virtual machine could impersonate, or reach, another tenant's machine.

All of them are built for one scene: who sends, who else is there. Each carries a token of its kind
(where the protocol has no place for it, behind its end), by which it is known again wherever it comes.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from itertools import product
from typing import TYPE_CHECKING, Any

from scapy.layers.dhcp import BOOTP, DHCP
from scapy.layers.dhcp6 import DHCP6_Reply, DHCP6OptIA_NA, DHCP6OptServerId
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import (
    ICMPv6EchoRequest,
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6ND_RA,
    ICMPv6ND_Redirect,
    ICMPv6NDOptDstLLAddr,
    ICMPv6NDOptPrefixInfo,
    ICMPv6NDOptSrcLLAddr,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    PadN,
)
from scapy.layers.l2 import ARP, Dot1AD, Dot1Q, Ether
from scapy.layers.vxlan import VXLAN

from labctl.overlay.packet import address_of, link_local, mac_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["FORGERIES", "Party", "Scene", "forged", "honest", "token_of", "tunnelled"]

EVERYBODY, ALL_NODES, ALL_ROUTERS = "ff:ff:ff:ff:ff:ff", "33:33:00:00:00:01", "33:33:00:00:00:02"
TUNNEL_PORT, VXLAN_PORT = 6677, 4789


@dataclass(frozen=True)
class Party:
    """A machine, as others know it: ``key`` is the tunnel key of its port, 0 for what has none."""

    name: str
    mac: str
    ipv4: str
    ipv6: str
    key: int = 0

    @property
    def link_local(self) -> str:
        return str(address_of(link_local(mac_bytes(self.mac))))


@dataclass(frozen=True)
class Scene:
    """Who sends, and who else is there.

    Attributes:
        sender: the virtual machine that sends.
        router: its network's.
        neighbours: on its network.
        routed: of its tenant, on another network.
        strangers: of other tenants.
        outside: a host beyond the gateways.
        underlay: addresses of both versions that no tenant has any business with.
        controllers: addresses of the state database's servers.
        tunnels: addresses that tunnels end at, the gateways' common one among them.
    """

    sender: Party
    router: Party
    neighbours: tuple[Party, ...]
    routed: tuple[Party, ...]
    strangers: tuple[Party, ...]
    outside: Party
    underlay: tuple[str, ...]
    controllers: tuple[str, ...]
    tunnels: tuple[str, ...]

    @property
    def victims(self) -> tuple[Party, ...]:
        return (*self.neighbours, *self.routed, *self.strangers)

    def mac_to(self, party: Party) -> str:
        return party.mac if party in self.neighbours else self.router.mac


def token_of(name: str) -> bytes:
    """What frames of a kind carry; none is part of another."""
    return b"<" + name.encode() + b">"


def honest(scene: Scene, to: Party, token: bytes, version: int = 4, sport: int = 4000) -> bytes:
    """What the sender may send, and to whom."""
    own, there = _ends(scene.sender, to, version)
    return bytes(Ether(src=scene.sender.mac, dst=scene.mac_to(to)) / _udp(own, there, token, sport))


def tunnelled(to: Party, router_mac: str, source: str, token: bytes) -> bytes:
    """The payload of a UDP packet that a host of the overlay would take for a tunnel's."""
    inner = Ether(src=router_mac, dst=to.mac) / _udp(source, to.ipv4, token)
    return bytes(VXLAN(vni=to.key, flags="Instance") / inner)


def forged(name: str, scene: Scene) -> list[bytes]:
    """The frames of a kind, each with its token in it, but for those that are nothing by themselves."""
    token = token_of(name)
    made = FORGERIES[name](scene, token)
    return [frame if isinstance(frame, bytes) else _marked(bytes(frame), token) for frame in made]


def _marked(frame: bytes, token: bytes) -> bytes:
    return frame if token in frame else frame.ljust(60, b"\0") + token


def _ends(one: Party, other: Party, version: int) -> tuple[str, str]:
    return (one.ipv4, other.ipv4) if version == 4 else (one.ipv6, other.ipv6)


def _ip(source: str, target: str) -> Any:
    return (IPv6 if ip_address(target).version == 6 else IP)(src=source, dst=target)


def _udp(source: str, target: str, token: bytes, sport: int = 4000, dport: int = 4001) -> Any:
    return _ip(source, target) / UDP(sport=sport, dport=dport) / token


def _own(scene: Scene, target: str) -> str:
    return scene.sender.ipv6 if ip_address(target).version == 6 else scene.sender.ipv4


def _mac(scene: Scene, token: bytes) -> Iterable[Any]:
    """Its own addresses, another's MAC."""
    for other, to, version in product((scene.router, *scene.victims), scene.victims, (4, 6)):
        own, there = _ends(scene.sender, to, version)
        yield Ether(src=other.mac, dst=scene.mac_to(to)) / _udp(own, there, token)


def _address(scene: Scene, token: bytes) -> Iterable[Any]:
    """Its own MAC, another's address: of neighbours, the router, other tenants, the outside, nobody."""
    nobody = Party("nobody", scene.sender.mac, "127.0.0.1", "::1")
    others = (scene.router, *scene.victims, scene.outside, nobody)
    for other, to, version in product(others, (*scene.victims, scene.outside), (4, 6)):
        source, there = _ends(other, to, version)
        yield Ether(src=scene.sender.mac, dst=scene.mac_to(to)) / _udp(source, there, token)


def _both(scene: Scene, token: bytes) -> Iterable[Any]:
    """Another machine altogether."""
    for other, to, version in product((scene.router, *scene.victims), scene.victims, (4, 6)):
        source, there = _ends(other, to, version)
        yield Ether(src=other.mac, dst=to.mac) / _udp(source, there, token)


def _gratuitous_arp(scene: Scene, token: bytes) -> Iterable[Any]:
    for claimed, operation in product((scene.router, *scene.victims), (1, 2)):
        what = ARP(op=operation, hwsrc=scene.sender.mac, psrc=claimed.ipv4, pdst=claimed.ipv4)
        yield Ether(src=scene.sender.mac, dst=EVERYBODY) / what
        yield Ether(src=claimed.mac, dst=EVERYBODY) / what


def _arp_reply(scene: Scene, token: bytes) -> Iterable[Any]:
    """That nobody has asked for; with an honest sender's address, too."""
    for to, claimed in product(scene.victims, (scene.sender, scene.router, *scene.neighbours)):
        what = ARP(op=2, hwsrc=scene.sender.mac, psrc=claimed.ipv4, hwdst=to.mac, pdst=to.ipv4)
        yield Ether(src=scene.sender.mac, dst=to.mac) / what


def _arp_request(scene: Scene, token: bytes) -> Iterable[Any]:
    """A question teaches whoever hears it the address of who asks."""
    for to, claimed in product(scene.victims, (scene.router, *scene.neighbours)):
        what = ARP(op=1, hwsrc=scene.sender.mac, psrc=claimed.ipv4, pdst=to.ipv4)
        yield Ether(src=scene.sender.mac, dst=to.mac) / what
        yield Ether(src=scene.sender.mac, dst=EVERYBODY) / what


def _advertisement(scene: Scene, token: bytes) -> Iterable[Any]:
    mine = ICMPv6NDOptDstLLAddr(lladdr=scene.sender.mac)
    for claimed in (scene.router, *scene.victims):
        for target, source in product(
            (claimed.link_local, claimed.ipv6), (scene.sender.link_local, claimed.link_local)
        ):
            what = ICMPv6ND_NA(tgt=target, R=1, S=0, O=1) / mine
            yield (
                Ether(src=scene.sender.mac, dst=ALL_NODES) / IPv6(src=source, dst="ff02::1", hlim=255) / what
            )
            for to in scene.victims:
                head = IPv6(src=source, dst=to.link_local, hlim=255)
                yield Ether(src=scene.sender.mac, dst=to.mac) / head / what


def _solicitation(scene: Scene, token: bytes) -> Iterable[Any]:
    """In another's name: whoever hears it learns a MAC. In nobody's: that the address is taken."""
    mine = ICMPv6NDOptSrcLLAddr(lladdr=scene.sender.mac)
    for to in scene.victims:
        for claimed in (scene.router, *scene.neighbours):
            head = IPv6(src=claimed.link_local, dst=to.ipv6, hlim=255)
            yield Ether(src=scene.sender.mac, dst=to.mac) / head / ICMPv6ND_NS(tgt=to.ipv6) / mine
        group = f"ff02::1:ff{ip_address(to.ipv6).exploded[-7:]}"
        mac = "33:33:ff:" + mac_bytes(to.mac)[3:].hex(":")
        head = IPv6(src="::", dst=group, hlim=255)
        yield Ether(src=scene.sender.mac, dst=mac) / head / ICMPv6ND_NS(tgt=to.ipv6)


def _router_advertisement(scene: Scene, token: bytes) -> Iterable[Any]:
    """Bare, behind extension headers, and in two fragments."""
    prefix = ICMPv6NDOptPrefixInfo(prefix="2001:db8:bad::", prefixlen=64)
    what = ICMPv6ND_RA(routerlifetime=1800) / ICMPv6NDOptSrcLLAddr(lladdr=scene.sender.mac) / prefix
    ways = [("ff02::1", ALL_NODES), *((to.link_local, to.mac) for to in scene.victims)]
    for source, (target, mac) in product((scene.sender.link_local, scene.router.link_local), ways):
        ether, head = Ether(src=scene.sender.mac, dst=mac), IPv6(src=source, dst=target, hlim=255)
        options = [PadN(optdata=b"\0" * 4)]
        yield ether / head / what
        yield ether / head / IPv6ExtHdrHopByHop(options=options) / what
        yield ether / head / IPv6ExtHdrDestOpt(options=options) / IPv6ExtHdrDestOpt(options=options) / what
        yield ether / head / IPv6ExtHdrFragment() / what
        whole = bytes(head / IPv6ExtHdrDestOpt(options=[PadN(optdata=b"\0" * 52)]) / what)[40:]
        for cut in (8, 56, 64):
            first, rest = whole[:cut], whole[cut:]
            yield ether / head / IPv6ExtHdrFragment(nh=60, m=1, id=cut) / first
            # By itself it is nothing, and may come: what matters is that nobody puts them together.
            yield bytes(ether / head / IPv6ExtHdrFragment(nh=60, offset=cut // 8, id=cut) / rest)


def _redirect(scene: Scene, token: bytes) -> Iterable[Any]:
    mine = ICMPv6NDOptDstLLAddr(lladdr=scene.sender.mac)
    for to in scene.victims:
        for source in (scene.router.link_local, scene.sender.link_local):
            what = ICMPv6ND_Redirect(tgt=scene.sender.link_local, dst=scene.outside.ipv6) / mine
            head = IPv6(src=source, dst=to.ipv6, hlim=255)
            yield Ether(src=scene.sender.mac, dst=to.mac) / head / what
        quoted = IP(src=to.ipv4, dst=scene.outside.ipv4) / UDP()
        what = ICMP(type=5, code=1, gw=scene.sender.ipv4) / quoted
        yield Ether(src=scene.sender.mac, dst=to.mac) / IP(src=scene.router.ipv4, dst=to.ipv4) / what


def _dhcp(kind: str, sport: int) -> Callable[[Scene, bytes], Iterable[Any]]:
    def frames(scene: Scene, token: bytes) -> Iterable[Any]:
        for to, source in product(scene.victims, (scene.sender.ipv4, scene.router.ipv4)):
            options = [
                ("message-type", kind), ("server_id", source), ("lease_time", 3600),
                ("router", scene.sender.ipv4), ("name_server", scene.sender.ipv4), "end",
            ]  # fmt: skip
            what = BOOTP(op=2, yiaddr=to.ipv4, siaddr=source, chaddr=mac_bytes(to.mac)) / DHCP(
                options=options
            )
            for mac, target in (
                (EVERYBODY, "255.255.255.255"),
                (to.mac, to.ipv4),
                (scene.router.mac, to.ipv4),
            ):
                head = IP(src=source, dst=target) / UDP(sport=sport, dport=68)
                yield Ether(src=scene.sender.mac, dst=mac) / head / what / token

    return frames


def _dhcp6(sport: int) -> Callable[[Scene, bytes], Iterable[Any]]:
    def frames(scene: Scene, token: bytes) -> Iterable[Any]:
        what = DHCP6_Reply() / DHCP6OptServerId() / DHCP6OptIA_NA()
        for to in scene.victims:
            for source, mac, target in (
                (scene.sender.link_local, to.mac, to.link_local),
                (scene.sender.ipv6, to.mac, to.ipv6),
                (scene.sender.ipv6, scene.router.mac, to.ipv6),
                (scene.sender.link_local, ALL_NODES, "ff02::1"),
            ):
                head = IPv6(src=source, dst=target) / UDP(sport=sport, dport=546)
                yield Ether(src=scene.sender.mac, dst=mac) / head / what / token

    return frames


def _vlan(scene: Scene, token: bytes) -> Iterable[Any]:
    """What may be sent without a tag, with one, and with two."""
    for to, version in product(scene.victims, (4, 6)):
        own, there = _ends(scene.sender, to, version)
        ether, packet = Ether(src=scene.sender.mac, dst=scene.mac_to(to)), _udp(own, there, token)
        for vlan in (0, 1, 100):
            yield ether / Dot1Q(vlan=vlan) / packet
            yield ether / Dot1AD(vlan=vlan) / packet
            yield ether / Dot1AD(vlan=vlan) / Dot1Q(vlan=vlan) / packet


def _vxlan(ports: tuple[int, ...], *, as_host: bool = False) -> Callable[[Scene, bytes], Iterable[Any]]:
    """Frames for other tenants' machines in a tunnel of one's own making."""

    def frames(scene: Scene, token: bytes) -> Iterable[Any]:
        ends = (*scene.tunnels, scene.router.ipv4, scene.router.ipv6, scene.router.link_local)
        victims = [party for party in scene.victims if party.key]
        for end, port, to in product(ends, ports, victims):
            inner = tunnelled(to, scene.router.mac, scene.outside.ipv4, token)
            hosts = [each for each in scene.tunnels if (":" in each) == (":" in end)]
            # Many source ports: the underlay's hash shows them every way there is.
            for number, source in enumerate(hosts if as_host else [_own(scene, end)] * 4):
                packet = _ip(source, end) / UDP(sport=40000 + number, dport=port) / inner
                yield Ether(src=scene.sender.mac, dst=scene.router.mac) / packet

    return frames


def _underlay(scene: Scene, token: bytes) -> Iterable[Any]:
    """Pings, UDP and TCP to whatever has an address below the overlay."""
    ether = Ether(src=scene.sender.mac, dst=scene.router.mac)
    for target in (*scene.underlay, *scene.tunnels):
        head = _ip(_own(scene, target), target)
        echo = ICMPv6EchoRequest(data=token) if ":" in target else ICMP() / token
        yield ether / head / echo
        for number, dport in product(range(4), (22, 179, 2601, 3784, TUNNEL_PORT)):
            yield ether / head / UDP(sport=41000 + number, dport=dport) / token
            yield ether / head / TCP(sport=41000 + number, dport=dport, flags="S") / token


def _database(scene: Scene, token: bytes) -> Iterable[Any]:
    ether = Ether(src=scene.sender.mac, dst=scene.router.mac)
    for target, number, dport in product(scene.controllers, range(8), (2181, 2888, 3888)):
        packet = _ip(_own(scene, target), target) / TCP(sport=42000 + number, dport=dport, flags="S")
        yield ether / packet / token


def _stranger(scene: Scene, token: bytes) -> Iterable[Any]:
    """Its own name, another tenant's machine: by MAC, in case they share a host, and by router."""
    for to, version in product(scene.strangers, (4, 6)):
        own, there = _ends(scene.sender, to, version)
        for mac in (to.mac, scene.router.mac):
            yield Ether(src=scene.sender.mac, dst=mac) / _udp(own, there, token)
    for to in scene.strangers:
        network = ".".join((*to.ipv4.split(".")[:3], "255"))
        for mac in (to.mac, scene.router.mac):
            yield Ether(src=scene.sender.mac, dst=mac) / _udp(scene.sender.ipv4, network, token)


def _link_local(scene: Scene, token: bytes) -> Iterable[Any]:
    """Link-local addresses of machines on other links."""
    for to in (*scene.routed, *scene.strangers):
        for source, mac in product((scene.sender.link_local, scene.sender.ipv6), (to.mac, scene.router.mac)):
            yield Ether(src=scene.sender.mac, dst=mac) / _udp(source, to.link_local, token)


def _not_ip(scene: Scene, token: bytes) -> Iterable[Any]:
    """Other protocols: LLDP, spanning tree, MPLS, PPPoE, a number that is nobody's."""
    for to, kind in product(("01:80:c2:00:00:0e", EVERYBODY, *(v.mac for v in scene.victims)), _TYPES):
        yield Ether(src=scene.sender.mac, dst=to, type=kind) / (bytes(20) + token)


_TYPES = (0x88CC, 0x0027, 0x8847, 0x8864, 0x8035, 0x1234)

FORGERIES: dict[str, Callable[[Scene, bytes], Iterable[Any]]] = {
    "another-mac": _mac,
    "another-address": _address,
    "another-machine": _both,
    "gratuitous-arp": _gratuitous_arp,
    "arp-reply-unasked": _arp_reply,
    "arp-request-in-anothers-name": _arp_request,
    "neighbour-advertisement": _advertisement,
    "neighbour-solicitation": _solicitation,
    "router-advertisement": _router_advertisement,
    "redirect": _redirect,
    "dhcp-offer": _dhcp("offer", 67),
    "dhcp-ack": _dhcp("ack", 67),
    "dhcp-ack-from-another-port": _dhcp("ack", 1067),
    "dhcpv6-reply": _dhcp6(547),
    "dhcpv6-reply-from-another-port": _dhcp6(1547),
    "vlan-tag": _vlan,
    "vxlan": _vxlan((TUNNEL_PORT, VXLAN_PORT)),
    "vxlan-in-a-hosts-name": _vxlan((TUNNEL_PORT,), as_host=True),
    "underlay": _underlay,
    "state-database": _database,
    "another-tenant": _stranger,
    "another-links-link-local": _link_local,
    "not-ip": _not_ip,
}
