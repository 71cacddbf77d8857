"""Security groups of a VM port: stateful, and enforced on the VM's own host only.

What a packet may do depends on the rules and on whether a connection is known. A connection lets
return traffic through only while the rules still allow the direction that opened it; so a rule
that goes takes its connections with it, in both directions. While such a connection is known, no rule
for the other direction lets its packets through either: they would open a connection of their own.
Gateways hold no such state: each of them can take any packet of any connection.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from labctl.overlay.flow import ConnKey, Fragment, Match, ReadPorts
from labctl.overlay.packet import ICMP, ICMP6, IP4, IP6, ethernet, is_ipv4, parse
from labctl.overlay.simulation.dependencies import conn_tag

if TYPE_CHECKING:
    from labctl.overlay.flow import Drop, Packet
    from labctl.overlay.simulation.pipeline_context import Walk
    from labctl.overlay.simulation.snapshot_views import CompiledRule, GroupView, PortView

__all__ = ["allows_flood", "check"]

_ECHO_REQUEST = {ICMP: 8, ICMP6: 128}
_ECHO_REPLY = {ICMP: 0, ICMP6: 129}
_ERRORS = {ICMP: frozenset((3, 4, 5, 11, 12)), ICMP6: frozenset((1, 2, 3, 4))}
_INNER = 8
"""Bytes of ICMP header before the packet that an error tells of."""


class _Head(NamedTuple):
    """What rules look at: the packet as the side that opened the connection would have sent it."""

    version: int
    proto: int
    remote: bytes
    port: int
    code: int
    later: bool
    read: ReadPorts


def check(walk: Walk, port: PortView, *, inbound: bool) -> Drop | None:
    """Ask the security groups of a port.

    Args:
        walk: the packet; gets the connections that it opens or keeps alive.
        port: of the VM, on this host.
        inbound: whether the packet is on its way to the VM.

    Returns:
        None when the packet may pass.
    """
    device = f"port {port.item.name}"
    if not port.item.secure:
        walk.say(device, "no security groups on this port")
        return None
    walk.match = Match.EXACT
    packet = walk.packet
    conn = _conn(packet, port.key, inbound=inbound)
    opposite = conn._replace(inbound=not inbound)
    is_request = packet.sport >> 8 == _ECHO_REQUEST.get(packet.proto)
    is_return = not is_request and walk.established(opposite)
    if is_return:
        walk.tags.add(conn_tag(opposite))
        if _is_return_traffic(walk, port, opposite):
            return None
        if _is_reply(packet):
            return walk.drop(device, "its connection is not allowed any more")
    rule = _find(walk, port, "in" if inbound else "out", _head(packet, inbound=inbound))
    if rule is not None:
        walk.say(device, "rule %s lets it %s", rule, "in" if inbound else "out")
        if packet.proto not in _ECHO_REQUEST or is_request:
            _keep(walk, conn)
        return None
    walk.tags.add(conn_tag(opposite))
    if packet.sport >> 8 in _ERRORS.get(packet.proto, ()):
        # What it is about stands behind the header, in nothing that a flow is told apart by.
        walk.cacheable = False
    if _is_related(walk, port, inbound=inbound):
        walk.say(device, "an error about a connection that is known")
        return None
    return walk.drop(device, f"no rule lets it {'in' if inbound else 'out'}")


def allows_flood(walk: Walk, port: PortView) -> bool:
    """Whether a multicast packet may reach a VM of this host; opens no connection."""
    if not port.item.secure:
        return True
    return _find(walk, port, "in", _head(walk.packet, inbound=True)) is not None


def _is_return_traffic(walk: Walk, port: PortView, conn: ConnKey) -> bool:
    """Whether the rules still allow the direction that opened the connection."""
    device = f"port {port.item.name}"
    opened = "in" if conn.inbound else "out"
    rule = _find(walk, port, opened, _reversed(_head(walk.packet, inbound=not conn.inbound), walk.packet))
    if rule is None:
        return False
    walk.say(device, "return traffic of a connection that rule %s let %s", rule, opened)
    _keep(walk, conn)
    return True


def _is_reply(packet: Packet) -> bool:
    """Whether a packet that goes against a known connection can only belong to that connection.

    Other ICMP has no identifier, and later fragments have no ports: they may belong to another one. (What
    such a fragment belongs to is decided by the first one, without which nobody can use it.)
    """
    if packet.frag == Fragment.LATER:
        return False
    return packet.proto not in _ECHO_REPLY or packet.sport >> 8 == _ECHO_REPLY[packet.proto]


def _keep(walk: Walk, conn: ConnKey) -> None:
    walk.conns.append(conn)
    if walk.packet.frag == Fragment.FIRST:
        # What later fragments, which have no ports, are known by.
        walk.conns.append(conn._replace(local_port=0, remote_port=0))


def _conn(packet: Packet, port: int, *, inbound: bool) -> ConnKey:
    """The connection that the packet would open."""
    sport, dport = (packet.dport, 0) if packet.proto in _ECHO_REQUEST else (packet.sport, packet.dport)
    if inbound and packet.proto not in _ECHO_REQUEST:
        sport, dport = dport, sport
    local, remote = (packet.dst, packet.src) if inbound else (packet.src, packet.dst)
    return ConnKey(port, packet.proto, sport, dport, local, remote, inbound)


def _head(packet: Packet, *, inbound: bool) -> _Head:
    remote = packet.src if inbound else packet.dst
    port, code = packet.dport, -1
    if packet.proto in _ECHO_REQUEST:
        port, code = packet.sport >> 8, packet.sport & 0xFF
    version = 4 if is_ipv4(remote) else 6
    read = ReadPorts.SOURCE if packet.proto in _ECHO_REQUEST else ReadPorts.DESTINATION
    return _Head(version, packet.proto, remote, port, code, packet.frag == Fragment.LATER, read)


def _reversed(head: _Head, packet: Packet) -> _Head:
    """What the other side would have sent to get this packet as its answer."""
    if packet.proto not in _ECHO_REQUEST:
        return head._replace(port=packet.sport, read=ReadPorts.SOURCE)
    if head.port == _ECHO_REPLY[packet.proto]:
        return head._replace(port=_ECHO_REQUEST[packet.proto])
    return head


def _find(walk: Walk, port: PortView, direction: str, head: _Head) -> str | None:
    """The name of a rule that allows it; tags for the one found, or for all that might come."""
    tags: list[str] = []
    for name in port.item.groups:
        group = walk.topology.groups.get(name)
        tags.append(f"group:{name}")
        for rule in group.rules[direction, head.version] if group is not None else ():
            if rule.port_min >= 0:
                walk.read |= head.read
            if not _fits(rule, head):
                continue
            if not rule.remote_group:
                walk.tags.add(f"rule:{rule.name}")
                return rule.name
            member = f"member:{rule.remote_group}:{head.remote.hex()}"
            if _is_member(walk.topology.groups.get(rule.remote_group), head.remote):
                walk.tags.update((f"rule:{rule.name}", member))
                return rule.name
            tags.append(member)
    walk.tags.update(tags)
    return None


def _is_member(group: GroupView | None, address: bytes) -> bool:
    return group is not None and address in group.members


def _fits(rule: CompiledRule, head: _Head) -> bool:
    if rule.proto and rule.proto != head.proto:
        return False
    if rule.prefix >= 0 and int.from_bytes(head.remote, "big") >> rule.shift != rule.prefix:
        return False
    if rule.port_min < 0 or head.later:
        return True
    if head.proto in _ECHO_REQUEST:
        return rule.port_min == head.port and rule.port_max in (-1, head.code)
    return rule.port_min <= head.port <= rule.port_max


def _is_related(walk: Walk, port: PortView, *, inbound: bool) -> bool:
    """Whether it is an ICMP error about a packet of a known connection (RFC 5508, section 4)."""
    packet = walk.packet
    if packet.sport >> 8 not in _ERRORS.get(packet.proto, ()) or packet.frag == Fragment.LATER:
        return False
    eth_type = IP4 if packet.proto == ICMP else IP6
    # The error may carry no more than 8 bytes of the transport header.
    inside = packet.frame[packet.l4 + _INNER :] + bytes(12)
    inner = parse(ethernet(bytes(6), bytes(6), eth_type, inside))
    if inner.fault or (inner.src if inbound else inner.dst) not in (*port.addresses, port.link_local):
        return False
    conn = _conn(inner, port.key, inbound=not inbound)
    for known in (conn, conn._replace(inbound=inbound)):
        if walk.established(known):
            walk.tags.add(conn_tag(known))
            return True
    return False
