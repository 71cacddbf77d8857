"""Routes kept as the kernel's own messages."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st

from labctl.fault import routes
from labctl.linux import netlink

_RTMSG = struct.Struct("=BBBBBBBBI")
_HOP = struct.Struct("=HBBi")


def _attr(kind: int, payload: bytes) -> bytes:
    return struct.pack("=HH", len(payload) + 4, kind) + payload + b"\0" * (-len(payload) % 4)


def _route(flags: int, *attrs: bytes) -> bytes:
    return _RTMSG.pack(2, 24, 0, 0, 254, 3, 0, 1, flags) + b"".join(attrs)


def test_interfaces_of_single_and_multiple_next_hops() -> None:
    hops = _HOP.pack(8, 0, 0, 11) + _HOP.pack(16, 0, 0, 12) + _attr(5, b"\x0a\0\0\1")
    assert routes._interfaces(_route(0, _attr(4, struct.pack("=i", 7)))) == {7}
    assert routes._interfaces(_route(0, _attr(9, hops))) == {11, 12}


def test_what_belongs_to_the_moment_is_left_out() -> None:
    dead = _HOP.pack(8, 0x1 | 0x10 | 0x4, 3, 11)
    body = _route(0x11, _attr(1, b"\x0a\0\0\0"), _attr(12, b"x" * 32), _attr(9, dead))
    clean = routes._clean(body)
    assert _RTMSG.unpack_from(clean)[8] == 0
    attrs = netlink.attributes(clean[_RTMSG.size :])
    assert set(attrs) == {1, 9}
    assert _HOP.unpack(attrs[9]) == (8, 0x4, 3, 11)  # onlink stays, dead and linkdown go


@given(st.binary(max_size=120))
def test_garbage_is_no_endless_loop(data: bytes) -> None:
    body = _route(0) + data
    routes._interfaces(body)
    routes._clean(body)
