"""Frames that the simulation makes, read by another program (scapy): right fields, right checksums."""

from __future__ import annotations

import struct
from ipaddress import ip_address
from typing import TYPE_CHECKING

import pytest
from effort import examples
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.dhcp import BOOTP, DHCP
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPerror, UDPerror
from scapy.layers.inet6 import (
    ICMPv6DestUnreach,
    ICMPv6EchoReply,
    ICMPv6EchoRequest,
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6ND_RA,
    ICMPv6ND_RS,
    ICMPv6NDOptDstLLAddr,
    ICMPv6NDOptMTU,
    ICMPv6NDOptPrefixInfo,
    ICMPv6NDOptRDNSS,
    ICMPv6NDOptSrcLLAddr,
    ICMPv6PacketTooBig,
    ICMPv6TimeExceeded,
    IPv6,
)
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Raw
from virtual import OUTSIDE4, OUTSIDE6, World, start, two_tenants

from labctl.overlay.config.model import Subnet, VmPort
from labctl.overlay.config.plan import PrefixPools, VmSpec, plan_network, plan_tenant, plan_vm
from labctl.overlay.flow import Answer, Drop, Forward
from labctl.overlay.packet import address_of, link_local, mac_bytes

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture(scope="module")
def world() -> World:
    return World.of(two_tenants().items())


FUZZED = World.of(two_tenants().items())
NOWHERE = str(ip_address(0))


class Vm:
    """A VM of the world, as scapy wants it."""

    def __init__(self, world: World, name: str = "t1-vm1") -> None:
        self.world, self.item = world, world.vm(name)
        self.mac = self.item.mac
        self.ip4, self.ip6 = (str(one) for one in self.item.addresses)
        gateway = world.topology.networks[self.item.network].gateways[0]
        self.gateway = gateway.mac.hex(":")
        self.router4 = str(self.item.addresses[0]).rsplit(".", 1)[0] + ".1"
        self.to_all = Ether(src=self.mac, dst="ff:ff:ff:ff:ff:ff")
        self.to_router = Ether(src=self.mac, dst=self.gateway)
        self.router6 = str(next(s.prefix for s in self.subnets() if s.prefix.version == 6)[1])

    def subnets(self) -> list[Subnet]:
        return list(self.world.topology.networks[self.item.network].subnets)

    def router_solicitation(self) -> Ether:
        link = Ether(src=self.mac, dst="33:33:00:00:00:02")
        return link / IPv6(src="::", dst="ff02::2") / ICMPv6ND_RS()

    def ask(self, packet: Ether) -> object:
        return self.world.decide(self.item.host, bytes(packet), self.item.key)

    def answer(self, packet: object) -> Ether:
        decision = self.ask(packet)
        assert isinstance(decision, Answer), decision
        (frame,) = decision.frames
        read = Ether(frame)
        assert_checksums(read)
        return read


def assert_checksums(frame: Ether) -> None:
    """What scapy computes is what stands there."""
    for layer in (IP, UDP, TCP, ICMP, ICMPv6ND_NA, ICMPv6ND_RA, ICMPv6EchoReply, ICMPv6TimeExceeded):
        if layer not in frame:
            continue
        field = "chksum" if layer in (IP, UDP, TCP, ICMP) else "cksum"
        said = getattr(frame[layer], field)
        again = Ether(bytes(frame))
        delattr(again[layer], field)
        assert getattr(Ether(bytes(again))[layer], field) == said, layer


@pytest.fixture
def vm(world: World) -> Vm:
    return Vm(world)


@pytest.mark.parametrize("target", ["router", "neighbour"])
def test_arp_is_answered_for_everybody_on_the_network(world: World, vm: Vm, target: str) -> None:
    other = Vm(world, "t1-vm2")
    wanted, mac = (vm.router4, vm.gateway) if target == "router" else (other.ip4, other.mac)
    reply = vm.answer(vm.to_all / ARP(hwsrc=vm.mac, psrc=vm.ip4, pdst=wanted))
    assert (reply[ARP].op, reply[ARP].hwsrc, reply[ARP].psrc) == (2, mac, wanted)
    assert (reply[ARP].hwdst, reply[ARP].pdst, reply.dst, reply.src) == (vm.mac, vm.ip4, vm.mac, mac)


