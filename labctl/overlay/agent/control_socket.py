"""The agent's Unix control socket: one JSON request and one JSON reply per connection.

Requests: ``{"ask": "status"}``, ``{"ask": "flows", "most": N}``,
``{"ask": "trace", "ingress": KEY, "frame": HEX}``. The socket is a file in the node's own /run, readable
by root alone.
"""

from __future__ import annotations

import json
import os
import socket
from typing import TYPE_CHECKING, Any

from labctl.errors import ActionError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

__all__ = ["Control", "ask"]

_LONGEST = 1 << 20
_PATIENCE_S = 0.5


class Control:
    """The agent's end of the control socket."""

    def __init__(self, path: Path, answer: Callable[[Mapping[str, Any]], Mapping[str, Any]]) -> None:
        """Listen; ``answer`` is called for each request."""
        self._answer = answer
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        before = os.umask(0o177)
        try:
            self._socket.bind(str(path))
        finally:
            os.umask(before)
        self._socket.listen(8)

    def fileno(self) -> int:
        """Readable when a request waits."""
        return self._socket.fileno()

    def serve(self) -> None:
        """Reply to the waiting request. A slow client is disconnected: packets come first."""
        try:
            connection, _ = self._socket.accept()
        except BlockingIOError:
            return
        with connection:
            connection.settimeout(_PATIENCE_S)
            try:
                request = json.loads(_read(connection))
                reply = self._answer(request)
            except (OSError, ValueError, KeyError, TypeError, ActionError) as error:
                reply = {"error": str(error)}
            try:
                connection.sendall(json.dumps(reply).encode())
            except OSError:
                return  # whoever asked has gone

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


def ask(path: Path, request: Mapping[str, Any], timeout_s: float = 5.0) -> Any:  # noqa: ANN401 - any JSON
    """Send a request to an agent and return its reply.

    Raises:
        ActionError: it is not there, or refuses.
    """
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(timeout_s)
            connection.connect(str(path))
            connection.sendall(json.dumps(request).encode())
            connection.shutdown(socket.SHUT_WR)
            reply = json.loads(_read(connection))
    except (OSError, ValueError) as error:
        raise ActionError(f"the agent does not answer at {path}: {error}") from error
    if "error" in reply:
        raise ActionError(str(reply["error"]))
    return reply


def _read(connection: socket.socket) -> bytes:
    data = b""
    while len(data) < _LONGEST:
        part = connection.recv(65536)
        if not part:
            break
        data += part
    return data
