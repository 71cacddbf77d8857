"""Packet sockets."""

from __future__ import annotations

import socket

from labctl.doctor.kernel import needed_feature
from labctl.linux.features import in_new_namespace

__all__ = ["CHECK"]


def _packet_socket() -> str:
    in_new_namespace(_bind)
    return "works"


def _bind() -> None:
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0) as sock:
        sock.bind(("lo", 0))


CHECK = needed_feature(
    name="AF_PACKET",
    order=50,
    reason="the probe sends and receives whole packets",
    probe=_packet_socket,
)