def test_arp_for_an_address_of_another_tenant_or_for_its_own_is_not_answered(world: World, vm: Vm) -> None:
    for wanted in (Vm(world, "t2-vm1").ip4, vm.ip4):
        decision = vm.ask(vm.to_all / ARP(hwsrc=vm.mac, psrc=vm.ip4, pdst=wanted))
        assert isinstance(decision, Drop)
        assert not decision.cacheable


def solicitation(vm: Vm, target: str, src: str | None = None) -> Ether:
    message = ICMPv6ND_NS(tgt=target)
    if src != "::":
        message /= ICMPv6NDOptSrcLLAddr(lladdr=vm.mac)
    return (
        Ether(src=vm.mac, dst="33:33:ff:00:00:01") / IPv6(src=src or vm.ip6, dst="ff02::1:ff00:1") / message
    )


@pytest.mark.parametrize("target", ["router", "router link-local", "neighbour"])
def test_neighbour_solicitations_are_answered(world: World, vm: Vm, target: str) -> None:
    other = Vm(world, "t1-vm2")

    wanted, mac = {
        "router": (vm.router6, vm.gateway),
        "router link-local": (str(address_of(link_local(mac_bytes(vm.gateway)))), vm.gateway),
        "neighbour": (other.ip6, other.mac),
    }[target]
    reply = vm.answer(solicitation(vm, wanted))
    assert reply[ICMPv6ND_NA].tgt == wanted
    assert reply[ICMPv6NDOptDstLLAddr].lladdr == mac
    assert (target != "neighbour", 1, 1) == (reply[ICMPv6ND_NA].R, reply[ICMPv6ND_NA].S, reply[ICMPv6ND_NA].O)
    assert (reply[IPv6].hlim, reply[IPv6].dst, reply[IPv6].src) == (255, vm.ip6, wanted)


def test_duplicate_address_detection_hears_of_a_taken_address_only(world: World, vm: Vm) -> None:
    other = Vm(world, "t1-vm2")
    reply = vm.answer(solicitation(vm, other.ip6, "::"))
    assert (reply[IPv6].dst, reply[ICMPv6ND_NA].S) == ("ff02::1", 0)
    assert isinstance(vm.ask(solicitation(vm, vm.ip6, "::")), Drop)


def test_a_router_solicitation_is_answered_with_all_that_a_vm_needs(vm: Vm) -> None:
    reply = vm.answer(vm.router_solicitation())
    message = reply[ICMPv6ND_RA]
    assert (message.M, message.O, message.routerlifetime) == (0, 0, 9000)
    prefix = reply[ICMPv6NDOptPrefixInfo]
    expected = next(subnet.prefix for subnet in vm.subnets() if subnet.prefix.version == 6)
    assert (prefix.prefix, prefix.prefixlen, prefix.A, prefix.L) == (str(expected[0]), 64, 1, 1)
    assert reply[ICMPv6NDOptMTU].mtu == 1450
    assert reply[ICMPv6NDOptSrcLLAddr].lladdr == vm.gateway
    assert reply[IPv6].src.startswith("fe80::")
    assert reply[IPv6].hlim == 255


def dhcp(
    vm: Vm, kind: str, *options: tuple[str, object], ciaddr: str = NOWHERE, unicast: bool = False
) -> Ether:
    link = Ether(src=vm.mac, dst=vm.gateway if unicast else "ff:ff:ff:ff:ff:ff")
    ip = IP(src=ciaddr, dst=vm.router4 if unicast else "255.255.255.255")
    boot = BOOTP(chaddr=mac_bytes(vm.mac), xid=0x1234, ciaddr=ciaddr)
    return (
        link / ip / UDP(sport=68, dport=67) / boot / DHCP(options=[("message-type", kind), *options, "end"])
    )


def options_of(reply: Ether) -> dict[str, object]:
    return {option[0]: option[1] for option in reply[DHCP].options if isinstance(option, tuple)}


