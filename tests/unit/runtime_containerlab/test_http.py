"""The engine's API, against a server that plays the engine."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import struct
import threading
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.errors import HostError
from labctl.runtime.containerlab.docker_http import (
    EngineHttp,
    EngineRefusedError,
    StreamTimeoutError,
    _frames,
    engine_url,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

JSON = "Content-Type: application/json\r\n"
UPGRADED = b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"


def frame(kind: int, data: bytes) -> bytes:
    return struct.pack(">BxxxL", kind, len(data)) + data


def answer(status: str, body: bytes) -> bytes:
    return f"HTTP/1.1 {status}\r\n{JSON}Content-Length: {len(body)}\r\n\r\n".encode() + body


def read_request(peer: socket.socket) -> tuple[str, bytes]:
    """First line and body of a request."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += peer.recv(65536)
    head, _, body = data.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    length = next((int(line.split(":")[1]) for line in lines if line.lower().startswith("content-length")), 0)
    while len(body) < length:
        body += peer.recv(65536)
    return lines[0], body


@contextlib.contextmanager
def engine(folder: Path, serve: Callable[[socket.socket], None]) -> Iterator[EngineHttp]:
    """An engine that answers one connection by ``serve``."""
    path = folder / "e.sock"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen(1)

        def work() -> None:
            peer, _ = listening.accept()
            with peer:
                serve(peer)

        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield EngineHttp(f"unix://{path}")
        finally:
            thread.join(10)
    assert not thread.is_alive()


def test_a_request_carries_query_and_body_as_json_and_gives_json(tmp_path: Path) -> None:
    seen: list[tuple[str, bytes]] = []

    def serve(peer: socket.socket) -> None:
        seen.append(read_request(peer))
        peer.sendall(answer("200 OK", b'{"Id": "x"}'))

    with engine(tmp_path, serve) as http:
        got = http.json("POST", "/containers/json", {"all": "1", "filters": {"label": ["a=b&c"]}}, Name="n")
    assert got == {"Id": "x"}
    line, body = seen[0]
    assert line == "POST /containers/json?all=1&filters=%7B%22label%22%3A%20%5B%22a%3Db%26c%22%5D%7D HTTP/1.1"
    assert json.loads(body) == {"Name": "n"}


def test_a_refusal_carries_the_engines_words_and_status(tmp_path: Path) -> None:
    def serve(peer: socket.socket) -> None:
        read_request(peer)
        peer.sendall(answer("404 Not Found", b'{"message": "No such container: x"}'))

    with engine(tmp_path, serve) as http, pytest.raises(EngineRefusedError) as caught:
        http.request("GET", "/containers/x/json")
    assert (caught.value.status, str(caught.value)) == (404, "No such container: x")


def test_no_engine_is_an_error_of_this_machine_that_names_the_address(tmp_path: Path) -> None:
    with pytest.raises(HostError, match=f"no Docker engine answers at unix://{tmp_path}/none"):
        EngineHttp(f"unix://{tmp_path}/none").request("GET", "/version")


@pytest.mark.parametrize("url", ["ssh://host", "nonsense", "npipe:////./pipe"])
def test_an_address_that_is_not_on_this_machine_is_refused(url: str) -> None:
    with pytest.raises(HostError, match="DOCKER_HOST"):
        EngineHttp(url).request("GET", "/version")


def test_docker_host_says_where_the_engine_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///some/where")
    assert engine_url() == "unix:///some/where"
    monkeypatch.delenv("DOCKER_HOST")
    assert engine_url() == "unix:///var/run/docker.sock"


def test_output_that_comes_in_one_read_with_the_header_is_not_lost(tmp_path: Path) -> None:
    def serve(peer: socket.socket) -> None:
        read_request(peer)
        peer.sendall(UPGRADED + frame(1, b"early") + frame(2, b"oops"))

    with engine(tmp_path, serve) as http:
        assert http.stream("/exec/x/start", {}, None, 5) == (b"early", b"oops")


def test_much_input_and_much_output_at_once_do_not_wait_for_one_another(tmp_path: Path) -> None:
    data = os.urandom(1 << 20)

    def serve(peer: socket.socket) -> None:
        read_request(peer)
        peer.sendall(UPGRADED)
        while chunk := peer.recv(1 << 16):
            peer.sendall(frame(1, chunk))

    with engine(tmp_path, serve) as http:
        assert http.stream("/exec/x/start", {}, data, 20) == (data, b"")


def test_a_stream_that_does_not_end_in_time_is_told(tmp_path: Path) -> None:
    done = threading.Event()

    def serve(peer: socket.socket) -> None:
        read_request(peer)
        peer.sendall(UPGRADED)
        done.wait(10)

    with engine(tmp_path, serve) as http:
        with pytest.raises(StreamTimeoutError, match=r"0\.05 s"):
            http.stream("/exec/x/start", {}, None, 0.05)
        done.set()


@given(
    parts=st.lists(st.tuples(st.sampled_from([1, 2]), st.binary(max_size=40)), max_size=8),
    cuts=st.lists(st.integers(1, 30), min_size=1, max_size=20),
)
def test_frames_come_out_whole_however_the_stream_is_cut(
    parts: list[tuple[int, bytes]], cuts: list[int]
) -> None:
    stream = b"".join(frame(kind, data) for kind, data in parts)
    buffer, out, err = bytearray(), bytearray(), bytearray()
    at = 0
    while at < len(stream):
        size = cuts[at % len(cuts)]
        buffer += stream[at : at + size]
        at += size
        _frames(buffer, out, err)
    assert bytes(out) == b"".join(data for kind, data in parts if kind == 1)
    assert bytes(err) == b"".join(data for kind, data in parts if kind == 2)
    assert not buffer
