"""ARP (RFC 826): the reply in place of the requested address's owner."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labctl.overlay.packet import ARP, ethernet

if TYPE_CHECKING:
    from labctl.overlay.flow import Packet

__all__ = ["REPLY", "REQUEST", "reply"]

REQUEST, REPLY = 1, 2
_HEAD = b"\0\1\x08\0\6\4\0\2"


def reply(packet: Packet, mac: bytes) -> bytes:
    """The target of the request is at that MAC."""
    body = _HEAD + mac + packet.dst[12:] + packet.smac + packet.src[12:]
    return ethernet(packet.smac, mac, ARP, body)