@pytest.mark.parametrize("ask", ["discover", "request"])
def test_dhcp_gives_the_planned_address(vm: Vm, ask: str) -> None:
    wanted = [("requested_addr", vm.ip4)] if ask == "request" else []
    reply = vm.answer(dhcp(vm, ask, *wanted))
    options = options_of(reply)
    assert options["message-type"] == (2 if ask == "discover" else 5)
    assert (reply[BOOTP].yiaddr, reply[BOOTP].xid, reply[BOOTP].op) == (vm.ip4, 0x1234, 2)
    assert (options["subnet_mask"], options["router"], options["server_id"]) == (
        "255.255.255.0",
        vm.router4,
        vm.router4,
    )
    assert options["interface-mtu"] == 1450
    assert options["hostname"] == b"t1-vm1"
    assert (reply[UDP].sport, reply[UDP].dport, reply[IP].dst) == (67, 68, "255.255.255.255")


def test_dhcp_refuses_another_address_and_leaves_other_servers_alone(vm: Vm) -> None:
    reply = vm.answer(dhcp(vm, "request", ("requested_addr", "10.128.0.77")))
    assert options_of(reply)["message-type"] == 6
    decision = vm.ask(dhcp(vm, "request", ("requested_addr", vm.ip4), ("server_id", "10.9.9.9")))
    assert isinstance(decision, Drop)


def test_dhcp_renews_by_unicast(vm: Vm) -> None:
    reply = vm.answer(dhcp(vm, "request", ciaddr=vm.ip4, unicast=True))
    assert options_of(reply)["message-type"] == 5
    assert (reply[IP].dst, reply.dst, reply[BOOTP].ciaddr) == (vm.ip4, vm.mac, vm.ip4)


def test_dhcp_for_anothers_hardware_address_is_not_answered(world: World, vm: Vm) -> None:
    frame = dhcp(vm, "discover")
    frame[BOOTP].chaddr = mac_bytes(Vm(world, "t1-vm2").mac)
    assert isinstance(vm.ask(frame), Drop)


def test_name_servers_are_told() -> None:
    edit = start()
    plan_tenant(edit, "t1")

    servers = [ip_address("192.0.2.53"), ip_address("2001:db8::53")]
    plan_network(edit, "t1", "t1-net", PrefixPools(), dns=servers)
    plan_vm(edit, VmSpec("t1-vm1", "t1-net", "compute1"))
    vm = Vm(World.of(edit.items()))
    assert options_of(vm.answer(dhcp(vm, "discover")))["name_server"] == "192.0.2.53"
    reply = vm.answer(vm.router_solicitation())
    assert reply[ICMPv6NDOptRDNSS].dns == ["2001:db8::53"]


@given(st.binary(max_size=64).map(lambda load: load + bytes(8)), st.binary(max_size=200))
@examples(60)
def test_no_dhcp_message_breaks_the_server(options: bytes, rest: bytes) -> None:
    vm = Vm(FUZZED)
    boot = bytes(BOOTP(chaddr=mac_bytes(vm.mac)))[:236]
    for load in (boot + b"\x63\x82\x53\x63" + options, rest, boot[: len(rest)]):
        frame = vm.to_all / IP(src=NOWHERE, dst="255.255.255.255")
        assert isinstance(vm.ask(frame / UDP(sport=68, dport=67) / Raw(load)), Answer | Drop)


@pytest.mark.parametrize("size", [0, 1, 56, 1000])
def test_a_ping_is_answered_byte_for_byte(vm: Vm, size: int) -> None:
    load = bytes(range(256)) * 4
    ping = vm.to_router / IP(src=vm.ip4, dst=vm.router4) / ICMP(id=5, seq=9) / Raw(load[:size])
    reply = vm.answer(ping)
    assert (reply[ICMP].type, reply[ICMP].id, reply[ICMP].seq) == (0, 5, 9)
    assert bytes(reply[ICMP].payload)[:size] == load[:size]
    ping6 = vm.to_router / IPv6(src=vm.ip6, dst=vm.router6)
    reply = vm.answer(ping6 / ICMPv6EchoRequest(id=5, seq=9, data=load[:size]))
    assert (reply[ICMPv6EchoReply].id, reply[ICMPv6EchoReply].seq) == (5, 9)
    assert reply[ICMPv6EchoReply].data == load[:size]


