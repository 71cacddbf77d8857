"""Static routes through one interface: saved before the interface goes down, restored when it is up.

Bodies of RTM_NEWROUTE messages (rtnetlink(7), linux/rtnetlink.h) are kept unchanged, in hex.
"""

from __future__ import annotations

import contextlib
import errno
import socket
import struct

from labctl.linux import netlink

__all__ = ["put_back", "static_by"]

_RTM_NEWROUTE = 24
_RTM_GETROUTE = 26
_RTMSG = struct.Struct("=BBBBBBBBI")
_NEXTHOP = struct.Struct("=HBBi")
_ATTR = struct.Struct("=HH")
_INDEX = struct.Struct("=i")
_OIF = 4
_MULTIPATH = 9
# Read-only or of the moment: the kernel refuses them, or they are not the user's.
_LEFT_OUT = frozenset({12, 23})  # RTA_CACHEINFO, RTA_EXPIRES
_PROTO_BOOT = 3
_PROTO_STATIC = 4
_TYPE_UNICAST = 1
_CLONED = 0x200
_NLM_F_REQUEST_CREATE_REPLACE = 0x1 | 0x400 | 0x100


def static_by(index: int) -> list[str]:
    """Every route that was set by hand and has a next hop on the interface, in this thread's namespace.

    Args:
        index: ifindex.

    Returns:
        Message bodies in hex, in the kernel's order.
    """
    found = []
    with contextlib.closing(netlink.Route()) as route:
        for family in (socket.AF_INET, socket.AF_INET6):
            for body in route.dump(_RTM_GETROUTE, _RTMSG.pack(family, 0, 0, 0, 0, 0, 0, 0, 0)):
                fields = _RTMSG.unpack_from(body)
                ours = fields[5] in (_PROTO_BOOT, _PROTO_STATIC) and fields[7] == _TYPE_UNICAST
                if ours and not fields[8] & _CLONED and index in _interfaces(body):
                    found.append(_clean(body).hex())
    return found


def put_back(bodies: list[str]) -> None:
    """Restore saved routes; a route that exists already is replaced by itself.

    A route that can be set no more (its next hop is out of reach) is left out.
    """
    with contextlib.closing(netlink.Route()) as route:
        for text in bodies:
            message = netlink.message(_RTM_NEWROUTE, _NLM_F_REQUEST_CREATE_REPLACE, bytes.fromhex(text))
            try:
                route.batch([message])
            except OSError as error:
                if error.errno not in (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENODEV, errno.EEXIST):
                    raise


def _interfaces(body: bytes) -> set[int]:
    attrs = netlink.attributes(body[_RTMSG.size :])
    found = set()
    if len(attrs.get(_OIF, b"")) == _INDEX.size:
        found.add(_INDEX.unpack(attrs[_OIF])[0])
    hops = attrs.get(_MULTIPATH, b"")
    at = 0
    while at + _NEXTHOP.size <= len(hops):
        length, _, _, index = _NEXTHOP.unpack_from(hops, at)
        found.add(index)
        at += max(_NEXTHOP.size, (length + 3) & ~3)
    return found


def _clean(body: bytes) -> bytes:
    """The message body without momentary state: flags of dead next hops, counters, times."""
    fields = list(_RTMSG.unpack_from(body))
    fields[8] = 0
    out = bytearray(_RTMSG.pack(*fields))
    at = _RTMSG.size
    while at + _ATTR.size <= len(body):
        length, kind = _ATTR.unpack_from(body, at)
        if length < _ATTR.size:
            break
        payload = bytearray(body[at + _ATTR.size : at + length])
        if kind & 0x3FFF == _MULTIPATH:
            _clean_hops(payload)
        if kind & 0x3FFF not in _LEFT_OUT:
            out += _ATTR.pack(length, kind) + payload + b"\0" * (-len(payload) % 4)
        at += (length + 3) & ~3
    return bytes(out)


_DEAD_OR_LINKDOWN = 0x1 | 0x10


def _clean_hops(hops: bytearray) -> None:
    at = 0
    while at + _NEXTHOP.size <= len(hops):
        length, flags, weight, index = _NEXTHOP.unpack_from(hops, at)
        _NEXTHOP.pack_into(hops, at, length, flags & ~_DEAD_OR_LINKDOWN, weight, index)
        at += max(_NEXTHOP.size, (length + 3) & ~3)
