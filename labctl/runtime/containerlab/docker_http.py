"""The Docker Engine API over its socket: requests with JSON, and the raw stream of an exec.

The docker library is not used here: its import alone takes longer than all that a command does, and
its exec loses what arrives in one read with the HTTP header. Protocol: Docker Engine API, "Exec"
and "Attach to a container, stream format".
"""

from __future__ import annotations

import http.client
import json
import os
import select
import socket
import struct
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from labctl.errors import HostError, LabctlError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["DEFAULT_SOCKET", "EngineHttp", "EngineRefusedError", "StreamTimeoutError", "engine_url"]

DEFAULT_SOCKET = Path("/var/run/docker.sock")
CALL_TIMEOUT_S = 120.0
"""An engine that is busy with many containers answers late; one that is dead refuses at once."""

_FRAME = struct.Struct(">BxxxL")
_STDERR = 2
_CHUNK = 1 << 16


class EngineRefusedError(LabctlError):
    """The engine answered with an error.

    Attributes:
        status: HTTP status.
    """

    def __init__(self, status: int, message: str) -> None:
        self.status = status
        super().__init__(message)


class StreamTimeoutError(LabctlError):
    """The stream of an exec did not end in time."""


def engine_url() -> str:
    """Where the engine is: ``$DOCKER_HOST``, else the usual socket."""
    return os.environ.get("DOCKER_HOST") or f"unix://{DEFAULT_SOCKET}"


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def _why(error: Exception) -> str:
    return (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__


@dataclass(frozen=True, slots=True)
class EngineHttp:
    """Client of one engine. Every call has a connection of its own."""

    url: str = field(default_factory=engine_url)

    def _connection(self) -> http.client.HTTPConnection:
        parts = urlsplit(self.url)
        if parts.scheme == "unix":
            return _UnixConnection(parts.path, CALL_TIMEOUT_S)
        if parts.scheme in ("tcp", "http") and parts.hostname:
            return http.client.HTTPConnection(parts.hostname, parts.port or 2375, timeout=CALL_TIMEOUT_S)
        raise HostError(f"DOCKER_HOST is {self.url!r}: a lab's engine is on this machine, at unix://PATH")

    def request(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> bytes:
        """One request.

        Args:
            method: of HTTP.
            path: without a version: the engine's own is meant.
            query: values that are not strings are sent as JSON.
            body: sent as JSON.

        Raises:
            EngineRefusedError: the engine says no.
            HostError: no engine answers.
        """
        connection = self._connection()
        try:
            _send(connection, (method, path), query, body)
            response = connection.getresponse()
            data = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise HostError(f"no Docker engine answers at {self.url}: {_why(error)}") from error
        finally:
            connection.close()
        if response.status >= http.HTTPStatus.BAD_REQUEST:
            raise EngineRefusedError(response.status, _message(data))
        return data

    def json(self, method: str, path: str, query: Mapping[str, Any] | None = None, **body: Any) -> Any:  # noqa: ANN401
        """One request; its answer as JSON, None if there is none."""
        data = self.request(method, path, query, body or None)
        return json.loads(data) if data.strip() else None

    def stream(
        self, path: str, body: Mapping[str, Any], stdin: bytes | None, timeout_s: float | None
    ) -> tuple[bytes, bytes]:
        """A POST whose connection becomes a stream: what is read of stdout and of stderr.

        Raises:
            StreamTimeoutError: it did not end within ``timeout_s``.
            EngineRefusedError: the engine says no.
            HostError: no engine answers.
        """
        connection = self._connection()
        try:
            upgrade = {"Connection": "Upgrade", "Upgrade": "tcp"}
            _send(connection, ("POST", path), None, body, upgrade)
            sock = connection.sock
            early = _head(sock)
            return _converse(sock, early, stdin, timeout_s)
        except (OSError, http.client.HTTPException) as error:
            raise HostError(f"no Docker engine answers at {self.url}: {_why(error)}") from error
        finally:
            connection.close()


def _send(
    connection: http.client.HTTPConnection,
    call: tuple[str, str],
    query: Mapping[str, Any] | None,
    body: Mapping[str, Any] | None,
    headers: Mapping[str, str] | None = None,
) -> None:
    method, path = call
    if query:
        texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in query.items()}
        path += "?" + "&".join(f"{quote(key)}={quote(value, safe='')}" for key, value in texts.items())
    data = b"" if body is None else json.dumps(body).encode()
    connection.request(
        method, path, body=data, headers={"Content-Type": "application/json", **(headers or {})}
    )


def _message(data: bytes) -> str:
    try:
        return str(json.loads(data)["message"]).strip()
    except (ValueError, KeyError, TypeError):
        return data.decode(errors="replace").strip()


def _head(sock: socket.socket) -> bytes:
    """Read the header of the answer; returns what of the stream came with it."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = sock.recv(_CHUNK)
        if not more:
            raise http.client.RemoteDisconnected("the engine closed the connection")
        data += more
    head, _, rest = data.partition(b"\r\n\r\n")
    status = int(head.split(b" ", 2)[1])
    if status not in (http.HTTPStatus.SWITCHING_PROTOCOLS, http.HTTPStatus.OK):
        raise EngineRefusedError(status, _message(rest))
    return rest


def _converse(
    sock: socket.socket, data: bytes, stdin: bytes | None, timeout_s: float | None
) -> tuple[bytes, bytes]:
    """Write stdin and read frames at the same time, so that neither side waits for the other."""
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    out, err, buffer, rest = bytearray(), bytearray(), bytearray(data), memoryview(stdin or b"")
    sock.setblocking(False)
    if stdin is not None and not rest:
        sock.shutdown(socket.SHUT_WR)
    while True:
        _frames(buffer, out, err)
        left_s = None if deadline is None else deadline - time.monotonic()
        if left_s is not None and left_s <= 0:
            raise StreamTimeoutError(f"not done after {timeout_s:g} s")
        # poll, not select: a process that measures has more than 1024 files open.
        poll = select.poll()
        poll.register(sock, select.POLLIN | (select.POLLOUT if rest else 0))
        ready = dict(poll.poll(None if left_s is None else left_s * 1000)).get(sock.fileno(), 0)
        if ready & select.POLLOUT:
            rest = rest[sock.send(rest[:_CHUNK]) :]
            if not rest:
                sock.shutdown(socket.SHUT_WR)
        if ready & ~select.POLLOUT:
            more = sock.recv(_CHUNK)
            if not more:
                return bytes(out), bytes(err)
            buffer += more


def _frames(buffer: bytearray, out: bytearray, err: bytearray) -> None:
    """Take every whole frame out of the buffer: 1 byte stream, 3 of zero, 4 of length, then data."""
    while len(buffer) >= _FRAME.size:
        kind, length = _FRAME.unpack_from(buffer)
        if len(buffer) < _FRAME.size + length:
            return
        (err if kind == _STDERR else out).extend(buffer[_FRAME.size : _FRAME.size + length])
        del buffer[: _FRAME.size + length]