def test_time_exceeded_quotes_the_packet(vm: Vm) -> None:
    link = vm.to_router
    reply = vm.answer(
        link / IP(src=vm.ip4, dst=OUTSIDE4, ttl=1) / UDP(sport=4000, dport=33434) / Raw(b"x" * 32)
    )
    assert (reply[ICMP].type, reply[ICMP].code, reply[IP].src) == (11, 0, vm.router4)
    assert (reply[IPerror].dst, reply[UDPerror].sport) == (OUTSIDE4, 4000)
    reply = vm.answer(link / IPv6(src=vm.ip6, dst=OUTSIDE6, hlim=1) / UDP(sport=4000, dport=33434))
    assert reply[ICMPv6TimeExceeded].code == 0
    assert reply[IPv6].src == vm.router6


def test_packet_too_big_says_how_long_a_packet_may_be(vm: Vm) -> None:
    link = vm.to_router
    reply = vm.answer(link / IP(src=vm.ip4, dst=OUTSIDE4, flags="DF") / UDP() / Raw(bytes(1472)))
    assert (reply[ICMP].type, reply[ICMP].code, reply[ICMP].nexthopmtu) == (3, 4, 1450)
    assert len(reply[IP]) <= 576
    reply = vm.answer(link / IPv6(src=vm.ip6, dst=OUTSIDE6) / UDP() / Raw(bytes(1452)))
    assert reply[ICMPv6PacketTooBig].mtu == 1450
    assert len(reply[IPv6]) <= 1280


def test_an_address_without_a_vm_is_unreachable(vm: Vm, world: World) -> None:
    other = Vm(world, "t1-vm3")
    link = vm.to_router
    nobody = other.ip4.rsplit(".", 1)[0] + ".200"
    assert (vm.answer(link / IP(src=vm.ip4, dst=nobody) / UDP())[ICMP].type) == 3
    nobody = str(next(s.prefix for s in other.subnets() if s.prefix.version == 6)[99])
    assert vm.answer(link / IPv6(src=vm.ip6, dst=nobody) / UDP())[ICMPv6DestUnreach].code == 3


def test_no_error_is_sent_about_an_error_or_a_later_fragment(vm: Vm) -> None:
    link = vm.to_router
    about = ICMP(type=3, code=1) / IP(src=OUTSIDE4, dst=vm.ip4) / UDP()
    for packet in (
        link / IP(src=vm.ip4, dst=OUTSIDE4, ttl=1) / about,
        link / IP(src=vm.ip4, dst=OUTSIDE4, ttl=1, frag=100) / Raw(bytes(32)),
    ):
        assert isinstance(vm.ask(packet), Drop)


