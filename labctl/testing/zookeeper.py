"""A ZooKeeper ensemble and its clients in memory: as much as the state database and mirrors use.

Versions, ephemeral nodes, one-shot watches and atomic transactions behave as in ZooKeeper. A test can
cause its failures: unreachable servers, expired sessions, and replies
that are lost although the operation was done.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from kazoo.exceptions import (
    BadVersionError,
    ConnectionLoss,
    KazooException,
    NodeExistsError,
    NoNodeError,
    RolledBackError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["FakeClient", "FakeZooKeeper"]

_Result = TypeVar("_Result")


class Stat(NamedTuple):
    """What is known of a node besides its data; named as the client library names it."""

    version: int
    ephemeralOwner: int  # noqa: N815 - the library's name


@dataclass(slots=True)
class _Node:
    data: bytes
    version: int = 0
    owner: int = 0


@dataclass(slots=True)
class FakeZooKeeper:
    """The servers.

    Attributes:
        up: whether clients reach them.
        lost_answers: how many of the next transactions are done although their clients are told that
            the connection was lost.
        lost_requests: how many of the next transactions are lost before they are done.
    """

    up: bool = True
    lost_answers: int = 0
    lost_requests: int = 0
    lock: threading.RLock = field(default_factory=threading.RLock)
    _nodes: dict[str, _Node] = field(default_factory=dict)
    _watches: dict[str, list[Callable[[object], None]]] = field(default_factory=dict)
    _sessions: int = 0

    def client(self) -> FakeClient:
        """A client that is not started."""
        return FakeClient(self)

    def paths(self) -> tuple[str, ...]:
        """Every node that there is, in order."""
        with self.lock:
            return tuple(sorted(self._nodes))

    def open_session(self) -> int:
        """Number of a new session."""
        with self.lock:
            self._sessions += 1
            return self._sessions

    def end_session(self, number: int) -> None:
        """Take a session's ephemeral nodes away."""
        with self.lock:
            for path in [path for path, node in self._nodes.items() if node.owner == number]:
                self.delete(path)

    def forget_watches(self) -> None:
        """Forget every watch, as a client does that changes servers."""
        with self.lock:
            self._watches.clear()

    def watch(self, path: str, watch: Callable[[object], None] | None) -> None:
        """Call ``watch`` once, at the next change of a node."""
        if watch is not None:
            self._watches.setdefault(path, []).append(watch)

    def node(self, path: str) -> _Node:
        """A node.

        Raises:
            NoNodeError: there is none.
        """
        try:
            return self._nodes[path]
        except KeyError:
            raise NoNodeError from None

    def children(self, path: str) -> list[str]:
        """Names of the nodes right below one."""
        self.node(path)
        return [one.removeprefix(f"{path}/") for one in self._nodes if one.rpartition("/")[0] == path]

    def check(self, operation: tuple[object, ...]) -> None:
        """Refuse what could not be done.

        Raises:
            KazooException: the one that ZooKeeper answers with.
        """
        kind, path, *_ = operation
        there = self._nodes.get(str(path))
        if kind == "create" and there is not None:
            raise NodeExistsError
        if kind == "create" and str(path).rpartition("/")[0] not in self._nodes:
            raise NoNodeError
        if kind != "create" and there is None:
            raise NoNodeError
        if kind == "set" and there is not None and operation[3] not in (-1, there.version):
            raise BadVersionError

    def do(self, operation: tuple[object, ...]) -> None:
        """Do what :meth:`check` let pass."""
        kind, path, *rest = operation
        if kind == "create":
            self.create(str(path), _bytes(rest[0]))
        elif kind == "delete":
            self.delete(str(path))
        else:
            node = self.node(str(path))
            node.data, node.version = _bytes(rest[0]), node.version + 1
            self._fire(str(path))

    def create(self, path: str, data: bytes, owner: int = 0) -> None:
        """Make a node."""
        self._nodes[path] = _Node(data, owner=owner)
        self._fire(path)

    def delete(self, path: str) -> None:
        """Take a node away."""
        del self._nodes[path]
        self._fire(path)

    def _fire(self, path: str) -> None:
        for watch in self._watches.pop(path, []):
            watch(path)


def _bytes(value: object) -> bytes:
    assert isinstance(value, bytes)  # noqa: S101 - a fake's own check
    return value


class _Answer(NamedTuple):
    """An answer that has come already, or the reason why it has not."""

    value: object
    error: KazooException | None = None

    def get(self) -> object:
        if self.error is not None:
            raise self.error
        return self.value


