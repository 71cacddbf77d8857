"""bgpd's own terminal socket, spoken to directly: no vtysh process, an answer in about 1 ms.

The protocol is vtysh's: a command ends with a NUL; the answer is text, and then three NULs and
the return code (lib/vty.c of FRR, vtysh_read).
"""

from __future__ import annotations

import socket

SOCKET = "/run/frr/bgpd.vty"
_GOOD = frozenset({0, 1})  # CMD_SUCCESS and CMD_WARNING of FRR's lib/command.h
_TIMEOUT_S = 5.0


class VtyError(OSError):
    """bgpd is not there, does not answer, or does not take a command."""


class Vty:
    """A connection in configuration mode."""

    def __init__(self, path: str = SOCKET) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        self._socket.settimeout(_TIMEOUT_S)
        try:
            self._socket.connect(path)
        except OSError:
            self._socket.close()
            raise
        self.run("enable")

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def run(self, command: str) -> str:
        """Run one command.

        Returns:
            What it printed.

        Raises:
            VtyError: it was refused, or bgpd is gone.
        """
        self._socket.sendall(command.encode() + b"\0")
        answer = b""
        while not (len(answer) >= 4 and answer[-4:-1] == b"\0\0\0"):  # noqa: PLR2004
            piece = self._socket.recv(1 << 16)
            if not piece:
                raise VtyError("bgpd has hung up")
            answer += piece
        if answer[-1] not in _GOOD:
            text = answer[:-4].decode(errors="replace").strip()
            raise VtyError(f"bgpd refused {command!r}: {text or answer[-1]}")
        return answer[:-4].decode(errors="replace")
