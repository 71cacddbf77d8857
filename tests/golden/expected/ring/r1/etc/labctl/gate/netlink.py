"""What the kernel has, by raw netlink: links with carrier, and routes from BGP by interface."""

from __future__ import annotations

import os
import socket
import struct
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# linux/netlink.h, linux/rtnetlink.h, linux/if.h
_NETLINK_ROUTE = 0
_GROUPS = 0x1 | 0x40 | 0x400  # RTMGRP_LINK, RTMGRP_IPV4_ROUTE, RTMGRP_IPV6_ROUTE
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_RTM_NEWLINK, _RTM_GETLINK = 16, 18
_RTM_NEWROUTE, _RTM_GETROUTE = 24, 26
_REQUEST, _ACK, _DUMP = 0x1, 0x4, 0x300
_IFLA_IFNAME = 3
_IFF_UP, _IFF_LOWER_UP = 0x1, 0x10000
_RTA_OIF, _RTA_MULTIPATH, _RTA_TABLE = 4, 9, 15
_RTNH_F_DEAD, _RTNH_F_LINKDOWN = 1, 16
_TABLE_MAIN, _TYPE_UNICAST = 254, 1
_PROTO_BGP = 186

_HEADER = struct.Struct("=IHHII")
_IFINFO = struct.Struct("=BxHiII")
_RTMSG = struct.Struct("=BBBBBBBBI")
_NEXTHOP = struct.Struct("=HBBi")
_ATTRIBUTE = struct.Struct("=HH")


def listener() -> socket.socket:
    """A socket that becomes readable when a link or a route has changed."""
    sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_ROUTE)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    sock.bind((0, _GROUPS))
    sock.setblocking(False)
    return sock


def drain(sock: socket.socket) -> None:
    """Forget what was told: the state is read anew afterwards, as a whole."""
    while True:
        try:
            sock.recv(1 << 16)
        except BlockingIOError:
            return
        except OSError:  # ENOBUFS: more was told than the buffer holds
            continue


class Link(NamedTuple):
    """An interface: its ifindex, whether it is administratively up, whether it has carrier too."""

    number: int
    up: bool
    carrier: bool


NO_LINK = Link(0, up=False, carrier=False)


def links() -> dict[str, Link]:
    """Every interface, by name."""
    found: dict[str, Link] = {}
    for kind, body in _dump(_RTM_GETLINK, _IFINFO.pack(socket.AF_UNSPEC, 0, 0, 0, 0)):
        if kind != _RTM_NEWLINK:
            continue
        _, _, index, flags, _ = _IFINFO.unpack_from(body)
        up = bool(flags & _IFF_UP)
        for attribute, value in _attributes(body[_IFINFO.size :]):
            if attribute == _IFLA_IFNAME:
                found[value.rstrip(b"\0").decode()] = Link(index, up, up and bool(flags & _IFF_LOWER_UP))
    return found


def set_links(indices: Iterable[int], *, up: bool) -> None:
    """Take interfaces up or down, all of them in one message to the kernel.

    Raises:
        OSError: the kernel refused one of them.
    """
    wanted = list(indices)
    if not wanted:
        return
    body = [_IFINFO.pack(socket.AF_UNSPEC, 0, index, _IFF_UP if up else 0, _IFF_UP) for index in wanted]
    flags = _REQUEST | _ACK
    with _socket() as sock:
        sock.send(b"".join(_HEADER.pack(_HEADER.size + len(b), _RTM_NEWLINK, flags, 1, 0) + b for b in body))
        answers = 0
        while answers < len(wanted):
            for _, answer in _messages(sock.recv(1 << 16)):
                answers += 1
                _raise_for(answer)


def routes(family: int) -> Counter[int]:
    """How many routes from BGP lead through each interface.

    Args:
        family: AF_INET or AF_INET6.

    Returns:
        Count by interface index; a next hop that the kernel passes over does not count.
    """
    found: Counter[int] = Counter()
    for kind, body in _dump(_RTM_GETROUTE, _RTMSG.pack(family, 0, 0, 0, 0, 0, 0, 0, 0)):
        if kind != _RTM_NEWROUTE:
            continue
        _, _, _, _, table, protocol, _, route_type, flags = _RTMSG.unpack_from(body)
        if protocol != _PROTO_BGP or route_type != _TYPE_UNICAST:
            continue
        attributes = dict(_attributes(body[_RTMSG.size :]))
        if _RTA_TABLE in attributes:
            (table,) = struct.unpack("=I", attributes[_RTA_TABLE])
        if table == _TABLE_MAIN:
            found.update(set(_interfaces(attributes, flags)))
    return found


def _interfaces(attributes: dict[int, bytes], flags: int) -> Iterator[int]:
    if _RTA_OIF in attributes and not flags & (_RTNH_F_DEAD | _RTNH_F_LINKDOWN):
        yield struct.unpack("=i", attributes[_RTA_OIF])[0]
    rest = attributes.get(_RTA_MULTIPATH, b"")
    while len(rest) >= _NEXTHOP.size:
        length, hop_flags, _, index = _NEXTHOP.unpack_from(rest)
        if length < _NEXTHOP.size:
            return
        if not hop_flags & (_RTNH_F_DEAD | _RTNH_F_LINKDOWN):
            yield index
        rest = rest[(length + 3) & ~3 :]


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    while len(data) >= _ATTRIBUTE.size:
        length, kind = _ATTRIBUTE.unpack_from(data)
        if length < _ATTRIBUTE.size:
            return
        yield kind & 0x3FFF, data[_ATTRIBUTE.size : length]
        data = data[(length + 3) & ~3 :]


def _dump(kind: int, body: bytes) -> Iterator[tuple[int, bytes]]:
    with _socket() as sock:
        sock.send(_HEADER.pack(_HEADER.size + len(body), kind, _REQUEST | _DUMP, 1, 0) + body)
        while True:
            for message, answer in _messages(sock.recv(1 << 18)):
                if message == _NLMSG_DONE:
                    return
                if message == _NLMSG_ERROR:
                    _raise_for(answer)
                yield message, answer


def _socket() -> socket.socket:
    sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_ROUTE)
    sock.bind((0, 0))
    return sock


def _messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    while len(data) >= _HEADER.size:
        length, kind, _, _, _ = _HEADER.unpack_from(data)
        yield kind, data[_HEADER.size : length]
        data = data[(length + 3) & ~3 :]


def _raise_for(answer: bytes) -> None:
    (code,) = struct.unpack_from("=i", answer)
    if code:
        raise OSError(-code, os.strerror(-code))