@dataclass(slots=True)
class _Transaction:
    """Operations that are done all together or not at all."""

    client: FakeClient
    operations: list[tuple[object, ...]] = field(default_factory=list)

    def create(self, path: str, data: bytes) -> None:
        self.operations.append(("create", path, data))

    def set_data(self, path: str, data: bytes, version: int = -1) -> None:
        self.operations.append(("set", path, data, version))

    def delete(self, path: str) -> None:
        self.operations.append(("delete", path))

    def commit(self) -> list[object]:
        """What became of each operation: True, or the exception that stopped all of them.

        Raises:
            ConnectionLoss: the answer, or the request, was lost.
        """
        server = self.client.reached()
        with server.lock:
            if server.lost_requests:
                server.lost_requests -= 1
                raise ConnectionLoss
            for number, operation in enumerate(self.operations):
                try:
                    server.check(operation)
                except KazooException as error:
                    results: list[object] = [RolledBackError() for _ in self.operations]
                    results[number] = error
                    return results
            for operation in self.operations:
                server.do(operation)
            if server.lost_answers:
                server.lost_answers -= 1
                raise ConnectionLoss
        return [True for _ in self.operations]


@dataclass(slots=True)
class FakeClient:
    """See :class:`kazoo.client.KazooClient`; its methods have that one's names and arguments.

    Attributes:
        server: that it talks to.
        session: number of its session; 0 while it has none.
        retries: how often a command is tried while the servers are away.
    """

    server: FakeZooKeeper
    session: int = 0
    retries: int = 3
    _listeners: list[Callable[[object], None]] = field(default_factory=list)

    @property
    def connected(self) -> bool:
        """Whether there is a session, and servers."""
        return bool(self.session) and self.server.up

    @property
    def client_id(self) -> tuple[int, bytes]:
        """The session, as the library tells it."""
        return self.session, b""

    def reached(self) -> FakeZooKeeper:
        """The servers.

        Raises:
            ConnectionLoss: they are away.
        """
        if not self.connected:
            raise ConnectionLoss
        return self.server

    def start(self, timeout: float = 15) -> None:  # noqa: ARG002 - the library's argument
        """Begin a session."""
        self.start_async()

    def start_async(self) -> None:
        """Begin a session as soon as there are servers."""
        self.session = self.server.open_session()
        self.tell_listeners()

    def stop(self) -> None:
        """End the session."""
        if self.session:
            self.server.end_session(self.session)
        self.session = 0

    def close(self) -> None:
        """Let go of nothing."""

    def expire(self) -> None:
        """Lose the session and begin another one, as after a long silence."""
        self.stop()
        self.start_async()

    def tell_listeners(self) -> None:
        """The state of the connection is another one."""
        for listener in list(self._listeners):
            listener("state")

    def add_listener(self, listener: Callable[[object], None]) -> None:
        """Call when the state of the connection changes."""
        self._listeners.append(listener)

    def remove_listener(self, listener: Callable[[object], None]) -> None:
        """The reverse."""
        self._listeners.remove(listener)

    def retry(self, action: Callable[[], _Result]) -> _Result:
        """Try an action again while the connection is lost, a few times."""
        for _ in range(self.retries - 1):
            try:
                return action()
            except ConnectionLoss:
                continue
        return action()

    def get(self, path: str, watch: Callable[[object], None] | None = None) -> tuple[bytes, Stat]:
        """Data of a node."""
        with self.reached().lock:
            node = self.server.node(path)
            self.server.watch(path, watch)
            return node.data, Stat(node.version, node.owner)

    def get_async(self, path: str) -> _Answer:
        """The same, to be waited for."""
        try:
            return _Answer(self.get(path))
        except KazooException as error:
            return _Answer(None, error)

    def exists(self, path: str, watch: Callable[[object], None] | None = None) -> Stat | None:
        """What is known of a node; None where there is none."""
        with self.reached().lock:
            self.server.watch(path, watch)
            try:
                node = self.server.node(path)
            except NoNodeError:
                return None
            return Stat(node.version, node.owner)

    def get_children(self, path: str) -> list[str]:
        """Names of the nodes right below one."""
        with self.reached().lock:
            return self.server.children(path)

    def create(self, path: str, data: bytes, *, ephemeral: bool = False, makepath: bool = False) -> None:
        """Make a node."""
        with self.reached().lock:
            if makepath:
                self.ensure_path(path.rpartition("/")[0])
            self.server.check(("create", path, data))
            self.server.create(path, data, self.session if ephemeral else 0)

    def delete(self, path: str) -> None:
        """Take a node away."""
        with self.reached().lock:
            self.server.check(("delete", path))
            self.server.delete(path)

    def ensure_path(self, path: str) -> None:
        """Make a node and all above it, where they are not there."""
        with self.reached().lock:
            for one in _above(path):
                if one not in self.server.paths():
                    self.server.create(one, b"")

    def transaction(self) -> _Transaction:
        """Operations to be done all together."""
        return _Transaction(self)


def _above(path: str) -> Iterator[str]:
    parts = path.strip("/").split("/")
    yield from ("/" + "/".join(parts[:n]) for n in range(1, len(parts) + 1))