FORGERIES: dict[str, Callable[[Vm, Vm], Ether]] = {
    "mac": lambda vm, other: Ether(src=other.mac, dst=vm.gateway) / IP(src=vm.ip4, dst=OUTSIDE4) / UDP(),
    "address": lambda vm, other: vm.to_router / IP(src=other.ip4, dst=OUTSIDE4) / UDP(),
    "address6": lambda vm, other: vm.to_router / IPv6(src=other.ip6, dst=OUTSIDE6) / UDP(),
    "no address": lambda vm, _: vm.to_router / IP(src=NOWHERE, dst=OUTSIDE4) / UDP(),
    "arp mac": lambda vm, other: vm.to_all / ARP(op=2, hwsrc=other.mac, psrc=vm.ip4, pdst=other.ip4),
    "arp address": lambda vm, other: vm.to_all / ARP(op=2, hwsrc=vm.mac, psrc=vm.router4, pdst=other.ip4),
    "arp request": lambda vm, other: vm.to_all / ARP(op=1, hwsrc=vm.mac, psrc=other.ip4, pdst=vm.router4),
    "na": lambda vm, other: (
        Ether(src=vm.mac, dst=other.mac)
        / IPv6(src=vm.ip6, dst=other.ip6)
        / ICMPv6ND_NA(tgt=vm.router6)
        / ICMPv6NDOptDstLLAddr(lladdr=vm.mac)
    ),
    "na mac": lambda vm, other: (
        Ether(src=vm.mac, dst=other.mac)
        / IPv6(src=vm.ip6, dst=other.ip6)
        / ICMPv6ND_NA(tgt=vm.ip6)
        / ICMPv6NDOptDstLLAddr(lladdr=other.mac)
    ),
    "ns mac": lambda vm, other: (
        Ether(src=vm.mac, dst=other.mac)
        / IPv6(src=vm.ip6, dst=other.ip6)
        / ICMPv6ND_NS(tgt=other.ip6)
        / ICMPv6NDOptSrcLLAddr(lladdr=other.mac)
    ),
    "ra": lambda vm, other: (
        Ether(src=vm.mac, dst=other.mac) / IPv6(src=vm.ip6, dst="ff02::1") / ICMPv6ND_RA()
    ),
    "dhcp server": lambda vm, other: (
        Ether(src=vm.mac, dst=other.mac) / IP(src=vm.ip4, dst=other.ip4) / UDP(sport=67, dport=68)
    ),
    "dhcp6 server": lambda vm, other: (
        Ether(src=vm.mac, dst=other.mac) / IPv6(src=vm.ip6, dst=other.ip6) / UDP(sport=547, dport=546)
    ),
    # Clients listen to whatever is for their port, and do not look where it is from.
    "dhcp server on another port": lambda vm, other: (
        Ether(src=vm.mac, dst=other.mac) / IP(src=vm.ip4, dst=other.ip4) / UDP(sport=5000, dport=68)
    ),
    "dhcp6 server on another port": lambda vm, other: (
        Ether(src=vm.mac, dst=other.mac) / IPv6(src=vm.ip6, dst=other.ip6) / UDP(sport=5000, dport=546)
    ),
    "ethertype": lambda vm, other: Ether(src=vm.mac, dst=other.mac, type=0x88CC) / Raw(bytes(64)),
}


@pytest.mark.parametrize("what", FORGERIES)
def test_forgeries_go_nowhere(world: World, vm: Vm, what: str) -> None:
    decision = vm.ask(FORGERIES[what](vm, Vm(world, "t1-vm2")))
    assert isinstance(decision, Drop), decision


def test_honest_packets_of_the_same_sorts_do_not(world: World, vm: Vm) -> None:
    other = Vm(world, "t1-vm2")
    link = Ether(src=vm.mac, dst=other.mac)
    for packet in (
        link / IP(src=vm.ip4, dst=other.ip4) / UDP(sport=68, dport=5000),
        link / IPv6(src=vm.ip6, dst=other.ip6) / UDP(sport=546, dport=5000),
    ):
        assert isinstance(vm.ask(packet), Forward)


@pytest.mark.parametrize("version", [4, 6])
def test_nobody_outside_answers_a_vms_dhcp_client(world: World, version: int) -> None:
    target = world.address("t1-vm1", version)
    assert world.from_outside(world.inwards(target, ports=(67, 5000))) is not None
    assert world.from_outside(world.inwards(target, ports=(5000, 68 if version == 4 else 546))) is None
    assert world.reason() == "dhcp from elsewhere"


def test_a_vxlan_frame_from_a_vm_is_a_packet_like_any_other(world: World, vm: Vm) -> None:
    """To the underlay address of a host: it leaves by the uplink as the VM's own, and no tunnel opens it."""
    inner = Ether(src=vm.mac, dst=Vm(world, "t2-vm1").mac) / IP(src=vm.ip4, dst="10.0.0.1") / UDP()
    header = struct.pack("!II", 0x08000000, world.vm("t2-vm1").key << 8)
    link = vm.to_router / IP(src=vm.ip4, dst="198.18.0.1")
    decision = vm.ask(link / UDP(sport=9, dport=6677) / Raw(header + bytes(inner)))
    assert isinstance(decision, Forward)
    assert [output.port for output in decision.outputs] == ["uplink"]
    assert isinstance(world.vm("t2-vm1"), VmPort)
